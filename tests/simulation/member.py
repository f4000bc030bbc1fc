"""One member: a process at a time, with the loop around the core, in simulated time.

`round()` does what the poll loop does in one round, in the same order, and then looks at all that must hold here.
"""
# ruff: noqa: SLF001 - what the core knows of a partition is compared with what is true, in every round

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from humus.queue.kafka._assignment import COMMIT_GRACE, Assignment
from humus.queue.kafka._commands import (
    AskStarts,
    Begin,
    Cancel,
    Command,
    Commit,
    DeadLettered,
    Drain,
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
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import MAX_CHUNK, Key, Piece, Start, State
from humus.queue.kafka._subscription import Semantic
from tests.simulation.client import Client
from tests.simulation.group import Heard, Membership
from tests.simulation.worker import Run, Worker

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Answer", "Member", "Request"]

RECORD_BYTES: Final = 4000
GIVE_BACK_AT: Final = 0.9
STALL_SECONDS: Final = 10.0
"""A partition that has records and does not move for so long has a declared reason (D72)."""
_LOOK_AFTER: Final = 1.0
_LONGEST_BACKOFF: Final = 0.5
_LONGEST_ROUND: Final = 0.5
_TELLING: Final = (
    "a handler was not done when the drain ended",
    "a handler was running when the partition was lost",
    "waits for a handler of an earlier epoch",
    "the handler of an earlier epoch has ended",
    "committed records are not handled and lost",
    "given back with commits outstanding",
    "lost with commits outstanding",
    "left with commits outstanding",
)
"""What the core says where a run came through something that tests ask for."""


@dataclass(frozen=True, slots=True)
class Request:
    """A commit on its way to the broker."""

    tp: TopicPartition
    offset: int
    member_id: int
    generation: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a commit, heard in the next round."""

    request: Request
    error: str | None


class Member:
    """One member of the group, as one process after the other."""

    def __init__(self, number: int, world: "World") -> None:
        self.number = number
        self.world = world
        self.alive = False
        self.process = 0

    def __str__(self) -> str:
        return f"member {self.number}"

    # -- a process's life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process; it joins the group."""
        rules = self.world.rules
        self.alive = True
        self.frozen = False
        self.process += 1
        self.core = Assignment(
            self.world.semantics,
            commit_interval=rules.commit_interval,
            drain_timeout=rules.drain_timeout,
            rebalance_timeout=rules.rebalance_timeout,
            flow=Flow(rules.buffer_max_bytes, rules.max_fetches),
        )
        self.client = Client(self.world.logs, RECORD_BYTES)
        self.workers: dict[Key, Worker] = {}
        self.inbox: deque[Heard | Answer] = deque()
        self.requests: deque[Request] = deque()
        self.late: deque[Answer] = deque()
        self.questions: deque[Sequence[Key]] = deque()  # where these begin
        self._starts: deque[tuple[Sequence[Key], dict[TopicPartition, Start]]] = deque()  # answers on their way
        self.revoked_at = self.stop_by = self.stopping_since = self.drain_over = math.inf
        self.stopped = False
        self._cancels = 0
        self._said: deque[WorkerEvent] = deque()
        self._epochs: dict[TopicPartition, int] = {}  # counts the assignments of a partition, from here
        self._committing: dict[TopicPartition, tuple[int, int]] = {}  # -> offset and epoch of the commit in flight
        self._promised: dict[TopicPartition, int] = {}  # at most once: confirmed to the core in this epoch
        self._chunks: dict[TopicPartition, list[int]] = {}  # at most once: commits sent in this epoch, not refused
        self._fed: dict[Key, int] = {}
        self._regular_at: dict[TopicPartition, float] = {}
        self._dirty_since: dict[TopicPartition, float] = {}  # when a record was handled that is not committed
        self._not_before: dict[TopicPartition, float] = {}  # when the last answer came, with a refused one's wait
        self._uptime = self._round_at = self.world.now
        self._moved: dict[TopicPartition, tuple[int | None, float]] = {}
        self._received = 0
        self._completed = 0
        self._dead_lettered = 0
        self._largest_batch = 0
        self.join()

    def join(self) -> None:
        """Join the group, as a new member."""
        self.membership: Membership = self.world.group.join(self.inbox.append)
        self.client.generation = -1
        self.world.note(self, "joins as", self.membership.id)

    def die(self) -> None:
        """End the process as SIGKILL does. The group does not notice before the session time-out."""
        self.alive = False
        self._see_at("killed", self.client.assigned)
        self._check_at_most_two_chunks()
        for tp in self.client.assigned:
            self.world.logs[tp].excuse = "killed"

    @property
    def known(self) -> bool:
        """Whether the group knows this member."""
        return self.membership.id in self.world.group.members

    @property
    def rebalancing(self) -> bool:
        """Whether a rebalance is on in the client: it hears of no other one before that is over."""
        return self.client.revoking is not None or any(isinstance(event, Heard) for event in self.inbox)

    def counts_on(self, worker: Worker) -> bool:
        """Whether what a worker handles is this member's to commit, as far as the whole group goes."""
        return self.known and not worker.cancelled and self.core.owns(worker.key.tp)

    # -- one round of the loop ----------------------------------------------------------------------------------

    def live(self) -> None:
        """Let handlers go on until now."""
        now = self.world.now
        for worker in list(self.workers.values()):
            worker.live(now)

    def round(self) -> None:
        """Do what the poll loop does in one round, then look at everything that must hold."""
        core, now = self.core, self.world.now
        self.time_passes()
        most = core.flow.take()
        happened = list(self.inbox)
        self.inbox.clear()
        for event in happened:
            if isinstance(event, Heard):
                self._client_did(event)
        records = self.client.fetch(most, self.world.luck)
        batch = sum(len(piece.records) for _, piece in records)
        assert batch <= most, "the simulated client must obey take()"
        records = self.strays() + records
        batch = 0
        for event in happened:
            self._tell(event)
        for tp, piece in records:
            batch += len(piece.records)
            core.received(tp, piece)
        self._received += batch
        self._obey()
        while self._said:
            self._listen(self._said.popleft(), now)
        for keys, starts in self.told_starts():
            core.started(keys, starts, now)
        self._obey()
        for key in core.active():
            core.moved(key, self.workers[key].position, now)
        if core.commit_due(now):
            core.client_at(self.client.positions(core.idle()))
        core.tick(now)
        self._obey()
        self._largest_batch = max(self._largest_batch, batch)
        self._check()

    def time_passes(self) -> None:
        """Count the time that the process has lived: a frozen one does not stand still, it is not there."""
        self._uptime += min(self.world.now - self._round_at, _LONGEST_ROUND)
        self._round_at = self.world.now

    def strays(self) -> list[tuple[TopicPartition, Piece]]:
        """Return records that the client brings out of the past: none of them may be handled."""
        strays = self.client.stray(self.world.luck)
        self.world.seen["a record of the past"] += len(strays)
        return strays

    def _listen(self, said: WorkerEvent, now: float) -> None:
        partition = self.core._partitions.get(said.key.tp)
        late = partition is not None and partition.key != said.key
        before = self._books(said.key.tp) if late else None
        self.core.worker_said(said, now)
        if late:
            self.world.seen[f"a worker of an earlier epoch says: {type(said).__name__}"] += 1
            assert self._books(said.key.tp) == before, f"D41: a worker of an earlier epoch changes {said.key.tp}"
        if isinstance(said, WorkerDone | Halted | Fatal):
            del self.workers[said.key]
        if isinstance(said, Fatal):  # of whatever epoch: it ends the runtime (D34)
            self.core.stop(now)
            self._stops(now)

    def told_starts(self) -> Iterator[tuple[Sequence[Key], dict[TopicPartition, Start]]]:
        """Yield an answer to where partitions begin, if one comes; it may be late, and leave some of them out."""
        luck = self.world.luck
        if self.questions and not luck.one_in(3):
            keys = self.questions.popleft()
            logs = {key.tp: self.world.logs[key.tp] for key in keys if not luck.one_in(6)}
            if len(logs) < len(keys):
                self.world.seen["nobody says where a partition begins"] += 1
            starts = {tp: Start(log.start, -1, log.committed is not None) for tp, log in logs.items()}
            self._starts.append((keys, starts))
        if self._starts and not luck.one_in(3):
            yield self._starts.popleft()

    def begin(self, offsets: Iterable[tuple[TopicPartition, int]]) -> None:
        """Let the client begin to fetch partitions."""
        for tp, offset in offsets:
            self.client.begin(tp, offset)

    def stop(self) -> None:
        """Ask the runtime to stop."""
        if self.client.revoking is not None:
            self.world.seen["stop during a revoke"] += 1
        self.core.stop(self.world.now)
        self._stops(self.world.now)

    def _stops(self, now: float) -> None:
        self.stop_by = min(self.stop_by, now + self.world.rules.drain_timeout)
        self.stopping_since = min(self.stopping_since, now)

    def _client_did(self, event: Heard) -> None:
        """Change the client as its callback does; the core is told after the call."""
        client, world, tps = self.client, self.world, event.tps
        if event.generation is not None and event.member_id == self.membership.id:
            client.generation = event.generation
        match event.what:
            case "assigned":
                client.assign(tps)
                for tp in tps:
                    if world.group.owners.get(tp) == self.membership.id:
                        world.taken_over(tp)
                    else:
                        world.seen["assigned too late"] += 1
                    self._begin(tp)
            case "revoked":
                assert client.revoking is None
                client.revoking = tps
                self.revoked_at = world.now
                self._see_at("revoked", tps)
            case "lost":
                self._see_at("lost", tps)
                for tp in tps:
                    world.logs[tp].excuse = "lost"
                client.unassign(tps)
                self.join()
            case "unreadable":
                client.unreadable.update(tps)

    def _begin(self, tp: TopicPartition) -> None:
        self._epochs[tp] = self._epochs.get(tp, 0) + 1
        self._promised[tp] = -1
        self._chunks[tp] = []
        self._regular_at[tp] = -math.inf
        self._dirty_since.pop(tp, None)
        self._moved[tp] = None, self._uptime

    def _see_at(self, what: str, tps: Iterable[TopicPartition]) -> None:
        seen = self.world.seen
        if self.core.stopping:
            seen[f"{what} while stopping"] += 1
        for tp in tps:
            partition = self.core._partitions.get(tp)
            if partition is not None and partition.state is State.HALTED:
                seen[f"{what} while halted"] += 1
            elif partition is not None and partition.failure is not None:
                seen[f"{what} while a record is tried again or waits"] += 1
            elif partition is not None and partition.held_back:
                seen[f"{what} while held back"] += 1
            if tp in self._committing:
                seen[f"{what} while a commit is in flight"] += 1
            if any(worker.running is not None for worker in self.workers.values() if worker.key.tp == tp):
                seen[f"{what} while a handler runs"] += 1

    def _tell(self, event: Heard | Answer) -> None:
        core, now = self.core, self.world.now
        match event:
            case Answer(request=request, error=error):
                self._tell_answer(request.tp, request.offset, error)
            case Heard(what="assigned", tps=tps):
                if any(worker.key.tp in tps for worker in self.workers.values()):
                    self.world.seen["assigned while an earlier worker lives"] += 1
                core.assigned(tps, now)
            case Heard(what="revoked", tps=tps):
                core.revoked(tps, now)
            case Heard(what="lost", tps=tps):
                core.lost(tps, now)
            case Heard(tps=[tp]):
                core.unreadable(tp, "TOPIC_AUTHORIZATION_FAILED", "not allowed", now)

    def _books(self, tp: TopicPartition) -> tuple[object, ...] | None:
        """Return what nothing late may change (D41)."""
        partition = self.core._partitions.get(tp)
        if partition is None:
            return None
        progress = partition.position, partition.committed, partition.committing, partition.retry_commit_at
        return *progress, partition.state, partition.failure, partition.counts.handled, partition.buffered()

    def _tell_answer(self, tp: TopicPartition, offset: int, error: str | None) -> None:
        sent, epoch = self._committing.pop(tp)
        assert sent == offset
        if epoch == self._epochs[tp]:
            self._tell_answer_in_time(tp, offset, error)
            return
        before = self._books(tp)
        self.world.seen[f"an answer for an earlier epoch: {'in force' if error is None else 'refused'}"] += 1
        self._tell_answer_in_time(tp, offset, error)
        assert self._books(tp) == before, f"D41: the answer to an earlier epoch's commit changes {tp}"

    def _tell_answer_in_time(self, tp: TopicPartition, offset: int, error: str | None) -> None:
        now = self.world.now
        self._note_answer(tp, offset, error)
        if error is None:
            self.core.commit_confirmed(tp, offset, now)
            return
        alive = self.core.commit_refused(tp, offset, now, unsure=error == "_TIMED_OUT")
        if error == "UNKNOWN_MEMBER_ID" and alive:
            self.world.seen["told to be gone"] += 1
            if self.client.revoking is not None:
                self.world.seen["told to be gone during a revoke"] += 1
            self.core.member_gone(error, now)

    def _note_answer(self, tp: TopicPartition, offset: int, error: str | None) -> None:
        now = self.world.now
        self._not_before[tp] = now if error is None else now + _LONGEST_BACKOFF
        if offset in self._chunks[tp]:
            if error is None:
                self._promised[tp] = max(self._promised[tp], offset)
            else:  # its records wait for another commit
                self._chunks[tp].remove(offset)

    # -- the core's commands ------------------------------------------------------------------------------------

    def _obey(self) -> None:
        for command in self.core.commands():
            assert not self.stopped, f"D60: a command after Stopped: {command}"
            self._do(command)

    def _do(self, command: Command) -> None:
        match command:
            case Feed():
                self._feed(command)
            case Drain(key=key, finish=finish):
                self.workers[key].drain(finish=finish)
            case Cancel(key=key):
                self._cancel(key)
            case Stopped():
                self._stop_ends()
            case Notice():
                self._notice(command)
            case _:
                self._do_with_client(command)

    def _do_with_client(self, command: Command) -> None:
        match command:
            case Pause(tps=tps) | Resume(tps=tps):
                self._pause(tps, pause=isinstance(command, Pause))
            case Commit(offsets=offsets):
                for tp, (offset, _) in offsets.items():
                    self._commit(tp, offset)
            case AskStarts(keys=keys):
                self.questions.append(keys)
            case Begin(offsets=offsets):
                self.begin((tp, offset) for tp, (offset, _) in offsets.items())
            case GiveBack(tps=tps):
                self._give_back(list(tps))

    def _cancel(self, key: Key) -> None:
        self._cancels += 1
        self.world.seen["cancel"] += 1
        self.world.logs[key.tp].excuse = "its worker was cancelled or left behind"
        self.workers[key].cancel()

    def _pause(self, tps: Sequence[TopicPartition], *, pause: bool) -> None:
        assert not self.known or all(tp in self.client.assigned for tp in tps), f"D43: {_names(tps)} is not assigned"
        self.client.paused.difference_update(tps)
        if pause:
            self.client.paused.update(tps)
        self.world.seen["pause" if pause else "resume"] += 1

    def _notice(self, notice: Notice) -> None:
        self.world.note(self, "says:", notice.tp or "", notice.text)
        for words in _TELLING:
            if words in notice.text:
                self.world.seen[f"says: {words}"] += 1
        if notice.tp is not None and "not handled and lost: offsets" in notice.text:
            self.world.logs[notice.tp].excuse = "named as lost"

    def _feed(self, command: Feed) -> None:
        key = command.key
        worker = self.workers.get(key)
        if worker is None:
            assert key not in self._fed, f"D42: starts a second worker for {key}"
            assert not [other for other in self.workers if other.tp == key.tp], f"D42: a second worker for {key.tp}"
            worker = Worker(key, self.world.semantics[key.tp.topic], self, cancellable=not self.world.swallows(key.tp))
            self.workers[key] = worker
        self._check_feed(command)
        worker.feed(command.pieces)

    def _check_feed(self, command: Feed) -> None:
        key = command.key
        last = self._fed.get(key, -1)
        for piece in command.pieces:
            for record in piece.records:
                offset = record.offset()
                assert offset > last, f"D1: {key.tp}: {offset} is fed after {last}"
                last = offset
        self._fed[key] = last
        if self.world.logs[key.tp].at_most_once:
            assert last < self._promised[key.tp], f"D20: {key.tp}: {last} is fed before its commit"

    def _commit(self, tp: TopicPartition, offset: int) -> None:
        now = self.world.now
        assert tp in self.client.assigned, f"D43: a commit of {tp}, which is not ours"
        assert tp not in self._committing, f"D12: two commits of {tp} in flight"
        self._committing[tp] = offset, self._epochs[tp]
        self.requests.append(Request(tp, offset, self.membership.id, self.client.generation, now))
        if self.world.logs[tp].at_most_once:
            chunks = self._chunks[tp]
            if chunks:
                covered = self.world.logs[tp].between(chunks[-1], offset)
                assert covered <= MAX_CHUNK, f"D20: a chunk of {covered} records"
            if offset not in chunks:
                chunks.append(offset)
        elif self.core.owns(tp) and self.core._partitions[tp].state is not State.DRAINING:
            apart = now - self._regular_at[tp]
            assert apart > self.world.rules.commit_interval - 1e-6, f"D12: {tp}: commits only {apart:.3f} s apart"
            self._regular_at[tp] = now

    def _give_back(self, tps: list[TopicPartition]) -> None:
        world = self.world
        assert self.client.revoking is not None, "D40: gives back what nobody asked for"
        assert sorted(tps) == sorted(self.client.revoking), f"D40: gives back {_names(tps)}, not what was revoked"
        world.note(self, "gives back", _names(tps))
        late = world.now >= self.revoked_at + GIVE_BACK_AT * world.rules.rebalance_timeout
        for tp in tps:
            assert not self.core.owns(tp), f"D41: {tp} is given back and still owned"
            if late:
                world.seen["given back late"] += 1
                world.logs[tp].excuse = "given back late"
        self.client.unassign(tps)
        self.client.revoking = None
        self.revoked_at = math.inf
        world.group.given_back(self.membership.id, tps)

    def _stop_ends(self) -> None:
        self.world.note(self, "has stopped")
        self.world.seen["stopped"] += 1
        waited = self.world.now >= self.stopping_since + COMMIT_GRACE
        unanswered = self.client.revoking is not None or any(
            epoch == self._epochs[tp] and tp in self.client.assigned for tp, (_, epoch) in self._committing.items()
        )
        # Who was told to be gone owns nothing any more: its answers change nothing.
        assert waited or not unanswered or not self.known, "D60: stopped before the grace for commits was over"
        if unanswered or waited:
            for tp in self.client.assigned:
                self.world.logs[tp].excuse = "stopped without its commits' answers"
        self.stopped = True

    def after_stop(self) -> None:
        """End the stopped process: it leaves the group; look at its books."""
        core = self.core
        core.abandon()
        core.commands()
        counts = core.counts()
        assert counts.consumed + counts.stale + core.stale_epochs <= self._received, "books: more consumed than came"
        assert counts.handled + counts.lost <= counts.consumed, "books: more handled than consumed"
        assert counts.handled <= self._completed, "books: more handled than was"
        assert self._cancels or counts.handled == self._completed, "books: not all that was handled is in them"
        assert counts.dead_lettered <= self._dead_lettered, "books: more dead letters than were"
        assert self._cancels or counts.dead_lettered == self._dead_lettered, "books: not all dead letters are in them"
        assert (core.flow.size, core.flow.records) == (0, 0), "D50: records of no epoch are counted as buffered"
        self.alive = False
        self.world.group.leave(self.membership.id)

    # -- the stage of the workers -------------------------------------------------------------------------------

    def run_of(self, worker: Worker, offset: int) -> Run:
        """Say how an attempt goes."""
        return self.world.run_of(worker.key.tp, offset)

    def handler_starts(self, worker: Worker, offset: int) -> None:
        """Hold D42, D1 and D20 against a handler that starts."""
        tp, world = worker.key.tp, self.world
        for other in self.workers.values():
            if other.key.tp == tp and other is not worker:
                assert other.running is None, f"D42: two handlers of {tp} at once"
        if len(world.members) > 1:
            if not self.known:
                world.seen["a removed member goes on"] += 1
            elif not worker.cancelled:
                self._check_alone(tp)
        world.logs[tp].starts(offset)

    def _check_alone(self, tp: TopicPartition) -> None:
        for other in self.world.members:
            if other is not self and other.alive:
                for theirs in other.workers.values():
                    if theirs.key.tp == tp and theirs.running is not None:
                        assert not other.counts_on(theirs), f"D40: {self} and {other} both handle {tp}"
                        self.world.seen["two members at one partition, one of them removed"] += not other.known

    def handler_ends(self, worker: Worker, offset: int, *, handled: bool) -> None:
        """Write a record into the account."""
        log = self.world.logs[worker.key.tp]
        if handled:
            log.handled[offset] += 1
            self._completed += 1
            if self.counts_on(worker):
                log.done_at[offset] = self.world.now
            else:
                log.excuse = "handled by a worker that nobody counts on"

    def letter_due(self, worker: Worker, offset: int) -> None:
        """Note that a record waits for its dead letter."""
        self.world.logs[worker.key.tp].letters_due[offset] += 1

    def letter_over(self, worker: Worker, offset: int, *, there: bool) -> None:
        """Note that the wait for a dead letter is over, and whether the letter is in its topic."""
        log = self.world.logs[worker.key.tp]
        log.letters_due[offset] -= 1
        if there:
            self.world.seen["a dead letter comes twice" if log.letters[offset] else "a dead letter is there"] += 1
            log.letters[offset] += 1
        if worker.cancelled:
            self.world.seen["a wait for a dead letter is cut off"] += 1

    def say(self, event: WorkerEvent) -> None:
        """Take an event for the core, heard in the next round."""
        if isinstance(event, Waits):
            self.world.seen["a record waits"] += 1
        elif isinstance(event, DeadLettered):
            assert self.world.logs[event.key.tp].letters[event.failure.offset], "D32: goes on without the dead letter"
            self._dead_lettered += 1
        self._said.append(event)

    # -- what holds ---------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.stopped:
            return
        core, now, rules = self.core, self.world.now, self.world.rules
        if self.client.revoking is not None:
            by = self.revoked_at + GIVE_BACK_AT * rules.rebalance_timeout
            assert now < by, f"D46: not given back {now - by:.2f} s after the last moment"
        if core.stopping:
            if now >= self.stop_by:
                self.drain_over = min(self.drain_over, now)
            assert now < self.drain_over + COMMIT_GRACE, "D60: not stopped in time"
        self._check_partitions()
        self._check_at_most_two_chunks()

    def _check_partitions(self) -> None:
        core = self.core
        buffered = 0
        for tp, partition in core._partitions.items():
            if not partition.closed:
                buffered += partition.buffered()[0]
            log, position = self.world.logs[tp], partition.position
            if not log.at_most_once and position is not None:
                if position > log.start:
                    assert position <= log.first_unhandled, f"D10: {tp} is at {position}, ahead of its records"
                self._check_commits_in_time(
                    tp, dirty=partition.committing is None and log.between(log.start, position) > 0
                )
            before, since = self._moved[tp]
            if position != before:
                self._moved[tp] = position, self._uptime
            elif self._uptime - since > _LOOK_AFTER:
                self._check_stall(tp, position, since)
        flow = core.flow
        bound = self.world.rules.buffer_max_bytes + self._largest_batch * RECORD_BYTES
        assert flow.size <= bound, f"D50: {flow.size} bytes are buffered, {bound} is the bound"
        assert flow.size == RECORD_BYTES * flow.records, "D50: bytes and records do not agree"
        assert flow.records == buffered, f"D50: {flow.records} records count as buffered, {buffered} are"

    def _check_commits_in_time(self, tp: TopicPartition, *, dirty: bool) -> None:
        draining = self.core._partitions[tp].state is State.DRAINING
        if not dirty or draining or tp in self._committing or not self.known:
            self._dirty_since.pop(tp, None)
            return
        since = max(self._dirty_since.setdefault(tp, self.world.now), self._not_before.get(tp, 0.0))
        waits = self.world.now - since
        assert waits <= self.world.rules.commit_interval + 1e-6, (
            f"D11: {tp}: what is handled waits {waits:.2f} s for a commit"
        )

    def _check_stall(self, tp: TopicPartition, position: int | None, since: float) -> None:
        """Look whether a partition that does not move has a reason that shows, then or in any round before."""
        now, log, partition = self.world.now, self.world.logs[tp], self.core._partitions[tp]
        reason = (
            partition.state is not State.RUNNING
            or partition.failure is not None
            or partition.held_back
            or self.client.revoking is not None  # fetching stands still while a revoke drains (D44)
            or any(worker.key.tp == tp and worker.running is not None for worker in self.workers.values())
            or (log.at_most_once and (tp in self._committing or now < partition.retry_commit_at))
            or tp in self.client.unreadable
        )
        records = log.from_offset(max(log.start if position is None else position, 0), 1)
        if reason or not records:
            self._moved[tp] = position, self._uptime
            return
        assert self._uptime - since < STALL_SECONDS, (
            f"D72: {tp} has stood still at {position} for {STALL_SECONDS} s for no reason"
        )

    def _check_at_most_two_chunks(self) -> None:
        for key, worker in self.workers.items():
            if worker.semantic is Semantic.AT_MOST_ONCE and self.core.owns(key.tp):
                ahead, at, log = [], worker.position, self.world.logs[key.tp]
                for end in self._chunks[key.tp]:
                    if log.between(at, end) > 0:  # else it covers control records alone
                        ahead.append(end)
                        at = end
                self._chunks[key.tp] = ahead
                assert len(ahead) <= 2, f"D21: {key.tp}: {len(ahead)} chunks are committed and not handled"

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way here."""
        flow = self.core.flow
        if flow.records or self.requests or self.inbox or self.late or self._said or not self.known or self.frozen:
            return False
        return not any(worker.running is not None for worker in self.workers.values())


def _names(tps: Iterable[TopicPartition]) -> str:
    return ", ".join(map(str, tps)) or "nothing"
