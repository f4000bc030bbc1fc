"""From produce to processor, at two steady rates."""

from collections.abc import Callable
from dataclasses import replace

from bench import latency, topics
from bench.candidates import PRODUCER_NAME
from bench.child import Child, Outcome, own
from bench.mode import Amounts, Column, Mode
from bench.work import Order

__all__ = ["MODES"]

PARTITIONS = 8
RATES = {"latency": 1_000, "latency-20k": 20_000}


def _no_records_yet(_brokers: str, _amounts: Amounts) -> str:
    return ""  # a topic for each run


def _with_producer(rate: int) -> Callable[[str, str, str, Amounts], Outcome]:
    def run(candidate: str, brokers: str, _topic: str, amounts: Amounts) -> Outcome:
        topic = topics.make(brokers, PARTITIONS)
        timeout = amounts.timeout + latency.WARM_UP_SECONDS + amounts.seconds
        order = Order(brokers, topic, seconds=amounts.seconds, rate=rate, timeout=timeout)
        consumer = Child(candidate, own(candidate, order), timeout)
        producer = Child(PRODUCER_NAME, own(PRODUCER_NAME, order), timeout)
        try:
            produced = producer.wait()
            if produced.figures is None:
                return replace(produced, candidate=candidate).failed(f"the producer: {produced.fault}")
            outcome = consumer.wait()
        finally:
            producer.discard()
            consumer.discard()
        if outcome.figures is None:
            return outcome
        seen, sent = outcome.figures["counted"], produced.figures["counted"]
        if seen != sent:
            return outcome.failed(f"{seen:,.0f} records arrived of {sent:,.0f} that were produced")
        return replace(outcome, figures={**outcome.figures, "producer_latest_ms": produced.figures["latest_ms"]})

    return run


def _mode(name: str, rate: int) -> Mode:
    return Mode(
        name=name,
        title=f"Latency at {rate:,} messages a second",
        about=(
            f"From before produce() to the processor's first line, {rate:,} records of {latency.RECORD_BYTES} "
            f"bytes a second, {PARTITIONS} partitions, a producer process with linger.ms={latency.linger_ms(rate)}. "
            "'producer late' is the furthest that the producer itself fell behind its schedule."
        ),
        candidates=latency.CANDIDATES,
        columns=(
            Column("p50_ms", "p50 ms", 2, "ratio"),
            Column("p99_ms", "p99 ms", 2, "ratio"),
            Column("p999_ms", "p99.9 ms", 2),
            Column("max_ms", "max ms", 1),
            Column("cpu_percent", "CPU % of a core", 1),
            Column("producer_latest_ms", "producer late ms", 1),
        ),
        prepare=_no_records_yet,
        run=_with_producer(rate),
        amount=lambda amounts: f"{amounts.seconds:g} s a run",
        yardstick="latency-poll",
        budgets=("p50 at most 1.5 x the yardstick's, p99 at most 1.3 x + 2 ms",) if rate == 1_000 else (),
        typical_s=30.0,
    )


MODES = tuple(_mode(name, rate) for name, rate in RATES.items())
