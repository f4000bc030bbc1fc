"""Which offset is safe to commit, and nothing else.

Kafka's committed offset is the offset of the next record to read, so it may be advanced exactly as far as every
record before it has been handled. Records arrive in offset order, but offsets have gaps (compaction, transaction
markers, aborted transactions), and completions need not arrive in order: each completion therefore covers a half-open
range of offsets, from the end of the record received before it to its own offset + 1. A gap belongs to the record
behind it. The *watermark* is the end of the unbroken run of covered offsets; it is what may be committed.

Nothing here knows about time, threads, commits or the broker.
"""

__all__ = ["Offsets"]


class Offsets:
    """The records of one partition in one epoch: received up to `end`, handled in one piece up to `watermark`.

    Completions may come in any order: what lies above the first unhandled record is kept as islands until the
    gap below it closes. Handled in order, there are none, and each call costs the same.
    """

    __slots__ = ("_islands", "end", "watermark")

    def __init__(self, start: int) -> None:
        self.watermark = start
        self.end = start
        self._islands: dict[int, int] = {}  # first offset covered -> end, none of them touching another

    @property
    def outstanding(self) -> bool:
        """Whether a received record is not handled yet."""
        return self.watermark != self.end

    def received(self, end: int) -> None:
        """Note records up to, not including, offset `end`; they continue what was received before."""
        assert end > self.end, f"records before {end} were received already, up to {self.end}"
        self.end = end

    def handled(self, first: int, end: int) -> None:
        """Note that everything from `first` to, not including, `end` is handled.

        `first` is where the record before ended, so that a gap in the log is covered with the record behind it.
        """
        assert self.watermark <= first < end <= self.end, (
            f"[{first}, {end}) is not within what was received and not handled: [{self.watermark}, {self.end})"
        )
        if first != self.watermark:
            self._islands[first] = end
            return
        self.watermark = end
        islands = self._islands
        while islands and (further := islands.pop(self.watermark, None)) is not None:
            self.watermark = further

    def handled_below(self, position: int) -> None:
        """Note that everything below `position` is handled: the short way for records handled in order."""
        if position > self.watermark:
            self.handled(self.watermark, position)

    def skip_to(self, position: int) -> None:
        """Move past offsets that hold no records for us, such as control records at the end of the log.

        Nothing may be outstanding: `position` is then the client's own, the offset it will fetch next.
        """
        assert not self.outstanding, "records are outstanding: the client's position is ahead of what is handled"
        if position > self.end:
            self.watermark = self.end = position
