"""The broker's side: a log a partition, its committed offset, and the account of what became of each record."""

from bisect import bisect_left
from collections import Counter

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._subscription import Semantic

__all__ = ["Log", "Place"]


class Place(TopicPartition):
    """A partition whose hash is the same in every run: the core keeps sets of them, and their order follows from it."""

    def __hash__(self) -> int:
        return hash((len(self.topic), self.partition))


class Log:
    """One partition: records at some offsets, control records at the others; and who handled what."""

    def __init__(self, tp: TopicPartition, semantic: Semantic) -> None:
        self.tp = tp
        self.semantic = semantic
        self.records: list[int] = []
        self.end = 0
        self.committed: int | None = None
        self.started: Counter[int] = Counter()
        self.handled: Counter[int] = Counter()
        self.again: set[int] = set()  # at least once: handled and not committed when a member ended badly
        self.lost: set[int] = set()  # at most once: committed, and nobody is left to handle it
        self.excuse: str | None = None  # why records may come again (at least once) or be lost (at most once)
        self._first_unhandled = 0
        self._last_started = -1

    @property
    def start(self) -> int:
        """Where a member without an offset of its own begins."""
        return self.committed or 0

    def starts(self, offset: int) -> None:
        """A handler starts: at most once that is once, and behind a commit in force."""
        self.started[offset] += 1
        self._last_started = max(self._last_started, offset)
        if self.semantic is Semantic.AT_MOST_ONCE:
            assert self.started[offset] == 1, f"D21: {self.tp}@{offset} is handled twice"
            assert offset < self.start, f"D20: {self.tp}@{offset} starts before a commit past it"

    def append(self, gap: int, records: int, control: int) -> None:
        """Add records behind a gap, and control records behind them."""
        self.records.extend(range(self.end + gap, self.end + gap + records))
        self.end += gap + records + control

    def from_offset(self, offset: int, most: int) -> list[int]:
        """Return the next records at or above an offset."""
        at = bisect_left(self.records, offset)
        return self.records[at : at + most]

    def between(self, first: int, end: int) -> int:
        """Count the records from one offset to, not including, another."""
        return bisect_left(self.records, end) - bisect_left(self.records, first)

    @property
    def first_unhandled(self) -> int:
        """The offset of the first record that nobody ever handled; the end where there is none."""
        while self._first_unhandled < len(self.records) and self.handled[self.records[self._first_unhandled]]:
            self._first_unhandled += 1
        at = self._first_unhandled
        return self.records[at] if at < len(self.records) else self.end

    def commit(self, offset: int) -> None:
        """Put a commit in force. At least once it never passes a record that is not handled (D10)."""
        assert offset <= self.end, f"{self.tp}: commit of {offset} is behind the log's end {self.end}"
        if self.semantic is Semantic.AT_MOST_ONCE:
            # One whose answer was lost may be followed by one of a smaller chunk: nothing of it was handled.
            assert offset > self._last_started, f"D21: {self.tp}: commit of {offset} goes back behind a handled record"
        else:
            assert offset >= self.start, f"{self.tp}: commit of {offset} goes back from {self.committed}"
            assert offset <= self.first_unhandled, (
                f"D10: {self.tp}: commit of {offset} passes the unhandled record {self.first_unhandled}"
            )
        self.committed = offset

    def taken_over(self) -> None:
        """A member begins at the committed offset. What was done and what was not must fit, or be excused."""
        if self.semantic is Semantic.AT_LEAST_ONCE:
            again = [offset for offset in self.from_offset(self.start, len(self.records)) if self.handled[offset]]
            again = [offset for offset in again if offset not in self.again]
            assert not again or self.excuse, f"D40/D61: {self.tp}: handled records come again for no reason: {again}"
            self.again.update(again)
        else:
            left = [offset for offset in self.records if offset < self.start and not self.handled[offset]]
            left = [offset for offset in left if offset not in self.lost]
            assert not left or self.excuse, f"D23/D61: {self.tp}: records are lost for no reason: {left}"
            self.lost.update(left)
        self.excuse = None
