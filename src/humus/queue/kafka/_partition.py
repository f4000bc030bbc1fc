"""One partition in one epoch: what it received, what its worker has, what is committed, and how it ends.

States, and what moves a partition between them::

    RUNNING --halt--> HALTED            a record failed for good under `halt()`
    RUNNING, HALTED --drain--> DRAINING  revoked, or the runtime stops
    any --lost--> GONE                   the member was fenced or its session ran out
    DRAINING --give back--> GONE

The two semantics differ in three places only:

=====================  ==================================  ===========================================
\\                      at least once                       at most once
=====================  ==================================  ===========================================
a record is handed     when it arrives                     when a commit past its chunk is confirmed
to the worker
what may be committed  the watermark: all below handled    the end of the next chunk, while fewer than
                                                           two chunks are committed and not handled
a drain lets finish    the record in flight                every record already committed
=====================  ==================================  ===========================================

The theory behind at most once: a commit that was sent may be in force although no answer came, so from the moment it is
sent until its answer is there its records are neither handled nor counted as lost (D20, D23).
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from humus.queue.kafka._message import RawRecord, TopicPartition
from humus.queue.kafka._offsets import Offsets
from humus.queue.kafka._subscription import Semantic

__all__ = ["Failure", "Key", "Partition", "Piece", "Start", "State"]

MAX_CHUNK = 500
"""Records that one commit of an at-most-once partition covers at most (D20)."""
CHUNK_SECONDS = 0.1
"""A chunk is about what the partition handles in this time (D20)."""
_CHUNKS_AHEAD = 2
"""Chunks that may be committed, or on their way to it, and not handled: what a crash can lose (D21)."""


class Key(NamedTuple):
    """A partition in one epoch: whatever carries the key of another epoch is late and counts for nothing."""

    tp: TopicPartition
    epoch: int


class Start(NamedTuple):
    """Where an epoch begins, and the leader epoch there, -1 where unknown; `committed`: the group committed it."""

    offset: int
    leader_epoch: int
    committed: bool


class Piece(NamedTuple):
    """Consecutive records of one partition: a slice of a consumed batch.

    `end` is the last record's offset + 1, `size` the bytes it counts against the buffer, `leader_epoch` the one of its
    first record (a lower bound for the others), -1 where unknown.
    """

    records: Sequence[RawRecord]
    first: int
    end: int
    size: int
    leader_epoch: int

    def split(self, count: int) -> "tuple[Piece, Piece]":
        """Return the first `count` records and the rest; the size is divided in proportion."""
        head, tail = self.records[:count], self.records[count:]
        size = self.size * count // len(self.records)
        cut = tail[0].offset()
        return (
            Piece(head, self.first, head[-1].offset() + 1, size, self.leader_epoch),
            Piece(tail, cut, self.end, self.size - size, self.leader_epoch),
        )

    def behind(self, offset: int) -> "Piece | None":
        """Return what is left at or above `offset`, `None` where nothing is."""
        records = [record for record in self.records if record.offset() >= offset]
        if not records:
            return None
        size = self.size * len(records) // len(self.records)
        return Piece(records, records[0].offset(), self.end, size, self.leader_epoch)


class State(Enum):
    """Where a partition is in its life."""

    RUNNING = "running"
    HALTED = "halted"
    DRAINING = "draining"
    GONE = "gone"


_LIVING: Final = frozenset({State.RUNNING, State.HALTED})


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that does not get through: `since` is when it first failed, in the clock of the events."""

    offset: int
    attempts: int
    error_type: str
    reason: str
    since: float


@dataclass(slots=True)
class Counts:
    """What happened to the records of a partition, in plain integers."""

    consumed: int = 0
    handled: int = 0
    skipped: int = 0
    dead_lettered: int = 0
    failed: int = 0
    lost: int = 0
    stale: int = 0
    retries: int = 0
    committed: int = 0

    def add(self, other: "Counts") -> None:
        """Add what another one counted."""
        for name in Counts.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def copy(self) -> "Counts":
        """Return the same numbers, to keep."""
        return replace(self)


