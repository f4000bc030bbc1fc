"""The loop around the core, in simulated time, and the guarantees that hold after every step.

`World.round()` does what the poll loop does in one round, in the same order. Everything else is what the rest of the
world does meanwhile: the group, the broker that answers commits, handlers that end, time that passes.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from humus.queue.kafka._assignment import COMMIT_GRACE, Assignment
from humus.queue.kafka._commands import (
    Cancel,
    Command,
    Commit,
    Drain,
    Fatal,
    Feed,
    GiveBack,
    Halted,
    Notice,
    Pause,
    Resume,
    Stopped,
    WorkerDone,
    WorkerEvent,
)
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import MAX_CHUNK, Key
from humus.queue.kafka._subscription import Semantic
from tests.simulation.broker import Log, Place
from tests.simulation.client import Client
from tests.simulation.worker import Run, Worker

__all__ = ["Handlers", "Rules", "World"]

RECORD_BYTES = 100
GIVE_BACK_AT = 0.9


@dataclass(frozen=True, slots=True)
class Rules:
    """How large the world is, and the runtime's options."""

    at_least_once: int = 3
    at_most_once: int = 2
    commit_interval: float = 1.0
    drain_timeout: float = 5.0
    rebalance_timeout: float = 10.0
    buffer_max_bytes: int = 20_000
    max_fetches: int | None = None


@dataclass(slots=True)
class Handlers:
    """How handlers behave, as weights: (seconds at least, at most) and the ways an attempt ends."""

    seconds: dict[tuple[float, float], float] = field(default_factory=lambda: {(0.0, 0.002): 1.0})
    ends: dict[str, float] = field(default_factory=lambda: {"ok": 1.0})
    swallow: float = 0.0  # the share of workers whose handlers cannot be cancelled


@dataclass(slots=True)
class _Request:
    """A commit on its way."""

    tp: TopicPartition
    offset: int
    ownership: int | None  # the partition's epoch as the group counts, `None` once the member had been removed
    process: int


