"""A runtime at work inside a test, and what the test watches it by.

Everything runs on the test's own event loop, where the `async def` processors run as well; so a test calls what blocks
(the admin client, Kafka's tools) in a thread: `await asyncio.to_thread(kafka.admin.lag, group, name)`, and conditions
given to `eventually` are asked in a thread anyway.
"""

import asyncio
import inspect
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TypeVar

from humus.queue.kafka import Message, PartitionStatus, Runtime

__all__ = ["Gate", "Kind", "Protocol", "Recorder", "Work", "eventually", "partitions", "running"]

Kind = Literal["async", "def"]
Protocol = Literal["classic", "consumer"]
Work = Callable[[Message], object]
T = TypeVar("T")

_LONG = 100.0


@asynccontextmanager
async def running(runtime: Runtime, *, stops_within: float = 30.0) -> AsyncIterator[asyncio.Task[None]]:
    """Run the runtime during the block, then stop it gracefully and wait until it has ended.

    An error of the runtime interrupts the block and is raised at its end. The task may be awaited or cancelled by the
    test.
    """
    body = asyncio.current_task()
    assert body is not None
    task = asyncio.create_task(runtime.process_queue())

    def interrupt(ended: "asyncio.Task[None]") -> None:
        if not ended.cancelled() and ended.exception() is not None:
            body.cancel()

    task.add_done_callback(interrupt)
    try:
        yield task
        runtime.stop()
        await asyncio.wait_for(asyncio.wait([task]), stops_within)
    except asyncio.CancelledError:
        if not task.done() or task.cancelled() or task.exception() is None:
            raise
        body.uncancel()  # the error itself is raised below, with its cause
    finally:
        task.remove_done_callback(interrupt)
        runtime.stop()
        await asyncio.wait([task], timeout=stops_within)
    if not task.cancelled():
        task.result()


async def eventually(
    ask: Callable[[], T], holds: Callable[[T], bool] = bool, *, within: float = 30.0, every: float = 0.02
) -> T:
    """Ask, in a thread, until the answer holds, and return it.

    Raises:
        AssertionError: it does not within so many seconds; names the last answer.
    """
    deadline = time.monotonic() + within
    while not holds(answer := await asyncio.to_thread(ask)):
        assert time.monotonic() < deadline, f"still {answer!r} after {within:g} s"
        await asyncio.sleep(every)
    return answer


def partitions(runtime: Runtime) -> dict[int, PartitionStatus]:
    """Return the status of the runtime's partitions by number; for a runtime with one topic."""
    return {at.partition: at for at in runtime.status().partitions}


class Recorder:
    """Processors that note what they are handed, and do some `work` in between.

    `started` and `handled` hold the offsets by partition, in order: started, and returned without an exception.
    `overlaps` are records that were handed over while another one of their partition was being handled: never, by D1.
    `threads` are those that a partition's records were handled on, `most_at_once` the most partitions at work at the
    same time.
    """

    def __init__(self) -> None:
        self.started: defaultdict[int, list[int]] = defaultdict(list)
        self.handled: defaultdict[int, list[int]] = defaultdict(list)
        self.threads: defaultdict[int, set[threading.Thread]] = defaultdict(set)
        self.overlaps: list[tuple[int, int]] = []
        self.most_at_once = 0
        self._busy: set[int] = set()
        self._lock = threading.Lock()

    def processor(self, kind: Kind, work: Work | None = None) -> Callable[[Message], Any]:
        """Return a processor, `def` or `async def`, that does `work` with each record; `async def` takes either."""
        return self._async_processor(work) if kind == "async" else self._def_processor(work)

    def count(self) -> int:
        """Return how many records were handled, all partitions together."""
        with self._lock:
            return sum(map(len, self.handled.values()))

    def running(self) -> set[int]:
        """Return the partitions whose processor is at work just now."""
        with self._lock:
            return set(self._busy)

    def _async_processor(self, work: Work | None) -> Callable[[Message], Any]:
        async def process(message: Message) -> None:
            with self._noting(message):
                waiting = None if work is None else work(message)
                if inspect.isawaitable(waiting):
                    await waiting

        return process

    def _def_processor(self, work: Work | None) -> Callable[[Message], Any]:
        def process(message: Message) -> None:
            with self._noting(message):
                if work is not None:
                    work(message)

        return process

    @contextmanager
    def _noting(self, message: Message) -> Iterator[None]:
        at = message.partition
        with self._lock:
            if at in self._busy:
                self.overlaps.append((at, message.offset))
            self._busy.add(at)
            self.most_at_once = max(self.most_at_once, len(self._busy))
            self.started[at].append(message.offset)
            self.threads[at].add(threading.current_thread())
        try:
            yield
            with self._lock:
                self.handled[at].append(message.offset)
        finally:
            with self._lock:
                self._busy.discard(at)


class Gate:
    """Keeps some records from being handled until it is opened; made and opened on the test's loop."""

    def __init__(self, kind: Kind, shut: Callable[[Message], bool] = lambda _: True) -> None:
        self._kind = kind
        self._shut = shut
        self._waiting = asyncio.Event()
        self._blocking = threading.Event()

    def open(self) -> None:
        """Let everything through, for good."""
        self._waiting.set()
        self._blocking.set()

    def work(self, message: Message) -> Awaitable[None] | None:
        """Be the `work` of a `Recorder`'s processor."""
        if not self._shut(message):
            return None
        if self._kind == "async":
            return self._wait()
        assert self._blocking.wait(_LONG), "the test has forgotten to open the gate"
        return None

    async def _wait(self) -> None:
        await self._waiting.wait()
