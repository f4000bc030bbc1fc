"""The two generic runtimes: order of the steps, failures, stops."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from humus.errors import ConfigError, HumusError
from humus.queue._delivery import AtLeastOnceRuntime, AtMostOnceRuntime
from humus.queue._protocols import EndOfQueue

Steps = list[tuple[str, int]]
RuntimeClass = type[AtLeastOnceRuntime[int]] | type[AtMostOnceRuntime[int]]
BOTH = pytest.mark.parametrize("runtime", [AtLeastOnceRuntime, AtMostOnceRuntime])


class Queue:
    """A finite queue that notes what happens to it, or one that never ends and makes its consumer wait."""

    def __init__(self, items: Iterable[int], *, finite: bool = True) -> None:
        self.items = list(items)
        self.finite = finite
        self.steps: Steps = []
        self.waiting = asyncio.Event()

    async def consume(self) -> int:
        """Return the next item."""
        if not self.items:
            if self.finite:
                raise EndOfQueue
            self.waiting.set()
            await asyncio.Event().wait()
        item = self.items.pop(0)
        self.steps.append(("consume", item))
        return item

    async def acknowledge(self, item: int) -> None:
        """Note it."""
        self.steps.append(("acknowledge", item))

    def process(self, item: int) -> None:
        """Note it, as a `def` processor."""
        self.steps.append(("process", item))

    async def process_async(self, item: int) -> None:
        """Note it, as an `async def` processor."""
        self.steps.append(("process", item))


pytestmark = pytest.mark.timeout(20)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end; not with `wait_for`, whose cancellation is a graceful stop and would hide a missing one."""
    asyncio.run(main)


def failing(error: BaseException, *, on: int = 1) -> Callable[[int], Coroutine[Any, Any, None]]:
    """Make a processor that raises `error` on one item."""

    async def fail(item: int) -> None:
        if item == on:
            raise error

    return fail


@pytest.mark.parametrize(
    ("runtime", "order"),
    [
        (AtLeastOnceRuntime, ["consume", "process", "acknowledge"]),
        (AtMostOnceRuntime, ["consume", "acknowledge", "process"]),
    ],
)
@pytest.mark.parametrize("kind", ["process", "process_async"])
def test_order_of_the_steps(runtime: RuntimeClass, order: list[str], kind: str) -> None:
    """At least once acknowledges after processing, at most once before; `def` and `async def` alike."""
    queue = Queue([1, 2])
    run(runtime(queue, getattr(queue, kind), queue).process_queue())
    assert queue.steps == [(step, item) for item in (1, 2) for step in order]


def test_failure_at_least_once_is_not_acknowledged() -> None:
    """At least once, a processor that raises ends the runtime with its own error, unacknowledged (D10)."""
    queue = Queue([1, 2])
    with pytest.raises(ValueError, match="bad item") as caught:
        run(AtLeastOnceRuntime(queue, failing(ValueError("bad item")), queue).process_queue())
    assert queue.steps == [("consume", 1)]
    assert any("its item was not acknowledged" in note for note in caught.value.__notes__)


def test_failure_at_most_once_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """At most once, a processor that raises has consumed its item: logged, and the next one is taken (D21)."""
    queue = Queue([1, 2])
    with caplog.at_level(logging.ERROR):
        run(AtMostOnceRuntime(queue, failing(ValueError("bad item")), queue).process_queue())
    assert queue.steps == [(step, item) for item in (1, 2) for step in ("consume", "acknowledge")]
    assert [record.name for record in caplog.records] == ["humus.queue"]
    assert "was acknowledged before and is gone" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), BaseException("base")])
@pytest.mark.parametrize(("runtime", "acknowledged"), [(AtLeastOnceRuntime, []), (AtMostOnceRuntime, [1])])
@pytest.mark.parametrize("is_async", [True, False])
def test_exceptions_that_end_the_runtime(
    runtime: RuntimeClass, acknowledged: list[int], error: BaseException, is_async: bool
) -> None:
    """What is no `Exception` stops either runtime as an error of the runtime, not as an exit of the process (D34)."""
    queue = Queue([1, 2])

    def fail(_item: int) -> None:
        raise error

    processor = failing(error) if is_async else fail
    with pytest.raises(HumusError, match=f"raised {type(error).__name__}") as caught:
        run(runtime(queue, processor, queue).process_queue())
    assert caught.value.__cause__ is error
    assert [item for step, item in queue.steps if step == "acknowledge"] == acknowledged


@BOTH
def test_memory_error_ends_the_runtime(runtime: RuntimeClass) -> None:
    """A `MemoryError` stops either runtime (D34)."""
    queue = Queue([1, 2])
    with pytest.raises(MemoryError):
        run(runtime(queue, failing(MemoryError()), queue).process_queue())


@pytest.mark.parametrize("error", [StopIteration(), asyncio.CancelledError()])
@pytest.mark.parametrize("is_async", [True, False])
def test_strange_exceptions_are_ordinary_failures(error: BaseException, is_async: bool) -> None:
    """`StopIteration`, and a `CancelledError` that nobody asked for, fail their item and nothing else (D34)."""
    queue = Queue([1, 2])

    def fail(item: int) -> None:
        if item == 1:
            raise error

    run(AtMostOnceRuntime(queue, failing(error) if is_async else fail, queue).process_queue())
    assert ("acknowledge", 2) in queue.steps


