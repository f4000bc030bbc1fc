"""A thousand partitions, idle and busy."""

from dataclasses import replace

from tests.kafka.admin import Admin

from bench import partitions, topics
from bench.candidates import PRODUCER_NAME
from bench.child import Child, Outcome, own
from bench.mode import Amounts, Column, Mode, finished
from bench.work import Order

__all__ = ["MODES"]

PARTITIONS = 1000
RECORD_BYTES = 200
RATE = 1000
_ENOUGH = 0.8
"""The part of the rate that has to arrive, or the candidate did something else than what is compared."""


def _empty(brokers: str, _amounts: Amounts) -> str:
    return topics.make(brokers, PARTITIONS)


def _idle(candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    timeout = amounts.timeout + amounts.seconds
    order = Order(brokers, topic, seconds=amounts.seconds, rate=0, timeout=timeout)
    return finished(Child(candidate, own(candidate, order), timeout))


def _busy(candidate: str, brokers: str, _topic: str, amounts: Amounts) -> Outcome:
    # A topic for each run: with what an earlier one left behind, the broker took only tens of records a second.
    admin, topic = Admin(brokers), topics.make(brokers, PARTITIONS)
    try:
        # The broker makes a partition's files at its first record: nobody's business here.
        topics.fill(brokers, topic, partitions=PARTITIONS, each=1, size=RECORD_BYTES)
        return _beside_a_producer(candidate, brokers, topic, amounts)
    finally:
        admin.delete_topic(topic)
        admin.close()


def _beside_a_producer(candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    timeout = amounts.timeout + amounts.seconds
    order = Order(brokers, topic, seconds=amounts.seconds, rate=RATE, timeout=timeout)
    # Until the consumer is done, however long that takes.
    producer = Child(PRODUCER_NAME, own(PRODUCER_NAME, replace(order, seconds=timeout)), timeout)
    try:
        outcome = finished(Child(candidate, own(candidate, order), timeout))
    finally:
        producer.discard()
    if outcome.figures is not None and outcome.figures["msgs_per_s"] < RATE * _ENOUGH:
        return outcome.failed(f"{outcome.figures['msgs_per_s']:,.0f} records a second arrived of {RATE:,}")
    return outcome


_COLUMNS = (
    Column("cpu_percent", "CPU % of a core", 1, "difference"),
    Column("kb_a_partition", "KiB a partition", 1),
    Column("file_descriptors", "file descriptors", 0),
    Column("threads", "threads", 0),
    Column("rss_mib", "RSS MiB", 0),
    Column("assigned_s", "start to all there, s", 1),
)

_IDLE = Mode(
    name="partitions-idle",
    title=f"{PARTITIONS:,} partitions, idle",
    about=(
        f"One member has {PARTITIONS:,} partitions in which nothing happens. CPU is that of the process, all threads, "
        f"from {partitions.SETTLE_SECONDS:g} s after the last was assigned on; memory is what the process grew by."
    ),
    candidates=partitions.CANDIDATES,
    columns=_COLUMNS,
    prepare=_empty,
    run=_idle,
    amount=lambda amounts: f"{amounts.seconds:g} s a run",
    yardstick="partitions-bare",
    budgets=(
        "at most 2 % of a core more than the bare client",
        "at most 60 KB a partition",
        "file descriptors independent of the number of partitions",
    ),
    typical_s=35.0,
    warm_up=False,
)

_BUSY = replace(
    _IDLE,
    name="partitions-busy",
    title=f"{PARTITIONS:,} partitions, busy",
    about=(
        f"The same while {RATE:,} records of 200 bytes a second go to all of them in turn. A def processor has a "
        "thread for each partition that had a record."
    ),
    columns=(Column("msgs_per_s", "msg/s", 0), *_COLUMNS),
    prepare=lambda _brokers, _amounts: "",
    run=_busy,
    budgets=(),
)

MODES = (_IDLE, _BUSY)
