"""The ways of a message: what each costs, in instructions a message."""
# ruff: noqa: SLF001 - the poll loop is stepped from outside

import gc
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind

from humus.queue import kafka
from humus.queue.kafka import _client, _thread_worker
from humus.queue.kafka._commands import AskStarts
from humus.queue.kafka._lookout import Started
from humus.queue.kafka._loop import PollLoop
from humus.queue.kafka._options import validate
from humus.queue.kafka._partition import Start
from humus.queue.kafka._thread_worker import ThreadWorker
from tests.cost.consumer import Consumer, Record, records
from tests.cost.instructions import Instructions
from tests.simulation.shell import VirtualLoop

__all__ = ["PATHS", "Path", "cost", "histogram_call", "span_call"]

Subscribe = Callable[..., kafka.Subscription]

TOPIC: Final = "orders"
PARTITIONS: Final = 4
RUN: Final = 500
"""Records of one partition in a row: of the real client's, a batch has few partitions."""
ROUND_SECONDS: Final = 0.01
_WARM_ROUNDS: Final[dict[Subscribe, int]] = {kafka.at_least_once: 12, kafka.at_most_once: 40}
"""Until chunks and slices have their final size, and what waited for that is handled."""
_ROUNDS: Final = 10
"""Counted: as long as it is from one snapshot to the next."""
_ROUNDS_OBSERVED: Final = 3
"""Counted where somebody listens: each message takes a thousand instructions then."""
_BATCH: Final = 1000
_PATIENCE: Final = 10.0
_CALLS: Final = 100
_TRACEPARENT: Final = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


async def _async(message: kafka.Message) -> None:
    """Do nothing."""


def _def(message: kafka.Message) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Path:
    """One way: the subscription, the kind of processor, and who listens."""

    subscribe: Subscribe = kafka.at_least_once
    processor: Callable[[kafka.Message], Any] = _async
    metrics: bool = False
    durations: bool = False
    sampler: Sampler | None = None
    headers: Any = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def warm_rounds(self) -> int:
        """Rounds before the count."""
        return _WARM_ROUNDS[self.subscribe]

    @property
    def rounds(self) -> int:
        """Rounds that are counted."""
        return _ROUNDS if self.sampler is None and not self.durations else _ROUNDS_OBSERVED


PATHS: Final = {
    "async def": Path(),
    "def": Path(processor=_def),
    "at most once, async def": Path(kafka.at_most_once),
    "at most once, def": Path(kafka.at_most_once, processor=_def),
    "async def, handler_timeout": Path(options={"handler_timeout": 10}),
    "async def, metrics": Path(metrics=True),
    "async def, durations": Path(metrics=True, durations=True),
    "def, durations": Path(processor=_def, metrics=True, durations=True),
    "async def, traces, none sampled": Path(sampler=ALWAYS_OFF),
    "async def, traces, all sampled": Path(sampler=ALWAYS_ON),
    "async def, traces, all sampled, traceparent": Path(sampler=ALWAYS_ON, headers=_TRACEPARENT),
}
"""By name."""


class _Inbox(queue.SimpleQueue[Any]):
    """A thread's inbox that says when the thread has nothing to do, and lets it go on only between rounds."""

    given = asked = 0
    turn = threading.Lock()
    """Held through a round: what a round sees of the workers must not be a matter of chance."""

    @property
    def at_rest(self) -> bool:
        """Whether all that was put in was taken, and more asked for; or nothing was ever."""
        return self.asked == self.given + (self.given > 0)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002
        """Put it in."""
        self.given += 1
        super().put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ARG002
        """Take the next."""
        self.asked += 1
        item = super().get()
        with self.turn:
            return item


