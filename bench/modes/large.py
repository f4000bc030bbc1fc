"""Records of 1 MiB."""

from bench import topics
from bench.instruments import MIB
from bench.mode import Amounts, Column, Mode
from bench.modes import throughput

__all__ = ["MODE"]

PARTITIONS = 8
EACH = 64
_OURS = {"bare", "bare-poll", "humus-async", "humus-def", "humus-at-most-once"}
_HERE = _OURS | {"aiokafka", "franz-go"}


def _large_records(brokers: str, _amounts: Amounts) -> str:
    topic = topics.make(brokers, PARTITIONS)
    topics.fill(brokers, topic, partitions=PARTITIONS, each=EACH, size=MIB)
    return topic


MODE = Mode(
    name="large",
    title="Records of 1 MiB",
    about=(
        f"{PARTITIONS * EACH} records of 1 MiB in {PARTITIONS} partitions, as fast as it goes: the throughput mode "
        "with large records, so that a message a second is a MiB a second."
    ),
    candidates=throughput.MODE.candidates,
    columns=(
        Column("msgs_per_s", "MiB/s", 0, "ratio"),
        Column("cpu_us", "CPU us a MiB", 0, "difference"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("seconds", "seconds", 2),
    ),
    prepare=_large_records,
    run=throughput.run,
    ready=throughput.MODE.ready,
    yardstick="bare-poll",
    on_request=frozenset(throughput.MODE.candidates) - _HERE,
    typical_s=4.0,
)
