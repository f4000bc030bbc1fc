"""The buffer: how much may be taken from the client, whom to pause, whom to resume, whose turn it is to fetch.

Two goals pull apart. Memory is bounded over all partitions together (D50), and one slow partition must not delay
another one (D2). Pausing a partition frees the way for the others, but the client then throws away what it prefetched
for it and fetches it again later, so pausing is the last resort: while all are busy, taking less is enough.

A partition's *load* is its share of the buffer: bytes, or records, whichever is the larger part of its limit.

- The gate. While the unpaused partitions hold their part, only one record a poll is taken, and the client's own
  queue fills and stops fetching. Nothing is purged.
- The share. A partition that holds its share, and twice as much as another that could run, is paused, alone. Shares
  shrink as more partitions are paused: half the buffer is a pool of which each takes up to a half, the other half is
  divided evenly, so that all of them stuck still leave room for the last one.
- The take. One call takes no more than half of the gate that is still open, and half of a share: else a few stuck
  partitions, whose records happen to come first, would hold everything before they can be paused, and a quick one
  that is handed a share at once would be paused for nothing.
- The patience. If the gate stays closed while some partition has nothing to do, the even share counts at once.
- The end. At `max_bytes` everything is paused, until a quarter of it is free: the bound holds, whatever it costs.

`max_concurrent_fetches` (D51) is kept here too: below the number of brokers, at most that many partitions are unpaused,
in turns.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from humus.queue.kafka._message import TopicPartition

__all__ = ["Flow", "Plan"]

MAX_TAKE: Final = 1000
"""Records taken in one call at most; batches of 500 to 2,000 were measured alike, larger ones slower."""
GATE_RECORDS: Final = 40_000
"""Records that close the gate: worth a few tens of milliseconds of work; more would only cost memory."""
PATIENCE: Final = 0.1
"""Seconds that the gate may stay closed while some partition has nothing to do."""
TURN: Final = 1.0
"""Seconds that a partition's turn to fetch lasts at least (D51)."""
_POOL: Final = 0.5
_LEAST_TAKE: Final = 1 / 16
"""The part of the gate that one call may take when shares are small: many partitions have many in one batch."""
_FIRST_GUESS: Final = 16 * 1024.0
"""Bytes of a record before the first one was seen: rather too many, a take that is too small costs next to nothing."""


