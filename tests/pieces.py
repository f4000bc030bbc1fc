"""Records and pieces for tests of the core: they have offsets, and nothing that the core does not read."""

from collections.abc import Sequence

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Key, Partition, Piece
from humus.queue.kafka._subscription import Semantic

__all__ = ["Record", "begun", "offsets_of", "piece", "tp_of"]


class Record:
    """A record in the client's shape."""

    __slots__ = ("_offset",)

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def topic(self) -> str:
        """Return a topic: the core takes it from elsewhere."""
        return "orders"

    def partition(self) -> int:
        """Return a partition: the core takes it from elsewhere."""
        return 0

    def offset(self) -> int:
        """Return the offset."""
        return self._offset

    def key(self) -> None:
        """Return no key."""

    def value(self) -> None:
        """Return no value."""

    def headers(self) -> None:
        """Return no headers."""

    def timestamp(self) -> tuple[int, int]:
        """Return that there is none."""
        return 0, -1

    def leader_epoch(self) -> int | None:
        """Return no epoch: the piece has it."""
        return None

    def __repr__(self) -> str:
        return f"@{self._offset}"


def piece(offsets: Sequence[int], size: int | None = None, leader_epoch: int = -1) -> Piece:
    """Make a piece of records at these offsets; each counts 100 bytes unless `size` says otherwise."""
    records = [Record(offset) for offset in offsets]
    return Piece(records, offsets[0], offsets[-1] + 1, 100 * len(offsets) if size is None else size, leader_epoch)


def offsets_of(*pieces: Piece) -> list[int]:
    """Return the offsets of all records in these pieces, in order."""
    return [record.offset() for one in pieces for record in one.records]


def begun(semantic: Semantic, number: int = 0, epoch: int = 1) -> Partition:
    """Make a partition that begins at offset 0."""
    partition = Partition(Key(tp_of(number), epoch), semantic)
    partition.start = 0
    return partition


def tp_of(partition: int = 0, topic: str = "orders") -> TopicPartition:
    """Name a partition."""
    return TopicPartition(topic, partition)
