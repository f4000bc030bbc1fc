"""The real poll loop and the real asynchronous worker in the simulated world, over a client and a clock of ours.

Nothing of the shell is replaced but its edges: the client, the clock, the event loop's time; and the poll thread, whose
rounds are taken one by one from the thread that runs everything else.
"""
# ruff: noqa: SLF001 - the poll loop is stepped from outside

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError

from humus.queue import kafka
from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._client import Assigned, Committed, Event, Lost, Revoked
from humus.queue.kafka._commands import AskStarts, Cancel, Feed, Notice
from humus.queue.kafka._delivery_context import worker_var
from humus.queue.kafka._lookout import Started
from humus.queue.kafka._loop import PollLoop
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._options import validate
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._subscription import Semantic
from tests.simulation.broker import TOPICS
from tests.simulation.group import Heard
from tests.simulation.member import Answer, Member

__all__ = ["ShellMember"]

_Batch = list[tuple[TopicPartition, Piece]]


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes when it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()
        self.set_exception_handler(lambda _loop, _context: None)  # a killed process leaves tasks behind

    def time(self) -> float:
        """Return the simulated time."""
        return self.now

    def advance(self, until: float) -> None:
        """Run everything that is due, timer by timer."""
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        ready: Any = self._ready  # type: ignore[attr-defined]
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            if ready:
                continue
            if not scheduled or scheduled[0].when() > until:
                break
            self.now = max(self.now, scheduled[0].when())
        self.now = max(self.now, until)


