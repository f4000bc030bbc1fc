"""When to commit what, what is in flight, what was refused.

All partitions share a request, at most one every interval (D12); a partition that waits for its commit (a chunk at most
once, a partition that leaves) does not wait for the interval. A partition has at most one commit in flight, so an
answer is known by its partition: while the answer for an earlier epoch is still due, the new epoch does not commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Partition, Piece

__all__ = ["Answer", "Commits"]

_RETRY: Final = (0.05, 0.1, 0.2, 0.5)
"""Seconds before a refused commit is tried again; refusals during a rebalance pass within it."""


@dataclass(slots=True)
class Answer:
    """What the answer to a partition's commit brings about."""

    partition: Partition
    pieces: list[Piece]
    freed: tuple[int, int] = (0, 0)
    dropped: Sequence[int] = ()
    """Offsets that waited for the commit and are not handled here any more (at most once)."""


class Commits:
    """The commits of all partitions. `now` is in seconds on any clock that never goes back."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.next_at = 0.0
        self._in_flight: dict[TopicPartition, tuple[Partition, int, float]] = {}
        self._refusals: dict[TopicPartition, int] = {}

    @property
    def in_flight(self) -> bool:
        """Whether an answer is due."""
        return bool(self._in_flight)

    def unanswered(self) -> list[Partition]:
        """Return the partitions, of past epochs too, whose commit has no answer."""
        return [partition for partition, _, _ in self._in_flight.values()]

    def silence(self, now: float) -> float:
        """Return for how long, in seconds, the oldest commit in flight has had no answer."""
        return now - min((sent for _, _, sent in self._in_flight.values()), default=now)

    def due(self, now: float) -> bool:
        """Whether the interval is over."""
        return now >= self.next_at

    def plan(
        self, now: float, regular: Iterable[Partition], urgent: Iterable[Partition]
    ) -> Mapping[TopicPartition, tuple[int, int]]:
        """Return what to commit now, as {partition: (offset, leader epoch)}, and take it as sent.

        `regular` partitions commit when the interval is over, `urgent` ones at once; both not before a refused commit's
        wait is over. The caller names candidates; whether there is anything to commit is decided here.
        """
        batch: dict[TopicPartition, tuple[int, int]] = {}
        for partition in urgent:
            self._take(partition, now, batch)
        if self.due(now):
            for partition in regular:
                self._take(partition, now, batch)
            self.next_at = now + self.interval
        return batch

    def _take(self, partition: Partition, now: float, batch: dict[TopicPartition, tuple[int, int]]) -> None:
        tp = partition.key.tp
        if tp in self._in_flight or now < partition.retry_commit_at:
            return
        offset = partition.take_chunk() if partition.chunk_wanted else partition.commit_wanted()
        if offset is not None:
            partition.committing, partition.sent_at = offset, now
            self._in_flight[tp] = (partition, offset, now)
            batch[tp] = (offset, partition.leader_epoch)

    def confirmed(self, tp: TopicPartition, offset: int, now: float) -> Answer | None:
        """A commit is in force. `None` where no such commit was in flight."""
        partition = self._answered(tp, offset)
        if partition is None:
            return None
        self._refusals.pop(tp, None)
        return Answer(partition, partition.commit_confirmed(now))

    def refused(self, tp: TopicPartition, offset: int, now: float) -> Answer | None:
        """A commit is not in force; it is planned again after a short wait. `None` where none was in flight."""
        partition = self._answered(tp, offset)
        if partition is None:
            return None
        times = self._refusals.get(tp, 0)
        self._refusals[tp] = times + 1
        covered = partition.on_the_way()
        freed = partition.commit_refused(now + _RETRY[min(times, len(_RETRY) - 1)])
        return Answer(partition, [], freed, () if partition.waits_for_commit else covered)

    def _answered(self, tp: TopicPartition, offset: int) -> Partition | None:
        entry = self._in_flight.get(tp)
        if entry is None or entry[1] != offset:
            return None
        del self._in_flight[tp]
        return entry[0]

    def forget(self, partition: Partition) -> None:
        """The epoch is over: its refusals do not slow the next one down. An answer that is due stays due."""
        self._refusals.pop(partition.key.tp, None)