class Partition:
    """One partition in one epoch. Asks nobody, knows no time: `Assignment` tells it what happened."""

    __slots__ = (
        "_chunk_started",
        "_chunks",
        "_held",
        "_on_the_way",
        "base",
        "behind_since",
        "chunk_size",
        "closed",
        "committed",
        "committing",
        "counts",
        "failure",
        "fed",
        "has_worker",
        "held_back",
        "key",
        "leader_epoch",
        "offsets",
        "retry_commit_at",
        "semantic",
        "sent_at",
        "start",
        "start_unsure",
        "state",
    )

    def __init__(self, key: Key, semantic: Semantic) -> None:
        self.key = key
        self.semantic = semantic
        self.state = State.RUNNING
        self.offsets: Offsets | None = (
            None  # None until the first record, or the client's position, tells where it starts
        )
        self.start: int | None = None  # where it begins, as the cluster said: what is below was handled before it
        self.base: int | None = None  # where the epoch's position began
        self.start_unsure = False  # it began behind control records: what is committed may be less than `base`
        self.committed: int | None = None  # None until this epoch's first commit was confirmed
        self.committing: int | None = None  # the offset of the commit in flight
        self.sent_at = 0.0  # when that was sent
        self.behind_since: float | None = None  # at least once: since when there is a handled record not committed
        self.retry_commit_at = 0.0
        self.leader_epoch = -1
        self.fed: deque[Piece] = deque()  # with the worker and not all handled
        self.has_worker = False
        self.held_back = False  # a handler left behind by an earlier epoch still runs (D42)
        self.closed = False  # the drain is over: nothing is handed to the worker any more
        self.failure: Failure | None = None
        self.counts = Counts()
        self.chunk_size = 1
        self._held: deque[Piece] = deque()  # received, not to be handed over yet
        self._on_the_way: list[Piece] = []  # at most once: covered by the commit in flight
        self._chunks: deque[tuple[int, int]] = deque()  # at most once: (end, records) of what is committed, not handled
        self._chunk_started = 0.0

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def position(self) -> int | None:
        """The next offset to handle; `None` until the partition's start is known."""
        return None if self.offsets is None else self.offsets.watermark

    @property
    def idle(self) -> bool:
        """Whether nothing is buffered or in flight, so that the client's own position counts (D4)."""
        return not self.fed and not self._held and not self._on_the_way

    @property
    def uncommitted(self) -> int:
        """How far, in offsets, the position is ahead of what is known to be committed: what would come again."""
        if self.offsets is None or self.base is None:
            return 0
        return max(0, self.offsets.watermark - (self.base if self.committed is None else self.committed))

    @property
    def behind(self) -> bool:
        """Whether the position may be ahead of what is committed."""
        return self.start_unsure or self.uncommitted > 0

    @property
    def waits_for_commit(self) -> bool:
        """At most once: whether records wait for a commit, in flight or still to be sent."""
        return bool(self._held or self._on_the_way)

    @property
    def hands_over(self) -> bool:
        """Whether what it holds may go to the worker: also where its log cannot be read on."""
        return self.state in _LIVING and not self.held_back

    @property
    def busy(self) -> bool:
        """Whether a draining partition has records that are still to be handled here."""
        return not self.closed and (self.has_worker or self.waits_for_commit)

    @property
    def settled(self) -> bool:
        """Whether a draining partition can be given back with nothing left to come again."""
        return not self.has_worker and self.committing is None and not self._on_the_way and not self.behind

    def on_the_way(self) -> list[int]:
        """At most once: the offsets that the commit in flight covers and nobody has begun to handle."""
        return [record.offset() for piece in self._on_the_way for record in piece.records]

    def buffered(self) -> tuple[int, int]:
        """Records and bytes received and not handled, as far as this partition's pieces tell."""
        pieces = [*self.fed, *self._held, *self._on_the_way]
        return sum(len(piece.records) for piece in pieces), sum(piece.size for piece in pieces)

    @property
    def in_flight(self) -> int:
        """Records received and not handled, to the record."""
        handled = 0
        if self.fed and self.offsets is not None:
            handled = bisect_left(self.fed[0].records, self.offsets.watermark, key=_offset)
        return self.buffered()[0] - handled

    # -- records come in, records get handled -------------------------------------------------------------------

    def receive(self, piece: Piece) -> Piece | None:
        """Take a piece. Returns it, trimmed of stale records (D1), or `None` where nothing of it counts."""
        if self.state is not State.RUNNING:
            return None
        expected = self.start if self.offsets is None else self.offsets.end
        fresh: Piece | None = piece
        if expected is None or piece.first < expected:
            fresh = None if expected is None else piece.behind(expected)
            self.counts.stale += len(piece.records) - (len(fresh.records) if fresh else 0)
        if fresh is not None:
            if self.offsets is None:
                self.offsets = Offsets(fresh.first)
                self.base = fresh.first
            self.offsets.received(fresh.end)
            self.counts.consumed += len(fresh.records)
            self._held.append(fresh)
        return fresh

    def next_pieces(self) -> list[Piece]:
        """At least once: what the worker gets now. At most once nothing but a confirmed commit feeds the worker."""
        if self.semantic is Semantic.AT_MOST_ONCE or not self.hands_over:
            return []
        return self._feed(self._take_held())

    def _feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        self.fed.extend(pieces)
        if pieces:
            self.has_worker = True
        return list(pieces)

    def _take_held(self) -> list[Piece]:
        pieces = list(self._held)
        self._held.clear()
        return pieces

    def moved(self, position: int, now: float) -> tuple[int, int]:
        """Note how far the worker is: everything below `position` is handled. Returns (records, bytes) set free."""
        offsets = self.offsets
        if offsets is None or position <= offsets.watermark:
            return 0, 0
        offsets.handled_below(min(position, offsets.end))
        if self.behind_since is None and self.semantic is Semantic.AT_LEAST_ONCE:
            self.behind_since = now
        if self.failure is not None and self.state is State.RUNNING and position > self.failure.offset:
            self.failure = None
        records = size = 0
        while self.fed and self.fed[0].end <= position:
            piece = self.fed.popleft()
            self.leader_epoch = piece.leader_epoch
            records += len(piece.records)
            size += piece.size
        if self.fed and self.fed[0].first < position:
            self.leader_epoch = self.fed[0].leader_epoch
        self.counts.handled += records
        while self._chunks and self._chunks[0][0] <= position:
            self._learn_chunk_size(self._chunks.popleft()[1], now)
        return records, size

    def _learn_chunk_size(self, records: int, now: float) -> None:
        elapsed = now - self._chunk_started
        self._chunk_started = now
        fitting = MAX_CHUNK if elapsed <= 0 else int(records * CHUNK_SECONDS / elapsed)
        grown = self.chunk_size * 2 if records >= self.chunk_size else self.chunk_size
        self.chunk_size = max(1, min(fitting, grown, MAX_CHUNK))

    def client_at(self, position: int) -> None:
        """Note the client's own position while nothing is buffered: it is past control records (D4)."""
        if self.offsets is None:
            if self.start is not None and position >= self.start:
                self.offsets = Offsets(position)
                self.base = position
                self.start_unsure = True
        elif self.idle and not self.offsets.outstanding:
            self.offsets.skip_to(position)

    def begin_at(self, end: int) -> None:
        """Commit where this epoch began: nothing was committed before it. `end` counts where nothing was received."""
        if self.committed is not None or self.committing is not None:
            return
        if self.offsets is None:
            self.offsets = Offsets(end)
            self.base = end
            self.start_unsure = True
        elif self.semantic is Semantic.AT_LEAST_ONCE:
            self.start_unsure = True

    # -- commits ------------------------------------------------------------------------------------------------

    def commit_wanted(self) -> int | None:
        """The offset to commit when the interval is over, `None` where nothing moved or a commit is in flight."""
        if self.committing is not None or self.state is State.GONE or self.offsets is None:
            return None
        return self.offsets.watermark if self.behind else None

    @property
    def chunk_wanted(self) -> bool:
        """At most once: whether a chunk waits for its commit and may have it."""
        return (
            bool(self._held)
            and self.semantic is Semantic.AT_MOST_ONCE
            and self.hands_over
            and self.committing is None
            and len(self._chunks) < _CHUNKS_AHEAD
        )

    def take_chunk(self) -> int:
        """At most once: put the next chunk on its way. Returns the offset to commit for it."""
        room = self.chunk_size
        while room and self._held:
            piece = self._held.popleft()
            if len(piece.records) > room:
                piece, rest = piece.split(room)
                self._held.appendleft(rest)
            room -= len(piece.records)
            self._on_the_way.append(piece)
        last = self._on_the_way[-1]
        self.leader_epoch = last.leader_epoch
        return last.end

    def commit_confirmed(self, now: float) -> list[Piece]:
        """The commit in flight is in force. Returns what the worker gets by that (at most once)."""
        assert self.committing is not None
        before = self.base if self.committed is None else self.committed
        self.counts.committed += 0 if before is None else max(0, self.committing - before)
        self.committed, self.committing = self.committing, None
        self.start_unsure = False
        # What is not committed now was handled after this commit was sent.
        self.behind_since = self.sent_at if self.behind_since is not None and self.uncommitted else None
        pieces, self._on_the_way = self._on_the_way, []
        if self.closed:
            self.fed.extend(pieces)  # in force after all, and never to be handled: lost
            return []
        if pieces:
            if not self._chunks:
                self._chunk_started = now
            self._chunks.append((pieces[-1].end, sum(len(piece.records) for piece in pieces)))
        return self._feed(pieces)

    def commit_refused(self, retry_at: float) -> tuple[int, int]:
        """The commit in flight is not in force; it is wanted again at `retry_at`. Returns (records, bytes) set free."""
        self.committing = None
        self.retry_commit_at = retry_at
        pieces, self._on_the_way = self._on_the_way, []
        if self.closed:
            return 0, 0  # they left the buffer then
        self._held.extendleft(reversed(pieces))
        return (0, 0) if self.state in _LIVING else self._drop_held()

    # -- failures -----------------------------------------------------------------------------------------------

    def failing(self, failure: Failure) -> None:
        """An attempt failed and will be repeated."""
        self.counts.retries += 1
        self.waits(failure)

    def waits(self, failure: Failure) -> None:
        """The record in flight does not get through for now; it shows since when it first did not."""
        halted = self.state is State.HALTED  # its log cannot be read on: that lasts, whatever is retried meanwhile
        if halted or self.offsets is None or failure.offset < self.offsets.watermark:
            return
        if self.failure is not None and self.failure.offset == failure.offset:
            failure = replace(failure, since=min(failure.since, self.failure.since))
        self.failure = failure

    def dead_lettered(self) -> None:
        """A record failed for good, its dead letter is confirmed, and the partition goes on."""
        self.counts.dead_lettered += 1

    def failed(self) -> None:
        """A record failed for good and the partition goes on."""
        if self.semantic is Semantic.AT_MOST_ONCE:
            self.counts.failed += 1
        else:
            self.counts.skipped += 1

    # -- the end ------------------------------------------------------------------------------------------------

    def halt(self, failure: Failure, now: float) -> tuple[int, int]:
        """Stop at a failed record, where the worker has ended. Returns (records, bytes) set free."""
        if self.state is State.RUNNING:
            self.state = State.HALTED
        freed = self.worker_ended(failure.offset, now)
        self.failure = failure
        return freed

    def worker_ended(self, position: int, now: float) -> tuple[int, int]:
        """The worker has ended by itself at `position`. Returns (records, bytes) set free; `settle` is next."""
        records, size = self.moved(position, now)
        self.has_worker = False
        rest = self.buffered()
        self._held.clear()
        return records + rest[0], size + rest[1]

    def drain(self) -> tuple[int, int]:
        """Take no more records; what is not handed to the worker is dropped. Returns (records, bytes) set free."""
        self.state = State.DRAINING
        return self._drop_held()

    def close(self) -> tuple[int, int]:
        """Count on the worker no longer: what it still does is not this epoch's. Returns (records, bytes) set free.

        At most once, what is committed stays known until `settle`: it is lost unless the worker still handles it (D23).
        """
        self.closed = True
        self.has_worker = False
        freed = self.buffered()
        self._held.clear()
        if self.semantic is Semantic.AT_LEAST_ONCE and self.offsets is not None:
            self.settle(self.offsets.watermark)
        return freed

    def settle(self, position: int) -> list[int]:
        """Close the books on what was handed over, handled up to `position`.

        Returns the offsets that are committed and will not be handled: none at least once.
        """
        left = [offset for piece in self.fed for record in piece.records if (offset := record.offset()) >= position]
        self.counts.handled += sum(len(piece.records) for piece in self.fed) - len(left)
        self.fed.clear()
        self._chunks.clear()
        if self.semantic is Semantic.AT_LEAST_ONCE:
            return []
        self.counts.lost += len(left)
        return left

    def _drop_held(self) -> tuple[int, int]:
        pieces = self._take_held()
        return sum(len(piece.records) for piece in pieces), sum(piece.size for piece in pieces)


def _offset(record: RawRecord) -> int:
    offset: int = record.offset()
    return offset