@dataclass(slots=True)
class _Slot:
    records: int = 0
    size: int = 0
    paused: bool | None = None  # what the client was told; None: a pause survives into a new epoch, so nobody knows
    full: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to tell the client."""

    pause: list[TopicPartition] = field(default_factory=list)
    resume: list[TopicPartition] = field(default_factory=list)


class Flow:
    """The buffer's bookkeeping. `now` is in seconds on any clock that never goes back."""

    def __init__(self, max_bytes: int, max_fetches: int | None = None) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self.records = 0
        self._gate_bytes = max_bytes / 2
        self._max_fetches = max_fetches
        self._brokers: int | None = None
        self._slots: dict[TopicPartition, _Slot] = {}
        self._touched: set[TopicPartition] = set()
        self._recheck = False
        self._full_records = 0  # of the partitions paused for being full
        self._full_size = 0
        self._shut = False
        self._closed_since: float | None = None
        self._impatient_at = 0.0
        self._turns: deque[TopicPartition] = deque()
        self._turn_ends = 0.0
        self._fetching: set[TopicPartition] | None = None
        self._record_bytes = _FIRST_GUESS

    # -- partitions come and go ---------------------------------------------------------------------------------

    def add(self, tp: TopicPartition) -> None:
        """Begin a partition's epoch, with nothing buffered."""
        self.remove(tp)
        self._slots[tp] = _Slot()
        self._turns.append(tp)
        self._recheck = True

    def remove(self, tp: TopicPartition) -> None:
        """End a partition's epoch; whatever it still held is gone."""
        slot = self._slots.pop(tp, None)
        if slot is None:
            return
        self._count(slot, -slot.records, -slot.size)
        self._turns.remove(tp)
        self._touched.discard(tp)
        self._recheck = True

    def hold(self, tp: TopicPartition) -> None:
        """Fetch nothing more for this epoch: it is halted or draining."""
        self._slots[tp].held = True
        self._touched.add(tp)

    def brokers(self, count: int) -> None:
        """Note how many brokers the cluster has: one fetch request a broker is in flight at a time."""
        if count != self._brokers:
            self._brokers = count
            self._recheck = True

    # -- records come and go ------------------------------------------------------------------------------------

    def took(self, tp: TopicPartition, records: int, size: int) -> None:
        """Note records taken from the client."""
        self._count(self._slots[tp], records, size)
        self._touched.add(tp)
        if records:
            seen = size / records
            # Larger records count at once, smaller ones in the long run: what is taken too much cannot be given back.
            self._record_bytes = max(seen, self._record_bytes + (seen - self._record_bytes) * 0.2)

    def freed(self, tp: TopicPartition, records: int, size: int) -> None:
        """Note records handled or dropped."""
        slot = self._slots.get(tp)
        if slot is not None and records:
            self._count(slot, -records, -size)
            self._touched.add(tp)

    def _count(self, slot: _Slot, records: int, size: int) -> None:
        slot.records += records
        slot.size += size
        self.records += records
        self.size += size
        if slot.full:
            self._full_records += records
            self._full_size += size

    # -- what follows -------------------------------------------------------------------------------------------

    def paused(self, tp: TopicPartition) -> bool:
        """Whether this partition is not fetched just now."""
        slot = self._slots.get(tp)
        return slot is not None and slot.paused is True

    @property
    def any_paused(self) -> bool:
        """Whether a partition waits for room, so that room should be noticed soon."""
        return self._shut or self._full_records > 0

    @property
    def closed(self) -> bool:
        """Whether the gate is closed: one record a poll, to keep the client's callbacks alive."""
        full = self._load(self._full_records, self._full_size)
        running = self._load(self.records - self._full_records, self.size - self._full_size)
        return running >= max(1.0 - _POOL, 1.0 - full) or self.size >= self.max_bytes

    def take(self) -> int:
        """How many records may be taken in the next call."""
        if self.closed:
            return 1
        self._closed_since = None
        # With no more than its share and an even share on top of it for each, none finds the buffer full of the others.
        room = max((self._gate_bytes - self.size) / 2, self._gate_bytes * self._even)
        room = min(room, self.max_bytes - self.size, self._gate_bytes * max(self._share(self._even) / 2, _LEAST_TAKE))
        return max(1, min(MAX_TAKE, int(room / max(self._record_bytes, 1.0))))

    @property
    def _even(self) -> float:
        return (1.0 - _POOL) / max(1, len(self._slots))

    def _load(self, records: int, size: int) -> float:
        return max(records / GATE_RECORDS, size / self._gate_bytes)

    def plan(self, now: float) -> Plan:
        """Return whom to pause and whom to resume; takes them as told."""
        self._watch_gate(now)
        turns = self._rotate(now)
        if self._recheck or turns != self._fetching:
            self._recheck = False
            self._fetching = turns
            candidates: Iterable[TopicPartition] = list(self._slots)
        elif self._touched:
            candidates = list(self._touched)
        else:
            return _NOTHING
        self._touched.clear()
        even = self._even
        plan = Plan()
        for tp in candidates:
            slot = self._slots[tp]
            self._judge(slot, even)
            paused = slot.held or slot.full or self._shut or (turns is not None and tp not in turns)
            if paused is not slot.paused:
                slot.paused = paused
                (plan.pause if paused else plan.resume).append(tp)
        return plan

    def _judge(self, slot: _Slot, even: float) -> None:
        load = self._load(slot.records, slot.size)
        if slot.full:
            if load <= even / 2 or load <= self._share(even) / 2:
                self._set_full(slot, full=False)
        elif load >= self._share(even) and self._another_could_run(load):
            self._set_full(slot, full=True)

    def _another_could_run(self, load: float) -> bool:
        """Tell whether a partition that holds so much may be in another one's way: all equally busy, none is."""
        return any(
            not slot.held and not slot.full and self._load(slot.records, slot.size) < load / 2
            for slot in self._slots.values()
        )

    def _share(self, even: float) -> float:
        if self._impatient_at:
            return even
        pool = _POOL - self._load(self._full_records, self._full_size)
        return max(pool / 2, even)

    def _set_full(self, slot: _Slot, *, full: bool) -> None:
        slot.full = full
        sign = 1 if full else -1
        self._full_records += sign * slot.records
        self._full_size += sign * slot.size

    def _watch_gate(self, now: float) -> None:
        shut = self.size >= self.max_bytes * (0.75 if self._shut else 1.0)
        if shut is not self._shut:
            self._shut = shut
            self._recheck = True
        if not self.closed:
            self._closed_since = None
            self._impatient_at = 0.0
        elif self._closed_since is None:
            self._closed_since = now
        elif now - self._closed_since >= PATIENCE and now >= self._impatient_at + PATIENCE:
            starved = any(not slot.records and not slot.held for slot in self._slots.values())
            self._impatient_at = now if starved else 0.0
            self._recheck = self._recheck or starved

    def _rotate(self, now: float) -> set[TopicPartition] | None:
        """Return whose turn it is to fetch, `None` where all may."""
        limit = self._max_fetches
        if limit is None or self._brokers is None or limit >= self._brokers:
            return None
        wanting = [tp for tp in self._turns if not self._slots[tp].held and not self._slots[tp].full]
        if now >= self._turn_ends:
            self._turn_ends = now + TURN
            for tp in wanting[:limit]:
                self._turns.remove(tp)
                self._turns.append(tp)
            wanting = wanting[limit:] + wanting[:limit]
        return set(wanting[:limit])


_NOTHING: Final = Plan()