class FakeClient:
    """What the poll loop calls of the client, on the simulated one."""

    def __init__(self, member: "ShellMember") -> None:
        self._member = member

    def poll(self, most: int, _timeout: float) -> Iterator[tuple[list[Event], _Batch]]:
        """Yield what happened, then records."""
        member = self._member
        happened = list(member.inbox)
        member.inbox.clear()
        events = [member.event_of(event) for event in happened]
        batch = member.client.fetch(most, member.world.luck)
        batch = member.strays() + batch
        member.took(sum(len(piece.records) for _, piece in batch))
        yield events, batch

    def pieces(self, records: _Batch) -> Iterator[tuple[TopicPartition, Piece]]:
        """Return what `poll` gave: it is in pieces."""
        return iter(records)

    def commit(self, offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Send commits."""
        for tp, (offset, _) in offsets.items():
            self._member._commit(tp, offset)

    def pause(self, tps: Sequence[TopicPartition]) -> None:
        """Pause."""
        self._member._pause(tps, pause=True)

    def resume(self, tps: Sequence[TopicPartition]) -> None:
        """Resume."""
        self._member._pause(tps, pause=False)

    def unassign(self, tps: Sequence[TopicPartition]) -> None:
        """Complete a revoke."""
        self._member._give_back(list(tps))

    def begin(self, offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Fetch partitions."""
        self._member.begin((tp, offset) for tp, (offset, _) in offsets.items())

    def rest(self, tps: Iterable[TopicPartition]) -> None:
        """Fetch these no more: they begin anew."""
        self._member.takes_up(list(tps))

    def assigned(self) -> set[TopicPartition]:
        """Return what the client holds."""
        return set(self._member.client.assigned)

    def positions(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the client goes on."""
        return self._member.client.positions(tps)

    def end_offset(self, tp: TopicPartition) -> int:
        """Return the log's end."""
        return self._member.world.logs[tp].end


@dataclass(slots=True, eq=False)
class _Handling:
    """A real worker, in the shape in which the checks see workers."""

    key: Key
    semantic: Semantic
    real: Any
    stubborn: bool
    running: int | None = None
    ends: "asyncio.Future[None] | None" = None
    ends_at: float = math.inf

    @property
    def position(self) -> int:
        """Everything below is handled."""
        position: int = self.real.position
        return position

    @property
    def cancelled(self) -> bool:
        """Whether nobody counts on it any more."""
        cancelled: bool = self.real._cancelled
        return cancelled

    @property
    def stuck(self) -> bool:
        """Whether its handler may never end."""
        return self.running is not None and self.ends_at == math.inf

    def let_go(self, _now: float) -> None:
        """End a handler that is stuck."""
        if self.ends is not None and not self.ends.done():
            self.ends.set_result(None)


class ShellMember(Member):
    """A member whose process is the real shell."""

    def start(self) -> None:
        """Start a process."""
        super().start()
        self.loop = VirtualLoop()
        self.loop.now = self.world.now
        random.seed(self.process)  # retries wait a random part of their time
        process = self.process

        async def handle(_message: kafka.Message) -> None:
            if self.process == process:
                await self._handle()

        retry = kafka.Retry(initial=0.1, maximum=1)
        made = {
            Semantic.AT_LEAST_ONCE: kafka.at_least_once(TOPICS[0], handle, retry=retry, on_failure=kafka.halt()),
            Semantic.AT_MOST_ONCE: kafka.at_most_once(TOPICS[1], handle),
        }
        rules = self.world.rules
        options = validate(
            "127.0.0.1:1",
            "g",
            tuple(made[semantic] for semantic in self.world.semantics.values()),
            commit_interval=rules.commit_interval,
            drain_timeout=rules.drain_timeout,
            rebalance_timeout=rules.rebalance_timeout,
            max_concurrent_fetches=rules.max_fetches,
        )
        self.poll_loop = PollLoop(options, {}, self.loop, lambda _error: None, lambda: self.world.now)
        self.poll_loop._client = FakeClient(self)  # type: ignore[assignment]
        self.poll_loop._subscriptions = {topic: made[semantic] for topic, semantic in self.world.semantics.items()}
        self._handlings: dict[Key, _Handling] = {}
        flow, self.core = self.core.flow, self.poll_loop._core
        self.core._semantics = self.world.semantics
        self.core.flow = flow
        self.world.closing.append(_closing(self.loop, self.poll_loop.async_workers, self._handlings))
        self._before(Feed, self._fed_to)
        self._before(Cancel, lambda command: self._note_cancel(command.key))
        self._before(Notice, self._notice)
        self.poll_loop._do[AskStarts] = lambda command: self.questions.append(command.keys)

    def _before(self, kind: type, look: Callable[[Any], None]) -> None:
        """Look at a command before the loop carries it out."""
        do = self.poll_loop._do[kind]

        def both(command: Any) -> None:
            look(command)
            do(command)

        self.poll_loop._do[kind] = both

    # -- the edges ----------------------------------------------------------------------------------------------

    def event_of(self, event: Heard | Answer) -> Event:
        """Change the client as its callback does, and return what the callback records."""
        match event:
            case Answer(request=request, error=error):
                sent, _ = self._committing.pop(request.tp)
                assert sent == request.offset
                self._note_answer(request.tp, request.offset, error)
                found = None if error is None else KafkaError(getattr(KafkaError, error))
                return Committed([(request.tp, request.offset, found)])
            case Heard(what="assigned", tps=tps):
                self._client_did(event)
                return Assigned(tps)
            case Heard(what="revoked", tps=tps):
                self._client_did(event)
                return Revoked(tps)
            case _:
                self._client_did(event)
                return Lost(event.tps)

    def took(self, records: int) -> None:
        """Count a batch."""
        self._received += records
        self._largest_batch = max(self._largest_batch, records)

    def takes_up(self, tps: list[TopicPartition]) -> None:
        """Begin partitions again that the core had lost and the client had not."""
        self.world.seen["taken up again"] += 1
        self.client.assign(tps)
        for tp in tps:
            self._begin(tp)

    def _fed_to(self, command: Feed) -> None:
        if command.key not in self._fed:
            alive = [key for key in self.poll_loop._workers if key.tp == command.key.tp]
            assert not alive, f"D42: a second worker for {command.key.tp}"
        self._check_feed(command)

    def _note_cancel(self, key: Key) -> None:
        self._cancels += 1
        self.world.seen["cancel"] += 1
        self.world.logs[key.tp].excuse = "its worker was cancelled or left behind"

    # -- handlers -----------------------------------------------------------------------------------------------

    async def _handle(self) -> None:
        real: Any = worker_var.get()
        key: Key = real.key
        handling = self._handlings.get(key)
        if handling is None:
            semantic = self.world.semantics[key.tp.topic]
            handling = self._handlings[key] = _Handling(key, semantic, real, self.world.swallows(key.tp))
            self.workers[key] = handling  # type: ignore[assignment]
        offset = real.message.offset
        run = self.run_of(handling, offset)  # type: ignore[arg-type]
        handling.running = offset
        self.handler_starts(handling, offset)  # type: ignore[arg-type]
        handled = False
        try:
            if run.seconds:
                await self._take_time(handling, run.seconds)
            handled = run.end in ("ok", "skip") or handling.semantic is Semantic.AT_MOST_ONCE
        finally:
            handling.running, handling.ends = None, None
            self.handler_ends(handling, offset, handled=handled)  # type: ignore[arg-type]
        if run.end == "retry":
            raise OSError
        if run.end in ("halt", "letter"):
            raise kafka.Reject("no use")
        if run.end == "fatal":
            raise MemoryError

    async def _take_time(self, handling: _Handling, seconds: float) -> None:
        handling.ends = ends = self.loop.create_future()
        handling.ends_at = self.loop.now + seconds
        if not math.isinf(seconds):
            self.loop.call_at(handling.ends_at, handling.let_go, 0.0)
        while not ends.done():
            try:
                await asyncio.shield(ends)
            except asyncio.CancelledError:
                if not handling.stubborn:
                    raise

    # -- stepping -----------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Let handlers go on until now."""
        self.loop.advance(self.world.now)
        for key in [key for key in self.workers if key not in self.poll_loop._workers]:
            del self.workers[key]

    def round(self) -> None:
        """Take one round of the real loop, then look at everything that must hold."""
        poll_loop, now = self.poll_loop, self.world.now
        self.time_passes()
        poll_loop._nudge.set()  # nothing waits for real
        for keys, starts in self.told_starts():
            poll_loop._sightings.append(Started(keys, starts))
        was_stopping = self.core.stopping
        poll_loop._round(poll_loop._client)  # type: ignore[arg-type]
        if self.core.stopping and not was_stopping:
            self._stops(now)
        self.loop.advance(now)
        if poll_loop._stopped:
            self._stop_ends()
        self._check()

    def stop(self) -> None:
        """Ask the runtime to stop, as another thread does."""
        self.poll_loop.stop(self.world.rules.drain_timeout)


def _closing(
    loop: VirtualLoop, workers: Iterable[AsyncWorker], handlings: Mapping[Key, _Handling]
) -> Callable[[], None]:
    """Return what ends a process's tasks when the run is over: none of them counts any more."""

    def close() -> None:
        for handling in handlings.values():
            handling.stubborn = False
        for worker in workers:
            worker.cancel()
            worker.wake()
        loop.advance(loop.now)
        loop.close()

    return close
