"""Peak memory with large records and slow processors."""

from bench import memory, topics
from bench.mode import Amounts, Column, Mode, alone

__all__ = ["MODE"]


def _large_records(brokers: str, _amounts: Amounts) -> str:
    topic = topics.make(brokers, memory.PARTITIONS)
    each, size = memory.RECORDS_A_PARTITION, memory.RECORD_BYTES
    topics.fill(brokers, topic, partitions=memory.PARTITIONS, each=each, size=size)
    return topic


MODE = Mode(
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
    run=alone,
    budgets=("held stays below its bound (D50)", "growth / bound stays below 1"),
    typical_s=20.0,
)