def test_unasked_cancelled_error_is_an_error_at_least_once() -> None:
    """A `CancelledError` out of a processor does not look like a cancelled runtime (D34)."""
    queue = Queue([1])
    with pytest.raises(HumusError, match="raised CancelledError; its item was not acknowledged"):
        run(AtLeastOnceRuntime(queue, failing(asyncio.CancelledError()), queue).process_queue())


def test_def_that_returns_an_awaitable_is_a_failure() -> None:
    """A `def` processor that returns a coroutine has not done its work, and the error says so."""
    queue = Queue([1])

    def process(item: int) -> object:
        return queue.process_async(item)

    with pytest.raises(HumusError, match="returned a coroutine, so its work was not done"):
        run(AtLeastOnceRuntime(queue, process, queue).process_queue())
    assert queue.steps == [("consume", 1)]


@BOTH
def test_cancelling_finishes_the_item_in_flight(runtime: RuntimeClass) -> None:
    """Cancelling lets the item in flight be processed and acknowledged, then `CancelledError` goes up (D60)."""

    async def main() -> None:
        queue = Queue([1, 2])
        started, go_on = asyncio.Event(), asyncio.Event()

        async def process(item: int) -> None:
            started.set()
            await go_on.wait()
            await queue.process_async(item)

        task = asyncio.create_task(runtime(queue, process, queue).process_queue())
        await started.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(queue.steps) == [("acknowledge", 1), ("consume", 1), ("process", 1)]

    run(main())


@BOTH
def test_cancelling_while_waiting_for_an_item(runtime: RuntimeClass) -> None:
    """Cancelling a runtime that waits for its queue ends it at once (D60)."""

    async def main() -> None:
        queue = Queue([1], finite=False)
        task = asyncio.create_task(runtime(queue, queue.process_async, queue).process_queue())
        await queue.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(queue.steps) == 3

    run(main())


def test_cancelling_a_runtime_that_never_waits() -> None:
    """A queue and a processor that never wait do not keep a runtime from being cancelled (D60)."""

    async def main() -> None:
        queue = Queue([])
        done: list[int] = []

        async def consume() -> int:
            return 1

        queue.consume = consume  # type: ignore[method-assign]

        async def process(item: int) -> None:
            done.append(item)
            if len(done) == 3:
                task.cancel()

        task = asyncio.create_task(AtLeastOnceRuntime(queue, process, queue).process_queue())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(done) == len(queue.steps) == 3

    run(main())


def test_second_cancellation_cancels_the_processor() -> None:
    """Cancelling a second time cuts the item in flight short, and it is not acknowledged (D60)."""

    async def main() -> None:
        queue = Queue([1])
        started = asyncio.Event()

        async def process(_item: int) -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(AtLeastOnceRuntime(queue, process, queue).process_queue())
        await started.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert queue.steps == [("consume", 1)]

    run(main())


def test_failure_during_the_drain_is_raised() -> None:
    """An item that fails while the runtime drains is an error, not a quiet cancellation."""

    async def main() -> None:
        queue = Queue([1])
        started, go_on = asyncio.Event(), asyncio.Event()

        async def process(_item: int) -> None:
            started.set()
            await go_on.wait()
            raise ValueError

        task = asyncio.create_task(AtLeastOnceRuntime(queue, process, queue).process_queue())
        await started.wait()
        task.cancel()
        go_on.set()
        with pytest.raises(ValueError):  # noqa: PT011 - only the type matters
            await task

    run(main())


def test_def_processor_leaves_the_loop_free() -> None:
    """A `def` processor runs on a thread of its own, so one that blocks does not block the loop."""

    async def main() -> None:
        queue = Queue([1])
        loop = asyncio.get_running_loop()
        release, started = threading.Event(), asyncio.Event()
        threads = []

        def process(_item: int) -> None:
            threads.append(threading.current_thread())
            loop.call_soon_threadsafe(started.set)
            assert release.wait(10)

        task = asyncio.create_task(AtLeastOnceRuntime(queue, process, queue).process_queue())
        await started.wait()
        release.set()
        await task
        assert threads[0] is not threading.main_thread()
        assert threads[0].daemon
        threads[0].join(10)
        assert not threads[0].is_alive()

    run(main())


@BOTH
def test_consumer_error_ends_the_runtime(runtime: RuntimeClass) -> None:
    """An error of the queue itself goes up as it is."""

    class Broken(Queue):
        async def consume(self) -> int:
            raise OSError("connection lost")

    queue = Broken([])
    with pytest.raises(OSError, match="connection lost"):
        run(runtime(queue, queue.process, queue).process_queue())


@BOTH
def test_wrong_shapes_are_told_at_once(runtime: RuntimeClass) -> None:
    """Wrong parts are a `ConfigError` at construction, all of them at once."""
    with pytest.raises(ConfigError) as caught:
        runtime(Queue, 3, object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert [fault.partition(": ")[2] for fault in caught.value.faults] == [
        "the consumer Queue is a class: give an object of it, Queue(...)",
        "int is no processor: it needs a method process(self, msg), or give a function of one argument",
        "the acknowledger, object, needs a method async def acknowledge(item)",
    ]
