"""What is measured: which candidates, on which topic, against whom, and told in which columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from bench import latency, memory, telemetry, throughput, topics
from bench.candidates import PRODUCER_NAME
from bench.child import Child, Outcome
from bench.instruments import Candidate, Order

__all__ = ["MODES", "Amounts", "Column", "Mode"]

THROUGHPUT_PARTITIONS = 8
LATENCY_PARTITIONS = 8
RECORD_BYTES = 200
TELEMETRY_PART = 10
"""The telemetry mode needs fewer records: it measures microseconds, not tenths of them."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is measured."""

    rounds: int
    records: int
    seconds: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Column:
    """One figure in the table; `against` says how it is compared with the yardstick's of the same round.

    As `calls`, it stands for the comparison alone: what the candidate needs more, in calls of `Mode.calls`.
    """

    figure: str
    heading: str
    digits: int
    against: Literal["ratio", "difference", "calls"] | None = None


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of measurement.

    `prepare` is given the brokers, makes the topic that all runs share, and returns its name (empty if each run makes
    its own); `run` is given candidate, brokers and topic, and makes one run. Candidates in `on_request` are left out
    unless they are asked for. `budgets` are those of the design, in words.

    `yardsticks` are those of candidates that have another one than the mode's; `calls` says which candidate is the bare
    call that another one adds to its yardstick. A bare call has no yardstick.
    """

    name: str
    title: str
    about: str
    candidates: Mapping[str, Candidate]
    columns: tuple[Column, ...]
    prepare: Callable[[str, Amounts], str]
    run: Callable[[str, str, str, Amounts], Outcome]
    yardstick: str | None = None
    on_request: frozenset[str] = frozenset()
    budgets: tuple[str, ...] = ()
    yardsticks: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, str] = field(default_factory=dict)

    def yardstick_of(self, candidate: str) -> str | None:
        """Return what a candidate is compared with, `None` for nothing."""
        if candidate == self.yardstick or candidate in self.calls.values():
            return None
        return self.yardsticks.get(candidate, self.yardstick)

    def chosen(self, only: frozenset[str]) -> list[str]:
        """Return the candidates to run, the yardstick with them; none if all that is asked for belongs elsewhere."""
        if not only:
            return [name for name in self.candidates if name not in self.on_request]
        named = {name for name in self.candidates if name in only}
        needed = {self.yardstick_of(name) for name in named} | {self.calls.get(name) for name in named}
        if named and self.yardstick is not None:
            needed.add(self.yardstick)
        return [name for name in self.candidates if name in named | needed]


def _alone(candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    child = Child(candidate, Order(brokers, topic), amounts.timeout)
    try:
        return child.wait()
    finally:
        child.discard()


# -- throughput ----------------------------------------------------------------------------------------------------


def _many_records(brokers: str, amounts: Amounts) -> str:
    topic = topics.make(brokers, THROUGHPUT_PARTITIONS)
    each = amounts.records // THROUGHPUT_PARTITIONS
    topics.fill(brokers, topic, partitions=THROUGHPUT_PARTITIONS, each=each, size=RECORD_BYTES)
    return topic


_THROUGHPUT = Mode(
    name="throughput",
    title="Throughput",
    about=(
        f"The same records of {RECORD_BYTES} bytes in {THROUGHPUT_PARTITIONS} partitions for everybody. The time runs "
        "from the first record to the last; CPU is user and system time of the process, all threads, in between."
    ),
    candidates=throughput.CANDIDATES,
    columns=(
        Column("msgs_per_s", "msg/s", 0, "ratio"),
        Column("cpu_us", "CPU us a message", 2, "difference"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("seconds", "seconds", 2),
        Column("total_s", "process, s", 1),
    ),
    prepare=_many_records,
    run=_alone,
    yardstick="bare",
    on_request=frozenset({"bare-poll"}),
    budgets=(
        "humus-async: at least 0.50 x the yardstick's msg/s, at most 0.8 us of CPU a message more",
        "humus-def: at least 0.60 x",
        "humus-at-most-once: at least 0.40 x",
    ),
)

# -- latency -------------------------------------------------------------------------------------------------------


def _no_records_yet(_brokers: str, _amounts: Amounts) -> str:
    return ""  # a topic for each run


def _with_producer(candidate: str, brokers: str, _topic: str, amounts: Amounts) -> Outcome:
    topic = topics.make(brokers, LATENCY_PARTITIONS)
    order = Order(brokers, topic, amounts.seconds)
    timeout = amounts.timeout + latency.WARM_UP_SECONDS + amounts.seconds
    consumer = Child(candidate, order, timeout)
    producer = Child(PRODUCER_NAME, order, timeout)
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


_LATENCY = Mode(
    name="latency",
    title="Latency",
    about=(
        f"From before produce() to the processor's first line, {latency.RATE:,} records of {latency.RECORD_BYTES} "
        f"bytes a second, {LATENCY_PARTITIONS} partitions, a producer process with no linger. "
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
    run=_with_producer,
    yardstick="latency-poll",
    budgets=("p50 at most 1.5 x the yardstick's, p99 at most 1.3 x + 2 ms",),
)

# -- memory --------------------------------------------------------------------------------------------------------


def _large_records(brokers: str, _amounts: Amounts) -> str:
    topic = topics.make(brokers, memory.PARTITIONS)
    each, size = memory.RECORDS_A_PARTITION, memory.RECORD_BYTES
    topics.fill(brokers, topic, partitions=memory.PARTITIONS, each=each, size=size)
    return topic


_MEMORY = Mode(
    name="memory",
    title="Memory",
    about=(
        f"{memory.PARTITIONS} partitions with {memory.RECORDS_A_PARTITION} records of 1 MiB each, slow processors. "
        "'held' is what the runtime counts against its buffer; 'bound' is the buffer, one batch (half a buffer), "
        "the client's queue (a quarter) and one fetch response a broker, in payload: the client itself needs more."
    ),
    candidates=memory.CANDIDATES,
    columns=(
        Column("held_mib", "held MiB", 0),
        Column("held_bound_mib", "bound of held MiB", 0),
        Column("before_mib", "RSS before MiB", 0),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("growth_mib", "growth MiB", 0),
        Column("bound_mib", "bound MiB", 0),
        Column("growth_to_bound", "growth / bound", 2),
    ),
    prepare=_large_records,
    run=_alone,
    budgets=("held stays below its bound (D50)", "growth / bound stays below 1"),
)

# -- telemetry -----------------------------------------------------------------------------------------------------


def _a_part_of_the_records(brokers: str, amounts: Amounts) -> str:
    return _many_records(brokers, replace(amounts, records=max(1000, amounts.records // TELEMETRY_PART)))


_TELEMETRY = Mode(
    name="telemetry",
    title="Telemetry",
    about=(
        f"The throughput mode's records, one in {TELEMETRY_PART} of them, read by a runtime that OpenTelemetry's SDK "
        "listens to; and one call of that SDK for each of as many. CPU is that of the process, all threads."
    ),
    candidates={telemetry.YARDSTICK: throughput.CANDIDATES[telemetry.YARDSTICK], **telemetry.CANDIDATES},
    columns=(
        Column("msgs_per_s", "msg/s or calls/s", 0, "ratio"),
        Column("cpu_us", "CPU us a message or call", 2, "difference"),
        Column("cpu_us", "the same in bare calls", 2, "calls"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("seconds", "seconds", 2),
    ),
    prepare=_a_part_of_the_records,
    run=_alone,
    yardstick=telemetry.YARDSTICK,
    yardsticks={"humus-durations": "humus-metrics"},
    calls={
        "humus-durations": "call-histogram",
        "humus-traces-1": "call-span-1",
        "humus-traces-all": "call-span-all",
    },
    budgets=(
        "humus-metrics: at most 0.7 us of CPU a message more than humus-async",
        "humus-durations: at most 1.1 bare calls more than humus-metrics",
        "humus-traces-1, humus-traces-all: at most 1.1 bare calls more than humus-async",
    ),
)

MODES = {mode.name: mode for mode in (_THROUGHPUT, _LATENCY, _MEMORY, _TELEMETRY)}
