"""All partitions of this member: epochs, assign, revoke, lost, stop. The core's one face to the shell.

The shell calls a method for everything that happens (`now` in seconds on any clock that never goes back), and then
carries out `commands()`, in order. Nothing here blocks, waits or reads a clock.

A revoke, in order: the partitions stop being fed at once; each worker finishes the record in flight (at most once:
what is already committed); what was handled is committed; when all of them are settled they are given back together.
A worker that is not done at `drain_timeout` is cancelled or left behind: what it does later belongs to no epoch. What
could not be committed shortly before `rebalance_timeout` is given back all the same and said to come again: past that
time-out the broker hands the partitions to others, whatever we do.

A stop is a revoke of everything, that ends in `Stopped` instead of giving back.

An epoch begins at an offset that the core knows, and nothing is fetched before: the client's own search for a start
goes on after the partition has left, and then brings records of the past into its next epoch, or passes records over.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from humus.queue.kafka._commands import (
    AskEnds,
    AskStarts,
    Begin,
    Cancel,
    Command,
    Commit,
    DeadLettered,
    Drain,
    Failed,
    Failing,
    Fatal,
    Feed,
    GiveBack,
    Halted,
    Notice,
    Pause,
    Resume,
    Stopped,
    Waits,
    WorkerDone,
    WorkerEvent,
)
from humus.queue.kafka._commits import Commits
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._log_ends import LogEnds
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Counts, Failure, Key, Partition, Piece, Start, State
from humus.queue.kafka._stalls import Ends, Seen, Stall, Stalls
from humus.queue.kafka._subscription import Semantic

__all__ = ["Assignment", "Rebalances", "View"]

COMMIT_GRACE: Final = 7.0
"""Seconds after the drain of a stop that commits may take; with the close that is within the 10 s of D60. A classic
group was seen to hold a commit back for 5.6 s while it rebalanced."""
_ASK_AGAIN: Final = 0.25
"""Seconds after which it is asked again where a partition begins, when nobody could say."""
_GIVE_BACK_AT: Final = 0.9
"""The part of the rebalance time-out after which partitions are given back, confirmed or not."""


@dataclass(slots=True)
class Rebalances:
    """How often partitions came, were given back, or were lost."""

    assigned: int = 0
    revoked: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """One partition as it is now."""

    tp: TopicPartition
    state: str
    position: int | None
    committed: int | None
    in_flight: int
    failure: Failure | None
    stall: Stall | None


@dataclass(slots=True)
class _Revoke:
    tps: list[TopicPartition]
    drain_by: float
    give_back_by: float


@dataclass(frozen=True, slots=True)
class _Ghost:
    """A past epoch whose worker was cancelled or left behind and has not ended; `busy` if it had a record to handle."""

    partition: Partition
    busy: bool


class Assignment:
    """The core. One thread calls it."""

    def __init__(
        self,
        semantics: Mapping[str, Semantic],
        *,
        commit_interval: float,
        drain_timeout: float,
        rebalance_timeout: float,
        flow: Flow,
        stalls: Stalls | None = None,
        begin_at_end: bool = False,
    ) -> None:
        self.flow = flow
        self.stalls = Stalls(math.inf) if stalls is None else stalls
        self.log_ends = LogEnds()
        self.rebalances = Rebalances()
        self.fatal: Fatal | None = None
        self.commits_refused = 0  # by partition
        self.jumps = 0
        self.stale_epochs = 0  # records that came for partitions which are not ours
        self._past: dict[TopicPartition, Counts] = {}
        self._semantics = semantics
        self._drain_timeout = drain_timeout
        self._rebalance_timeout = rebalance_timeout
        self._commits = Commits(commit_interval)
        self._partitions: dict[TopicPartition, Partition] = {}
        self._active: set[TopicPartition] = set()  # their worker has something to do
        self._urgent: set[TopicPartition] = set()  # wait for a commit, or for a reason to need one
        self._draining: dict[TopicPartition, bool] = {}  # -> whether the worker was told to
        self._ghosts: dict[Key, _Ghost] = {}
        self._jumped: dict[Key, int] = {}  # -> the offset that is not there; where it goes on is being asked
        self._begin_at_end = begin_at_end  # where nothing is committed
        self._unplaced: dict[Key, float] = {}  # not known yet where they begin -> when to ask, never while it is asked
        self._revoke: _Revoke | None = None
        self._stop_by: float | None = None
        self._drained_at: float | None = None
        self._stopped = False
        self._epoch = 0
        self._commands: list[Command] = []

    # -- what to do, what is known ------------------------------------------------------------------------------

    def commands(self) -> list[Command]:
        """Return what is to be done, oldest first, and forget it."""
        commands, self._commands = self._commands, []
        return commands

    @property
    def hurried(self) -> bool:
        """Whether something is waited for that should be noticed within milliseconds."""
        expected = self._draining or self._urgent or self._revoke or self._unplaced
        return bool(expected) or self.flow.any_paused or self.stopping

    @property
    def rebalancing(self) -> bool:
        """Whether partitions are about to be given back."""
        return self._revoke is not None or self.stopping

    @property
    def answer_due(self) -> bool:
        """Whether a commit is in flight, whose answer comes with a poll."""
        return self._commits.in_flight

    @property
    def stopping(self) -> bool:
        """Whether the runtime is on its way out."""
        return self._stop_by is not None

    def active(self) -> list[Key]:
        """Return the partitions whose workers have something to do: their positions are worth reading."""
        return [self._partitions[tp].key for tp in self._active]

    def idle(self) -> list[TopicPartition]:
        """Return the partitions with nothing buffered or in flight: the client's own position counts for them."""
        return [tp for tp, partition in self._partitions.items() if partition.idle and partition.state is State.RUNNING]

    def owns(self, tp: TopicPartition) -> bool:
        """Whether this partition is in a living epoch."""
        return tp in self._partitions

    @property
    def haunted(self) -> bool:
        """Whether a worker of a past epoch has not ended."""
        return bool(self._ghosts)

    def commit_silence(self, now: float) -> float:
        """Return for how long, in seconds, a commit has had no answer."""
        return self._commits.silence(now)

    def commit_due(self, now: float) -> bool:
        """Whether the commit interval is over."""
        return self._commits.due(now)

    def watch_due(self, now: float) -> bool:
        """Whether it is time to look for partitions that are stuck: the client's own positions should be known."""
        return self.stalls.due(now)

    def counts(self) -> Counts:
        """Return what happened to all records since the start, past epochs included."""
        total = Counts()
        for counts in (*self._past.values(), *(partition.counts for partition in self._partitions.values())):
            total.add(counts)
        return total

    def counts_of_partitions(self) -> dict[TopicPartition, Counts]:
        """Return the same by partition, to keep."""
        found = {tp: counts.copy() for tp, counts in self._past.items()}
        for tp, partition in self._partitions.items():
            found.setdefault(tp, Counts()).add(partition.counts)
        return found

    @property
    def at_work(self) -> int:
        """How many partitions have records with their worker."""
        return sum(1 for partition in self._partitions.values() if partition.fed)

    @property
    def behind_since(self) -> float | None:
        """When the oldest record was handled that is not committed; `None` where all are."""
        times = [partition.behind_since for partition in self._partitions.values()]
        return min((since for since in times if since is not None), default=None)

    def views(self) -> list[View]:
        """Return every partition as it is now."""
        return [self._view(partition) for partition in self._partitions.values()]

    def _view(self, partition: Partition) -> View:
        tp = partition.key.tp
        state = partition.state.value
        stall = self.stalls.stall(tp)
        if partition.state is State.RUNNING:
            if partition.failure is not None:
                state = "retrying"
            elif partition.held_back:
                state = "waiting"
            elif stall is not None:
                state = "stalled"
            elif self.flow.paused(tp):
                state = "paused"
        stall = stall if state == "stalled" else None
        return View(tp, state, partition.position, partition.committed, partition.in_flight, partition.failure, stall)

    # -- the group says -----------------------------------------------------------------------------------------

    def assigned(self, tps: Iterable[TopicPartition], now: float) -> None:
        """Partitions came: each begins a new epoch."""
        tps = list(tps)
        self.lost([tp for tp in tps if tp in self._partitions], now)
        self.rebalances.assigned += bool(tps)
        for tp in tps:
            self._epoch += 1
            partition = Partition(Key(tp, self._epoch), self._semantics[tp.topic])
            partition.held_back = any(key.tp == tp for key in self._ghosts)
            self._partitions[tp] = partition
            self.flow.add(tp)
            if any(key.tp == tp and ghost.busy for key, ghost in self._ghosts.items()):
                self._note("warning", "waits for a handler of an earlier epoch that still runs", tp)
            if self.stopping:
                self._begin_drain(partition)
            else:
                self._unplaced[partition.key] = now
        self._ask_starts(now)

    def _ask_starts(self, now: float) -> None:
        """Ask where partitions begin, all that are due together."""
        keys = [key for key, at in self._unplaced.items() if at <= now]
        if keys:
            self._unplaced.update(dict.fromkeys(keys, math.inf))
            self._do(AskStarts(keys))

    def started(self, asked: Iterable[Key], starts: Mapping[TopicPartition, Start], now: float) -> None:
        """`AskStarts` was answered, by `starts` for those partitions of which the cluster said anything.

        What is below a start was handled, or passed over, before this epoch: wherever it comes from, it is stale.
        """
        offsets: dict[TopicPartition, tuple[int, int]] = {}
        for key in asked:
            if key not in self._unplaced:
                continue  # it has left
            start = starts.get(key.tp)
            if start is None:
                self._unplaced[key] = now + _ASK_AGAIN
                continue
            del self._unplaced[key]
            partition = self._partitions[key.tp]
            partition.start = start.offset
            offsets[key.tp] = start.offset, start.leader_epoch
            self.flow.add(key.tp)  # what it said of the partition before could not be carried out
            if self._begin_at_end and not start.committed:  # what comes before its first commit is not lost (D11)
                partition.begin_at(start.offset)
                self._urgent.add(key.tp)
        if offsets:
            self._do(Begin(offsets))

    def revoked(self, tps: Iterable[TopicPartition], now: float) -> None:
        """Partitions are to be given back: drain them, commit, then `GiveBack`."""
        tps = list(tps)
        self.rebalances.revoked += bool(tps)
        revoke = _Revoke(tps, now + self._drain_timeout, now + self._rebalance_timeout * _GIVE_BACK_AT)
        if self._revoke is not None:  # all of them by the first one's time
            revoke = replace(self._revoke, tps=[*self._revoke.tps, *tps])
        self._revoke = revoke
        for tp in tps:
            partition = self._partitions.get(tp)
            if partition is not None:
                self._begin_drain(partition)

    def lost(self, tps: Iterable[TopicPartition], now: float) -> None:  # noqa: ARG002 - every event has its time
        """Partitions are not ours any more: stop at once, commit nothing."""
        tps = list(tps)
        self.rebalances.lost += any(tp in self._partitions for tp in tps)
        for tp in tps:
            partition = self._partitions.get(tp)
            if partition is not None:
                self._end(partition, "lost")
        if self._revoke is not None:
            gone = set(tps)
            self._revoke.tps = [tp for tp in self._revoke.tps if tp not in gone]
            if not self._revoke.tps:
                self._revoke = None

    def member_gone(self, reason: str, now: float) -> None:
        """The broker does not know this member any more: all its partitions count as lost (D40)."""
        mine = list(self._partitions)
        if mine:
            self._note("error", f"the group does not know this member any more ({reason}): all its partitions are lost")
        pending = [] if self._revoke is None else self._revoke.tps
        self._revoke = None
        self.lost(mine, now)
        if pending:
            # The client waits for the revoke to be completed, and does not say before that the rest is lost.
            self._do(GiveBack(pending))

    # -- records come -------------------------------------------------------------------------------------------

    def received(self, tp: TopicPartition, piece: Piece) -> None:
        """Consecutive records of one partition came from the client."""
        partition = self._partitions.get(tp)
        if partition is None:
            self.stale_epochs += len(piece.records)
            return
        fresh = partition.receive(piece)
        if fresh is None:
            return
        self.flow.took(tp, len(fresh.records), fresh.size)
        self._feed_on(partition)

    def _feed_on(self, partition: Partition) -> None:
        pieces = partition.next_pieces()
        if pieces:
            self._feed(partition, pieces)
        elif partition.semantic is Semantic.AT_MOST_ONCE:
            self._urgent.add(partition.key.tp)

    def _feed(self, partition: Partition, pieces: list[Piece]) -> None:
        self._active.add(partition.key.tp)
        self._do(Feed(partition.key, pieces))

    def unreadable(self, tp: TopicPartition, error_type: str, reason: str, now: float) -> None:
        """The log of a partition cannot be read on: it halts there; what was fetched before is still handled."""
        partition = self._partitions.get(tp)
        if partition is not None and partition.state is State.RUNNING:
            at = -1 if partition.offsets is None else partition.offsets.end
            partition.state = State.HALTED
            partition.failure = Failure(at, 0, error_type, reason, now)
            self.flow.hold(tp)
            self._unplaced.pop(partition.key, None)
            self._note("error", f"halted: {reason}", tp, at, error_type)

    def abandon(self) -> list[Key]:
        """The process is about to end: count what left-behind handlers had as lost, and return who still runs."""
        busy = [key for key, ghost in self._ghosts.items() if ghost.busy]
        for partition in self._commits.unanswered():
            self._note_dropped(partition.key.tp, partition.on_the_way())
        for key in list(self._ghosts):
            partition = self._ghosts[key].partition
            self._ghost_ended(key, -1 if partition.position is None else partition.position)
        return busy

    # -- workers say --------------------------------------------------------------------------------------------

    def moved(self, key: Key, position: int, now: float) -> None:
        """A worker's position was read: everything below it is handled."""
        partition = self._current(key)
        if partition is None:
            return
        self.flow.freed(key.tp, *partition.moved(position, now))
        if not partition.fed:
            self._active.discard(key.tp)

    def worker_said(self, event: WorkerEvent, now: float) -> None:
        """A worker's state changed. A worker that is not counted on any more can only end."""
        key = event.key
        partition = self._current(key)
        if partition is None or key in self._ghosts:
            if isinstance(event, WorkerDone | Fatal):
                self._ghost_ended(key, event.position)
            elif isinstance(event, Halted):
                self._ghost_ended(key, event.failure.offset)
            return
        match event:
            case Failing() | Waits() | Failed() | DeadLettered():
                _note_failure(partition, event)
            case Halted(failure=failure):
                self.flow.freed(key.tp, *partition.halt(failure, now))
                self.flow.hold(key.tp)
                self._active.discard(key.tp)
                partition.settle(failure.offset)
                self._note("error", f"halted: {failure.reason}", key.tp, failure.offset, failure.error_type)
            case WorkerDone(position=position):
                self._worker_ended(partition, position, now)
            case Fatal(position=position):
                self.fatal = self.fatal or event
                self._worker_ended(partition, position, now)
                partition.closed = True  # a commit that is still on its way must not hire another worker
                self.stop(now)

    def _worker_ended(self, partition: Partition, position: int, now: float) -> None:
        tp = partition.key.tp
        self.flow.freed(tp, *partition.worker_ended(position, now))
        self.flow.hold(tp)
        self._active.discard(tp)
        self._settle(partition, position)

    def _ghost_ended(self, key: Key, position: int) -> None:
        ghost = self._ghosts.pop(key, None)
        if ghost is None:
            return
        self._settle(ghost.partition, position)
        partition = self._partitions.get(key.tp)
        if partition is None or not partition.held_back or any(other.tp == key.tp for other in self._ghosts):
            return
        partition.held_back = False
        if ghost.busy:
            self._note("info", "the handler of an earlier epoch has ended: going on", key.tp)
        self._feed_on(partition)

    def _settle(self, partition: Partition, position: int) -> None:
        """Close the books on what a worker was handed, and say what of it is lost (at most once)."""
        lost = partition.settle(position)
        if partition.state is State.GONE:
            self._bury(partition)
        if lost:
            text = f"{len(lost)} committed records are not handled and lost: offsets {_ranges(lost)}"
            self._note("warning", text, partition.key.tp, lost[0])

    def _note_dropped(self, tp: TopicPartition, offsets: Sequence[int]) -> None:
        """Say what is lost or not, as nobody here can know (at most once)."""
        if offsets:
            text = f"{len(offsets)} records are not handled, and lost if their commit, which got no answer, is in force"
            self._note("warning", f"{text}: offsets {_ranges(offsets)}", tp, offsets[0])

    def _bury(self, partition: Partition) -> None:
        self._past.setdefault(partition.key.tp, Counts()).add(partition.counts)
        partition.counts = Counts()

    # -- commits ------------------------------------------------------------------------------------------------

    def client_at(self, positions: Mapping[TopicPartition, int]) -> None:
        """The client's own positions were read, for partitions with nothing buffered (D4)."""
        for tp, position in positions.items():
            partition = self._partitions.get(tp)
            if partition is not None and partition.state is State.RUNNING:
                partition.client_at(position)

    def commit_confirmed(self, tp: TopicPartition, offset: int, now: float) -> None:
        """The broker confirmed a commit."""
        answer = self._commits.confirmed(tp, offset, now)
        if answer is None:
            return
        partition = answer.partition
        if answer.pieces:
            self._feed(partition, answer.pieces)
        elif partition.closed and partition.key not in self._ghosts and partition.position is not None:
            self._settle(partition, partition.position)

    def commit_refused(self, tp: TopicPartition, offset: int, now: float, *, unsure: bool = False) -> bool:
        """A commit failed; it is tried again while the epoch lives (D12). Returns whether it does.

        `unsure`: its answer is lost, so it may be in force all the same.
        """
        answer = self._commits.refused(tp, offset, now)
        if answer is None:
            return False
        self.commits_refused += 1
        if unsure:
            self._note_dropped(tp, answer.dropped)
        if self._current(answer.partition.key) is None:
            return False
        self.flow.freed(tp, *answer.freed)
        self._feed_on(answer.partition)
        return True

    def told(self, asked: Iterable[Key], ends: Mapping[TopicPartition, Ends], now: float) -> None:
        """`AskEnds` was answered, by `ends` for those partitions of which the cluster said anything."""
        self.stalls.told(asked, ends, now)
        self.log_ends.told(asked, ends)
        for key in asked:
            offset = self._jumped.pop(key, None)
            if offset is not None:
                self._tell_jump(key.tp, offset, ends.get(key.tp))
            if offset is not None and self._begin_at_end and key.tp in ends:
                self._place_at_end(key, ends[key.tp].end)

    def _place_at_end(self, key: Key, end: int) -> None:
        """Commit where a partition goes on that jumped to the end: what comes before its first commit is not lost."""
        partition = self._current(key)
        if partition is not None and partition.state is State.RUNNING:
            partition.begin_at(end)
            self._urgent.add(key.tp)

    def jumped(self, tp: TopicPartition, offset: int) -> None:
        """The client could not go on at this offset: counted at once, told when it is known where it goes on (D11)."""
        self.jumps += 1
        partition = self._partitions.get(tp)
        if partition is None or partition.key in self._jumped:
            self._tell_jump(tp, offset, None)
        else:
            self._jumped[partition.key] = offset
            self._do(AskEnds([partition.key], []))

    def _tell_jump(self, tp: TopicPartition, offset: int, ends: Ends | None) -> None:
        where = "beginning" if self.stalls.from_the_beginning else "end"
        to = None if ends is None else ends.begin if self.stalls.from_the_beginning else ends.end
        text = f"offset {offset} is not in the log (any more): going on at its {where}"
        if to is not None:
            text += f", offset {to}" + (f": {to - offset} offsets are passed over" if to > offset else "")
        self._note("error", text, tp, offset)

    # -- time passes --------------------------------------------------------------------------------------------

    def stop(self, now: float, *, within: float | None = None) -> None:
        """Drain everything, commit, then `Stopped`. Called again, it may only shorten the time that is left."""
        stop_by = now + (self._drain_timeout if within is None else within)
        first = self._stop_by is None
        self._stop_by = stop_by if self._stop_by is None else min(self._stop_by, stop_by)
        if first:
            for partition in self._partitions.values():
                self._begin_drain(partition)

    def tick(self, now: float) -> None:
        """Do what time asks for: deadlines, commits, pauses. Call it in every round of the loop."""
        if self._unplaced:
            self._ask_starts(now)
        if self._draining:
            self._drain_on(now)
        self._plan_commits(now)
        if self._revoke is not None:
            self._maybe_give_back(self._revoke, now)
        if self._stop_by is not None and not self._stopped:
            self._maybe_stopped(self._stop_by, now)
        if self.stalls.due(now):
            self._watch(now)
        plan = self.flow.plan(now)
        if plan.pause:
            self._do(Pause(plan.pause))
        if plan.resume:
            self._do(Resume(plan.resume))

    def _watch(self, now: float) -> None:
        """Look for partitions that have records and do not move (D72)."""
        found = self.stalls.look(now, map(self._seen, self._partitions.values()))
        if found.ask:
            keys = [seen.key for seen in found.ask]
            self._do(AskEnds(keys, [seen.key for seen in found.ask if seen.position is None]))
        keys = self.log_ends.look(now, (p.key for p in self._partitions.values() if self._stands(p)))
        if keys:
            self._do(AskEnds(keys, []))
        for stall in found.began:
            text = f"stalled for {now - stall.since:.0f} s: there are records up to offset {stall.end}, and none comes"
            self._note("error", text, stall.key.tp, stall.position)
        for stall in found.ended:
            self._note("info", f"no longer stalled, after {now - stall.since:.0f} s", stall.key.tp, stall.position)

    def _stands(self, partition: Partition) -> bool:
        """Whether the client does not fetch it, or soon will not: its lag is then only known from the cluster."""
        if partition.position is None or partition.key in self._unplaced:
            return False
        if partition.state is not State.RUNNING:
            return partition.state is State.HALTED
        return partition.failure is not None or self.flow.paused(partition.key.tp)

    def _seen(self, partition: Partition) -> Seen:
        """Return what counts for the watch: whatever is with a worker is handled, retried, or waited for visibly."""
        excused = (
            partition.state is not State.RUNNING
            or bool(partition.fed)
            or partition.held_back
            or partition.failure is not None
        )
        received = None if partition.offsets is None else partition.offsets.end
        paused = self.rebalancing or self.flow.paused(partition.key.tp)
        return Seen(partition.key, partition.position, received, excused, paused)

    def _plan_commits(self, now: float) -> None:
        if not (self._urgent or self._draining or self._commits.due(now)):
            return
        urgent = [self._partitions[tp] for tp in self._urgent if tp in self._partitions]
        urgent += [self._partitions[tp] for tp in self._draining if not self._partitions[tp].has_worker]
        offsets = self._commits.plan(now, self._partitions.values(), urgent)
        if offsets:
            self._do(Commit(offsets))
        self._urgent = {p.key.tp for p in urgent if p.semantic is Semantic.AT_MOST_ONCE and p.waits_for_commit}

    def _begin_drain(self, partition: Partition) -> None:
        tp = partition.key.tp
        if tp in self._draining:
            return
        self.flow.freed(tp, *partition.drain())
        self.flow.hold(tp)
        self._unplaced.pop(partition.key, None)
        self._draining[tp] = False

    def _drain_on(self, now: float) -> None:
        for tp, told in list(self._draining.items()):
            partition = self._partitions[tp]
            finish = partition.semantic is Semantic.AT_MOST_ONCE
            if not told and partition.has_worker and not (finish and partition.committing is not None):
                self._do(Drain(partition.key, finish))
                self._draining[tp] = True
            if now >= self._drain_by(tp) and not partition.closed:
                self._close(partition, "was not done when the drain ended")

    def _drain_by(self, tp: TopicPartition) -> float:
        times = []
        if self._revoke is not None and tp in self._revoke.tps:
            times.append(self._revoke.drain_by)
        if self._stop_by is not None:
            times.append(self._stop_by)
        return min(times)

    def _close(self, partition: Partition, why: str) -> None:
        """Count on the worker no longer: it is cancelled or left behind, and what it does belongs to no epoch (D41)."""
        key = partition.key
        if partition.has_worker:
            busy = bool(partition.fed)
            self._ghosts[key] = _Ghost(partition, busy)
            if busy:
                self._note("warning", f"a handler {why}: its record is not handled here", key.tp, partition.position)
            self._do(Cancel(key))
        self.flow.freed(key.tp, *partition.close())
        self._active.discard(key.tp)
        if key not in self._ghosts and partition.position is not None:
            self._settle(partition, partition.position)

    def _maybe_give_back(self, revoke: _Revoke, now: float) -> None:
        mine = [self._partitions[tp] for tp in revoke.tps if tp in self._partitions]
        if now < revoke.give_back_by and not all(partition.settled for partition in mine):
            return
        for partition in mine:
            self._end(partition, "given back")
        self._revoke = None
        self._do(GiveBack(revoke.tps))

    def _maybe_stopped(self, stop_by: float, now: float) -> None:
        partitions = self._partitions.values()
        if self._drained_at is None and (now >= stop_by or not any(partition.busy for partition in partitions)):
            self._drained_at = now
        settled = self._revoke is None and all(partition.settled for partition in partitions)
        if settled or (self._drained_at is not None and now >= self._drained_at + COMMIT_GRACE):
            self._stopped = True
            for partition in list(self._partitions.values()):
                self._end(partition, "left")
            self._do(Stopped())

    def _end(self, partition: Partition, how: str) -> None:
        """End an epoch, whatever its state, and say what it leaves undone."""
        tp = partition.key.tp
        if not partition.closed:
            self._close(partition, f"was running when the partition was {how}")
        again = partition.uncommitted
        if again and partition.semantic is Semantic.AT_LEAST_ONCE:
            self._note("warning", f"{how} with commits outstanding: up to {again} handled records will come again", tp)
        partition.state = State.GONE
        self._bury(partition)
        self._commits.forget(partition)
        del self._partitions[tp]
        self.flow.remove(tp)
        self._unplaced.pop(partition.key, None)
        self._urgent.discard(tp)
        self._draining.pop(tp, None)

    # -- small helpers ------------------------------------------------------------------------------------------

    def _current(self, key: Key) -> Partition | None:
        partition = self._partitions.get(key.tp)
        return partition if partition is not None and partition.key == key else None

    def _do(self, command: Command) -> None:
        self._commands.append(command)

    def _note(
        self,
        level: Literal["info", "warning", "error"],
        text: str,
        tp: TopicPartition | None = None,
        offset: int | None = None,
        error_type: str | None = None,
    ) -> None:
        self._do(Notice(level, text, tp, offset, error_type))


def _note_failure(partition: Partition, event: Failing | Waits | Failed | DeadLettered) -> None:
    match event:
        case Failing(failure=failure):
            partition.failing(failure)
        case Waits(failure=failure):
            partition.waits(failure)
        case Failed():
            partition.failed()
        case DeadLettered():
            partition.dead_lettered()


def _ranges(offsets: Sequence[int]) -> str:
    """Write sorted offsets as ranges: `5-7, 9`."""
    ranges: list[list[int]] = []
    for offset in offsets:
        if ranges and offset == ranges[-1][1] + 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