@dataclass(frozen=True, slots=True)
class _Rebalance:
    """ "assigned", "revoked", "lost", or "unreadable": heard in the next round."""

    what: str
    tps: list[TopicPartition]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to a commit, heard in the next round."""

    request: _Request
    error: str | None


class World:
    """A group of this member and one other, the topics' logs, and one process of ours after the other."""

    def __init__(self, rules: Rules, random: Random) -> None:
        self.rules = rules
        self.random = random
        self.now = 0.0
        self.handlers = Handlers()
        self.history: list[str] = []
        self.seen: Counter[str] = Counter()  # what this run has come through, so that a test can ask for it
        semantics = {"orders": Semantic.AT_LEAST_ONCE, "metrics": Semantic.AT_MOST_ONCE}
        sizes = {"orders": rules.at_least_once, "metrics": rules.at_most_once}
        self.semantics = {topic: semantic for topic, semantic in semantics.items() if sizes[topic]}
        tps = [Place(topic, number) for topic in self.semantics for number in range(sizes[topic])]
        self.logs: dict[TopicPartition, Log] = {tp: Log(tp, self.semantics[tp.topic]) for tp in tps}
        self.process = 0
        self.start()

    def start(self) -> None:
        """Start a process."""
        self.process += 1
        rules = self.rules
        self.core = Assignment(
            self.semantics,
            commit_interval=rules.commit_interval,
            drain_timeout=rules.drain_timeout,
            rebalance_timeout=rules.rebalance_timeout,
            flow=Flow(rules.buffer_max_bytes, rules.max_fetches),
        )
        self.client = Client(self.logs, self.random, RECORD_BYTES)
        self.workers: dict[Key, Worker] = {}
        self.stopped = False
        self.events: deque[_Rebalance | _Answer] = deque()
        self.requests: list[_Request] = []
        self.removed = False  # the broker does not know this member any more
        self.revoked_at = self.stop_by = self.stopping_since = self.drain_over = math.inf
        self.cancels = 0
        self._said: deque[WorkerEvent] = deque()
        self._ownership: dict[TopicPartition, int] = {}
        self._committing: dict[TopicPartition, int] = {}
        self._sent_by: dict[TopicPartition, int | None] = {}  # in which ownership a commit was sent
        self._promised: dict[TopicPartition, int] = {}  # at most once: confirmed to the core in this epoch
        self._chunks: dict[TopicPartition, list[int]] = {}  # at most once: commits sent in this epoch, not refused
        self._fed: dict[Key, int] = {}
        self._received = 0
        self._completed = 0
        self._largest_batch = 0

    # -- what the group does ------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Write down what happens."""
        self.history.append(f"{self.now:8.3f} {text}")

    def happen(self, what: str, tps: Iterable[TopicPartition]) -> None:
        """Queue "assigned", "revoked", "lost" or "unreadable" for the next round."""
        tps = list(tps)
        self.note(f"{what} {_names(tps)}")
        self.seen[what] += 1
        self.events.append(_Rebalance(what, tps))

    def remove_member(self) -> None:
        """Let the broker forget this member: its partitions are others' from now on, whatever it believes."""
        self.note("the broker removes this member")
        self.seen["removed"] += 1
        self.removed = True
        self._ownership.clear()
        for tp in self.client.assigned:
            self.logs[tp].excuse = "removed"
        for request in self.requests:
            request.ownership = None

    @property
    def rebalance_queued(self) -> bool:
        """Whether the next round brings a rebalance."""
        return any(isinstance(event, _Rebalance) for event in self.events)

    @property
    def rebalancing(self) -> bool:
        """Whether a rebalance is on: the client hears of no other one before it is over."""
        return self.client.revoking is not None or self.rebalance_queued

    @property
    def steady(self) -> bool:
        """Whether a rebalance may begin."""
        return not (self.rebalancing or self.removed)

    def free(self) -> list[TopicPartition]:
        """Return the partitions that neither belong to this member nor are about to."""
        rebalances = [event for event in self.events if isinstance(event, _Rebalance)]
        coming = {tp for event in rebalances if event.what == "assigned" for tp in event.tps}
        return [tp for tp in self.logs if tp not in self.client.assigned and tp not in coming]

    def other_member(self, tp: TopicPartition, most: int) -> None:
        """Let another member handle and commit some records of a partition that is not ours."""
        log = self.logs[tp]
        log.taken_over()
        for offset in log.from_offset(log.start, most):
            if log.semantic is Semantic.AT_MOST_ONCE:
                log.commit(offset + 1)
            log.starts(offset)
            log.handled[offset] += 1
            log.commit(offset + 1)
        self.note(f"another member takes {tp} to {log.committed}")

    def answer_commit(self, how: str) -> None:
        """Let the broker take the oldest commit: "ok", "refused", or "silence" (in force, and a time-out said so)."""
        request = self.requests.pop(0)
        tp, offset = request.tp, request.offset
        if request.ownership is None:
            answer = _Answer(request, "UNKNOWN_MEMBER_ID")
        elif request.ownership != self._ownership.get(tp) or how == "refused":
            answer = _Answer(request, "REBALANCE_IN_PROGRESS")
        else:
            self.logs[tp].commit(offset)
            if how == "silence":
                self.logs[tp].excuse = "the answer to a commit was lost"
            answer = _Answer(request, None if how == "ok" else "_TIMED_OUT")
        self.events.append(answer)
        self.seen[f"commit {how}"] += 1
        self.note(f"commit of {tp} at {offset}: {answer.error or 'in force'}")

    # -- one round of the loop ----------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and handlers go on."""
        self.now += seconds
        for worker in list(self.workers.values()):
            worker.live(self.now)

    def round(self) -> None:
        """Do what the poll loop does in one round, then look at everything that must hold."""
        core, now = self.core, self.now
        most = core.flow.take()
        happened = list(self.events)
        self.events.clear()
        for event in happened:
            if isinstance(event, _Rebalance):
                self._client_did(event.what, event.tps)
        records = self.client.fetch(most)
        batch = sum(len(piece.records) for _, piece in records)
        assert batch <= most, "the simulated client must obey take()"
        for event in happened:
            self._tell(event)
        for tp, piece in records:
            self._received += len(piece.records)
            core.received(tp, piece)
        self._obey()
        while self._said:
            said = self._said.popleft()
            core.worker_said(said, now)
            if isinstance(said, WorkerDone | Halted | Fatal):
                del self.workers[said.key]
            if isinstance(said, Fatal):  # of whatever epoch: it ends the runtime (D34)
                core.stop(now)
                self._stops(now)
        self._obey()
        for key in core.active():
            core.moved(key, self.workers[key].position, now)
        if core.commit_due(now):
            core.client_at(self.client.positions(core.idle()))
        core.tick(now)
        self._obey()
        self._largest_batch = max(self._largest_batch, batch)
        self._check()

    def stop(self) -> None:
        """Ask the runtime to stop."""
        self.note("stop")
        self.seen["stop"] += 1
        self.core.stop(self.now)
        self._stops(self.now)

    def _stops(self, now: float) -> None:
        self.stop_by = min(self.stop_by, now + self.rules.drain_timeout)
        self.stopping_since = min(self.stopping_since, now)

    def kill(self) -> None:
        """End the process at once, as SIGKILL does; what it had sent may still come into force."""
        self.note("kill")
        self.seen["kill"] += 1
        while self.requests and self.random.random() < 0.5:
            self.answer_commit("ok")
        self._check_at_most_two_chunks()
        for tp in self.client.assigned:
            self.logs[tp].excuse = "killed"
        self.start()

    def _client_did(self, what: str, tps: list[TopicPartition]) -> None:
        """Change the client as its callback does; the core is told after the call."""
        client = self.client
        match what:
            case "assigned":
                self.removed = False
                client.assign(tps)
                for tp in tps:
                    self.logs[tp].taken_over()
                    self._ownership[tp] = self.random.getrandbits(60)
                    self._promised[tp] = -1
                    self._chunks[tp] = []
            case "revoked":
                assert client.revoking is None
                client.revoking = tps
                self.revoked_at = self.now
            case "lost":
                for tp in tps:
                    self.logs[tp].excuse = "lost"
                    self._ownership.pop(tp, None)
                client.unassign(tps)
            case "unreadable":
                client.unreadable.update(tps)

    def _tell(self, event: _Rebalance | _Answer) -> None:
        core, now = self.core, self.now
        match event:
            case _Answer(request=request, error=error):
                if request.process == self.process:
                    self._tell_answer(request.tp, request.offset, error)
            case _Rebalance(what="assigned", tps=tps):
                core.assigned(tps, now)
            case _Rebalance(what="revoked", tps=tps):
                core.revoked(tps, now)
            case _Rebalance(what="lost", tps=tps):
                core.lost(tps, now)
            case _Rebalance(tps=[tp]):
                core.unreadable(tp, "TOPIC_AUTHORIZATION_FAILED", "not allowed", now)

    def _tell_answer(self, tp: TopicPartition, offset: int, error: str | None) -> None:
        assert self._committing.pop(tp) == offset
        if error is None:
            self._promised[tp] = max(self._promised.get(tp, -1), offset)
            self.core.commit_confirmed(tp, offset, self.now)
            return
        if offset in self._chunks.get(tp, ()):  # its records wait for another commit
            self._chunks[tp].remove(offset)
        alive = self.core.commit_refused(tp, offset, self.now)
        if error == "UNKNOWN_MEMBER_ID" and alive:
            self.seen["told to be gone"] += 1
            self.core.member_gone(error, self.now)

    # -- the core's commands ------------------------------------------------------------------------------------

    def _obey(self) -> None:
        for command in self.core.commands():
            assert not self.stopped, f"a command after Stopped: {command}"
            self._do(command)

    def _do(self, command: Command) -> None:
        match command:
            case Feed():
                self._feed(command)
            case Drain(key=key, finish=finish):
                self.workers[key].drain(finish=finish)
            case Cancel(key=key):
                self._cancel(key)
            case Pause(tps=tps) | Resume(tps=tps):
                self._pause(tps, pause=isinstance(command, Pause))
            case Commit(offsets=offsets):
                self._commit({tp: offset for tp, (offset, _) in offsets.items()})
            case GiveBack(tps=tps):
                self._give_back(list(tps))
            case Stopped():
                self._stop_ends()
            case Notice():
                self._notice(command)

    def _cancel(self, key: Key) -> None:
        self.cancels += 1
        self.seen["cancel"] += 1
        self.logs[key.tp].excuse = "its worker was cancelled or left behind"
        self.workers[key].cancel()

    def _pause(self, tps: Sequence[TopicPartition], *, pause: bool) -> None:
        assert self.removed or all(tp in self.client.assigned for tp in tps), f"{_names(tps)} is not assigned"
        self.client.paused.difference_update(tps)
        if pause:
            self.client.paused.update(tps)
        self.seen["pause" if pause else "resume"] += 1

    def _notice(self, notice: Notice) -> None:
        self.note(f"notice: {notice.tp or ''} {notice.text}")
        if notice.tp is not None and "not handled and lost: offsets" in notice.text:
            self.logs[notice.tp].excuse = "named as lost"

    def _feed(self, command: Feed) -> None:
        key = command.key
        worker = self.workers.get(key)
        if worker is None:
            assert key not in self._fed, f"starts a second worker for {key}"
            assert not [other for other in self.workers if other.tp == key.tp], f"D42: a second worker for {key.tp}"
            cancellable = self.random.random() >= self.handlers.swallow
            worker = Worker(key, self.semantics[key.tp.topic], self, cancellable=cancellable)
            self.workers[key] = worker
        for piece in command.pieces:
            for record in piece.records:
                offset = record.offset()
                assert offset > self._fed.get(key, -1), f"D1: {key.tp}: {offset} is fed after {self._fed[key]}"
                self._fed[key] = offset
                if worker.semantic is Semantic.AT_MOST_ONCE:
                    assert offset < self._promised[key.tp], f"D20: {key.tp}: {offset} is fed before its commit"
        worker.feed(command.pieces)

    def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        for tp, offset in offsets.items():
            assert tp in self.client.assigned, f"D43: a commit of {tp}, which is not ours"
            assert tp not in self._committing, f"two commits of {tp} in flight"
            self._committing[tp] = offset
            self._sent_by[tp] = self._ownership.get(tp)
            self.requests.append(_Request(tp, offset, self._ownership.get(tp), self.process))
            if self.semantics[tp.topic] is Semantic.AT_MOST_ONCE:
                chunks = self._chunks[tp]
                if chunks:
                    covered = self.logs[tp].between(chunks[-1], offset)
                    assert covered <= MAX_CHUNK, f"D20: a chunk of {covered} records"
                if offset not in chunks:
                    chunks.append(offset)

    def _give_back(self, tps: list[TopicPartition]) -> None:
        assert self.client.revoking is not None, "gives back what nobody asked for"
        assert sorted(tps) == sorted(self.client.revoking), f"gives back {_names(tps)}, not what was revoked"
        self.note(f"given back {_names(tps)}")
        late = self.now >= self.revoked_at + GIVE_BACK_AT * self.rules.rebalance_timeout
        for tp in tps:
            assert not self.core.owns(tp), f"{tp} is given back and still owned"
            if late:
                self.seen["given back late"] += 1
                self.logs[tp].excuse = "given back late"
            self._ownership.pop(tp, None)
        self.client.unassign(tps)
        self.client.revoking = None
        self.revoked_at = math.inf
        for tp in tps:
            if not self.removed and not self.logs[tp].excuse:
                self.logs[tp].taken_over()

    def _stop_ends(self) -> None:
        self.note("stopped")
        self.seen["stopped"] += 1
        waited = self.now >= self.stopping_since + COMMIT_GRACE
        unanswered = self.client.revoking is not None or any(
            self._sent_by.get(tp) == mine for tp, mine in self._ownership.items() if tp in self._committing
        )
        assert waited or not unanswered, "D60: stopped before the grace for commits was over"
        if unanswered or waited:
            for tp in self.client.assigned:
                self.logs[tp].excuse = "stopped without its commits' answers"
        self.stopped = True

    def after_stop(self) -> None:
        """End the stopped process, look at its books, and start the next one."""
        self.core.abandon()
        self.core.commands()
        counts = self.core.counts()
        assert counts.consumed + counts.stale + self.core.stale_epochs <= self._received
        assert counts.handled + counts.lost <= counts.consumed
        assert counts.handled <= self._completed
        if not self.cancels:
            assert counts.handled == self._completed, "the books do not show all that was handled"
        assert (self.core.flow.size, self.core.flow.records) == (0, 0)
        for tp in self.client.assigned:
            if not self.removed and not self.logs[tp].excuse:
                self.logs[tp].taken_over()
        self.start()

    # -- the stage of the workers -------------------------------------------------------------------------------

    def run_of(self, worker: Worker, offset: int) -> Run:
        """Draw how an attempt goes."""
        [(least, most)] = self.random.choices(list(self.handlers.seconds), list(self.handlers.seconds.values()))
        [end] = self.random.choices(list(self.handlers.ends), list(self.handlers.ends.values()))
        if worker.semantic is Semantic.AT_MOST_ONCE and end in ("retry", "halt"):
            end = "skip"
        seconds = math.inf if math.isinf(most) else self.random.uniform(least, most)
        if end != "ok" or seconds > 1:
            self.note(f"the handler of {worker.key.tp}@{offset} takes {seconds:.3f} s: {end}")
        self.seen[end] += 1
        return Run(seconds, end, self.random.choice((0.0, 0.1, 2.0)))

    def handler_starts(self, worker: Worker, offset: int) -> None:
        """Hold D42, D1 and D20 against a handler that starts."""
        tp = worker.key.tp
        busy = [other for other in self.workers.values() if other.running is not None and other.key.tp == tp]
        assert busy == [worker], f"D42: two handlers of {tp} at once"
        self.logs[tp].starts(offset)

    def handler_ends(self, worker: Worker, offset: int, *, handled: bool) -> None:
        """Write a record into the account."""
        if handled:
            log = self.logs[worker.key.tp]
            log.handled[offset] += 1
            self._completed += 1
            if worker.cancelled or self.removed:
                log.excuse = "handled by a worker that nobody counts on"

    def say(self, event: WorkerEvent) -> None:
        """Take an event for the core, heard in the next round."""
        self._said.append(event)

    # -- what holds ---------------------------------------------------------------------------------------------

    def _check(self) -> None:
        core, now = self.core, self.now
        if self.stopped:
            return
        if self.client.revoking is not None:
            by = self.revoked_at + GIVE_BACK_AT * self.rules.rebalance_timeout
            assert now < by, f"D46: not given back {now - by:.2f} s after the last moment"
        if core.stopping:
            if now >= self.stop_by:
                self.drain_over = min(self.drain_over, now)
            assert now < self.drain_over + COMMIT_GRACE, "D60: not stopped in time"
        flow = core.flow
        bound = self.rules.buffer_max_bytes + self._largest_batch * RECORD_BYTES
        assert 0 <= flow.size <= bound, f"D50: {flow.size} bytes are buffered, {bound} is the bound"
        assert flow.size == RECORD_BYTES * flow.records
        views = core.views()
        assert all(view.in_flight >= 0 for view in views)
        for view in views:
            log = self.logs[view.tp]
            if log.semantic is Semantic.AT_LEAST_ONCE and view.position is not None:
                assert view.position <= log.first_unhandled, f"{view.tp} is at {view.position}, ahead of its records"
        self._check_at_most_two_chunks()

    def _check_at_most_two_chunks(self) -> None:
        for key, worker in self.workers.items():
            if worker.semantic is Semantic.AT_MOST_ONCE and self.core.owns(key.tp):
                ahead, at = [], worker.position
                for end in self._chunks[key.tp]:
                    if self.logs[key.tp].between(at, end) > 0:  # else it covers control records alone
                        ahead.append(end)
                        at = end
                self._chunks[key.tp] = ahead
                assert len(ahead) <= 2, f"D21: {key.tp}: {len(ahead)} chunks are committed and not handled"

    def quiet(self) -> bool:
        """Whether everything is handled and committed, and nothing is on its way."""
        flow = self.core.flow
        if flow.size or flow.records or self.requests or self.events or self._said or self.removed:
            return False
        if any(worker.running is not None for worker in self.workers.values()):
            return False
        return all(
            tp in self.client.assigned
            and log.start == log.end
            and (log.first_unhandled == log.end or self._only_lost(log))
            for tp, log in self.logs.items()
        )

    @staticmethod
    def _only_lost(log: Log) -> bool:
        return all(log.handled[offset] or offset in log.lost for offset in log.records)


def _names(tps: Iterable[TopicPartition]) -> str:
    return ", ".join(map(str, tps)) or "nothing"
