"""The broker's side: a log a partition, its committed offset, and the account of what became of each record."""

from bisect import bisect_left
from collections import Counter
from typing import cast

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._subscription import Semantic

__all__ = ["TOPICS", "Log", "place"]

TOPICS = ("orders", "metrics")
SEMANTICS = (Semantic.AT_LEAST_ONCE, Semantic.AT_MOST_ONCE)


class _Topic(int):
    """A topic's name with the hash of a number: the core keeps sets of partitions, and their order follows from it.

    The hash of a text is another one in every process: a seed that fails would not fail again.
    """

    def __str__(self) -> str:
        return TOPICS[self]

    __repr__ = __str__


def place(topic: int, partition: int) -> TopicPartition:
    """Name a partition."""
    return TopicPartition(cast("str", _Topic(topic)), partition)


class Log:
    """One partition: records at some offsets, control records at the others; and who handled what, all members' work.

    `excuse` says why records may come again (at least once) or be lost (at most once) when somebody takes over.
    """

    def __init__(self, tp: TopicPartition, semantic: Semantic) -> None:
        self.tp = tp
        self.at_most_once = semantic is Semantic.AT_MOST_ONCE
        self.records: list[int] = []
        self.end = 0
        self.committed: int | None = None
        self.sent_at = 0.0  # when the commit in force was sent
        self.started: Counter[int] = Counter()
        self.handled: Counter[int] = Counter()
        self.done_at: dict[int, float] = {}  # by a worker that was counted on
        self.again: set[int] = set()  # at least once: handled and not committed when a member ended badly
        self.lost: set[int] = set()  # at most once: committed, and nobody is left to handle it
        self.letters: Counter[int] = Counter()
        self.letters_due: Counter[int] = Counter()  # records that wait for the confirmation of theirs, by worker
        self.excuse: str | None = None
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
        if self.at_most_once:
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

    def commit(self, offset: int, sent_at: float) -> None:
        """Put a commit in force. At least once it never passes a record that is not handled (D10)."""
        assert offset <= self.end, f"D10: {self.tp}: commit of {offset} is behind the log's end {self.end}"
        if self.at_most_once:
            # One whose answer was lost may be followed by one of a smaller chunk: nothing of it was handled.
            assert offset > self._last_started, f"D21: {self.tp}: commit of {offset} goes back behind a handled record"
        else:
            assert offset >= self.start, f"D43: {self.tp}: commit of {offset} goes back from {self.committed}"
            passes = self.first_unhandled
            assert offset <= passes or not self.letters_due[passes], (
                f"D32: {self.tp}: commit of {offset} passes {passes}, whose dead letter is not confirmed"
            )
            assert offset <= passes, f"D10: {self.tp}: commit of {offset} passes the unhandled record {passes}"
        self.committed, self.sent_at = offset, sent_at

    def taken_over(self) -> int:
        """A member begins at the committed offset: what was done and what was not must fit, or be excused.

        Returns how many records come again, or are lost.
        """
        found = self._lost() if self.at_most_once else self._again()
        self.excuse = None
        return found

    def _again(self) -> int:
        again = [offset for offset in self.from_offset(self.start, len(self.records)) if self.handled[offset]]
        again = [offset for offset in again if offset not in self.again]
        assert not again or self.excuse, f"D40/D61: {self.tp}: handled records come again for no reason: {again}"
        early = [offset for offset in again if self.done_at.get(offset, self.sent_at) < self.sent_at]
        assert not early, f"D11: {self.tp}: handled before the last commit was sent, and come again: {early}"
        self.again.update(again)
        return len(again)

    def _lost(self) -> int:
        left = [offset for offset in self.records if offset < self.start and not self.handled[offset]]
        left = [offset for offset in left if offset not in self.lost]
        assert not left or self.excuse, f"D23/D61: {self.tp}: records are lost for no reason: {left}"
        self.lost.update(left)
        return len(left)

    @property
    def finished(self) -> bool:
        """Whether all is handled (at most once: or accounted for as lost) and committed."""
        if self.start != self.end:
            return False
        if self.first_unhandled == self.end:
            return True
        return self.at_most_once and all(self.handled[offset] or offset in self.lost for offset in self.records)