class _Run:
    """One runtime, stepped round by round; the application's loop and the workers get all the time they need."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(trace, "_TRACER_PROVIDER", None if path.sampler is None else _tracers(path.sampler))
        patch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", _meters() if path.metrics else None)
        patch.setattr(_client, "Consumer", Consumer)
        patch.setattr(_client, "Record", Record)
        patch.setattr(_thread_worker, "queue", SimpleNamespace(SimpleQueue=_Inbox, Empty=queue.Empty))
        self.now = 0.0
        self.loop = VirtualLoop()
        self.instructions = Instructions({_Inbox.put.__code__, _Inbox.get.__code__})
        subscription = path.subscribe(TOPIC, path.processor)
        options = validate("127.0.0.1:1", "billing", (subscription,), process_duration=path.durations, **path.options)
        self.poll_loop = PollLoop(options, {}, self.loop, lambda _error: None, lambda: self.now)
        self.poll_loop._do[AskStarts] = self._begin
        self.poll_loop._client = client = _client.Client({}, [TOPIC])
        self.consumer: Consumer = client._consumer  # type: ignore[assignment]
        self.consumer.assign(TOPIC, PARTITIONS)
        number = (path.warm_rounds + path.rounds) * _BATCH
        self.consumer.has = records(TOPIC, PARTITIONS, number, RUN, path.headers)

    def _begin(self, command: AskStarts) -> None:
        starts = {key.tp: Start(0, 1, committed=True) for key in command.keys}
        self.poll_loop._sightings.append(Started(command.keys, starts))

    def round(self, *, count: bool = True) -> None:
        """Take one round, and let all workers come to rest."""
        self.now += ROUND_SECONDS
        with _Inbox.turn:
            self.instructions.run(self._step, here=count)
        until = time.monotonic() + _PATIENCE
        while not all(inbox.at_rest for inbox in self._inboxes()):
            assert time.monotonic() < until, "a worker does not come to rest"
            time.sleep(0.0005)

    def _step(self) -> None:
        assert self.poll_loop._client is not None
        self.poll_loop._round(self.poll_loop._client)
        self.loop.advance(self.now)

    def _inboxes(self) -> list[Any]:
        return [worker._inbox for worker in self.poll_loop._workers.values() if isinstance(worker, ThreadWorker)]

    def handled(self) -> int:
        """Return how many records were handled."""
        return sum(worker.position for worker in self.poll_loop._workers.values())

    def close(self) -> None:
        """End the workers."""
        for worker in self.poll_loop._workers.values():
            worker.cancel()
            if isinstance(worker, ThreadWorker):
                worker._thread.join(_PATIENCE)
        self.poll_loop._wake()
        self.loop.advance(self.now)
        self.loop.close()


def cost(path: Path) -> float:
    """Return what a message costs on this path, in instructions."""
    with pytest.MonkeyPatch.context() as patch, _steady():
        run = _Run(path, patch)
        try:
            for left in reversed(range(path.warm_rounds)):
                run.round(count=left < 2)  # counting takes its time, and Python some calls to begin with it
            handled, executed = run.handled(), run.instructions.executed
            for _ in range(path.rounds):
                run.round()
            number = path.rounds * _BATCH
            assert run.handled() - handled == number, "the rounds do not handle as much as they take"
            return (run.instructions.executed - executed) / number
        finally:
            run.close()


# -- the SDK's own calls -----------------------------------------------------------------------------------------


def histogram_call() -> float:
    """Return what one bare call of an SDK histogram costs, in instructions."""
    record = _meters().get_meter("bare").create_histogram("bare", "s").record
    attributes: dict[str, Any] = dict.fromkeys(("system", "group", "destination", "partition", "operation"), "some")
    return _a_call(partial(record, 0.001, attributes))


def span_call(sampler: Sampler) -> float:
    """Return what starting and ending one bare SDK span costs, in instructions."""
    tracer = _tracers(sampler).get_tracer("bare")
    of_span = dict.fromkeys(("system", "group", "destination", "partition", "operation", "type", "client"), "some")

    def span() -> None:
        attributes: dict[str, Any] = {**of_span, "offset": 1}
        with tracer.start_as_current_span("process bare", Context(), SpanKind.CONSUMER, attributes):
            pass

    return _a_call(span)


def _a_call(call: Callable[[], None]) -> float:
    def calls() -> None:
        for _ in range(_CALLS):
            call()

    with _steady():
        calls()
        instructions = Instructions({calls.__code__})
        instructions.run(calls)
        return instructions.executed / _CALLS


def _meters() -> MeterProvider:
    return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


def _tracers(sampler: Sampler) -> TracerProvider:
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    return provider


@contextmanager
def _steady() -> Iterator[None]:
    """Nothing that comes by chance: no collection of garbage, and the same random numbers."""
    random.seed(1)
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
