"""`App` on a loop of the test's own: side by side, first error, stops, on_shutdown."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from humus.errors import ConfigError, HumusError
from humus.queue._app import App
from humus.queue._delivery import AtLeastOnceRuntime
from humus.queue._protocols import EndOfQueue

pytestmark = pytest.mark.timeout(20)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end; not with `wait_for`, whose cancellation is a graceful stop and would hide a missing one."""
    asyncio.run(main)


class Stoppable:
    """A runtime with a thread-safe `stop()`."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stops: list[threading.Thread] = []
        self.drained = False
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Note the thread and stop."""
        self.stops.append(threading.current_thread())
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def process_queue(self) -> None:
        """Wait for the stop."""
        self._loop = asyncio.get_running_loop()
        self.started.set()
        await self._stopped.wait()
        self.drained = True


class Cancellable:
    """A runtime that is stopped by cancelling; may fail while it drains."""

    def __init__(self, error_while_draining: Exception | None = None) -> None:
        self.started = asyncio.Event()
        self.drained = False
        self.error = error_while_draining

    async def process_queue(self) -> None:
        """Wait for the cancellation."""
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.drained = True
            if self.error is not None:
                raise self.error


class Failing:
    """A runtime that fails once others have started."""

    def __init__(self, error: BaseException, after: Stoppable | Cancellable | None = None) -> None:
        self.error = error
        self.after = after

    async def process_queue(self) -> None:
        """Fail."""
        if self.after is not None:
            await self.after.started.wait()
        raise self.error


class Ending:
    """A runtime whose queue has ended."""

    async def process_queue(self) -> None:
        """Return at once."""


def test_runs_until_all_have_ended() -> None:
    """One runtime that ends does not stop the others; `run` returns when all have ended."""

    async def main() -> None:
        other = Stoppable()
        task = asyncio.create_task(App(Ending(), other).run())
        await other.started.wait()
        assert not task.done()
        other.stop()
        await task
        assert other.drained

    run(main())


def test_first_error_stops_the_others_and_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    """The first fatal error drains the other runtimes, later ones are logged, and `on_shutdown` runs all the same."""

    async def main() -> None:
        stoppable, cancellable = Stoppable(), Cancellable(OSError("second"))
        closed: list[int] = []
        app = App(
            stoppable,
            cancellable,
            Failing(ValueError("first"), after=cancellable),
            on_shutdown=[lambda: closed.append(1)],
        )
        with pytest.raises(ValueError, match="first"):
            await app.run()
        assert stoppable.drained
        assert len(stoppable.stops) == 1
        assert cancellable.drained
        assert closed == [1]

    run(main())
    (record,) = caplog.records
    assert "another runtime failed" in record.message
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "second"


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_exits_are_errors_of_the_runtime(error: BaseException) -> None:
    """`SystemExit` and its like, and an unasked `CancelledError`, are the runtime's error, not the loop's end (D34)."""

    async def main() -> None:
        other = Cancellable()
        with pytest.raises(HumusError, match=f"Failing was stopped by {type(error).__name__}") as caught:
            await App(other, Failing(error, after=other)).run()
        assert caught.value.__cause__ is error
        assert other.drained

    run(main())


def test_stop_from_another_thread() -> None:
    """`stop` reaches `Runtime.stop` on the calling thread, once, and `run` returns."""

    async def main() -> None:
        runtime, cancellable = Stoppable(), Cancellable()
        app = App(runtime, cancellable)
        task = asyncio.create_task(app.run())
        await runtime.started.wait()
        await cancellable.started.wait()

        def stop_twice() -> None:
            app.stop()
            app.stop()

        thread = threading.Thread(target=stop_twice)
        thread.start()
        await task
        thread.join(10)
        assert runtime.stops == [thread]
        assert cancellable.drained

    run(main())


def test_stop_before_the_start() -> None:
    """An App that was stopped before it ran starts no runtime, and still calls `on_shutdown`."""

    async def main() -> None:
        runtime = Stoppable()
        closed: list[int] = []
        app = App(runtime, on_shutdown=[lambda: closed.append(1)])
        app.stop()
        await app.run()
        assert not runtime.started.is_set()
        assert closed == [1]

    run(main())


def test_stop_that_fails_falls_back_to_cancelling(caplog: pytest.LogCaptureFixture) -> None:
    """A runtime whose `stop()` raises is logged and cancelled, and the others stop as well."""

    class Broken(Cancellable):
        def stop(self) -> None:
            raise OSError("cannot stop")

    async def main() -> None:
        broken, other = Broken(), Stoppable()
        app = App(broken, other)
        task = asyncio.create_task(app.run())
        await broken.started.wait()
        await other.started.wait()
        app.stop()
        await task
        assert broken.drained
        assert other.drained

    run(main())
    assert "Broken.stop() failed" in caplog.text


def test_cancelling_drains_and_goes_up() -> None:
    """Cancelling `run` drains all runtimes, calls `on_shutdown`, and then `CancelledError` goes up (D60)."""

    async def main() -> None:
        runtime, cancellable = Stoppable(), Cancellable()
        closed: list[int] = []
        task = asyncio.create_task(App(runtime, cancellable, on_shutdown=[lambda: closed.append(1)]).run())
        await runtime.started.wait()
        await cancellable.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (runtime.drained, cancellable.drained, closed) == (True, True, [1])

    run(main())


def test_second_cancellation_cancels_what_does_not_stop() -> None:
    """Cancelling `run` a second time cancels a runtime that does not follow its `stop()`."""

    class Deaf(Cancellable):
        def stop(self) -> None:
            """Do nothing."""

    async def main() -> None:
        deaf = Deaf()
        task = asyncio.create_task(App(deaf).run())
        await deaf.started.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert not deaf.drained
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert deaf.drained

    run(main())


def test_on_shutdown_in_order_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks, sync and async, run in order, each even if an earlier one failed; the first error is raised."""
    calls: list[str] = []

    def note(name: str, error: BaseException | None = None) -> Callable[[], None]:
        def callback() -> None:
            calls.append(name)
            if error is not None:
                raise error

        return callback

    async def note_async() -> None:
        await asyncio.sleep(0)
        calls.append("async")

    app = App(
        Ending(),
        on_shutdown=[note("first", ValueError("first")), note_async, note("exit", SystemExit(0)), note("last")],
    )
    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="first"):
        run(app.run())
    assert calls == ["first", "async", "exit", "last"]
    assert len(caplog.records) == 2


def test_error_of_a_runtime_comes_before_one_of_on_shutdown() -> None:
    """The error that is raised is the runtime's, not the one that closing caused."""

    def fail() -> None:
        raise OSError("closing")

    with pytest.raises(ValueError, match="runtime"):
        run(App(Failing(ValueError("runtime")), on_shutdown=[fail]).run())


def test_an_app_runs_once() -> None:
    """A second `run` is an error that says so."""

    async def main() -> None:
        app = App(Ending())
        await app.run()
        with pytest.raises(HumusError, match="an App runs once"):
            await app.run()

    run(main())


def test_generic_runtime_in_an_app_drains() -> None:
    """An `AtLeastOnceRuntime` that is stopped by its App finishes and acknowledges the item in flight (D60)."""

    class Queue:
        items = [1, 2]  # noqa: RUF012 - one instance
        acknowledged: list[int] = []  # noqa: RUF012 - one instance

        async def consume(self) -> int:
            if not self.items:
                raise EndOfQueue
            return self.items.pop(0)

        async def acknowledge(self, item: int) -> None:
            self.acknowledged.append(item)

    async def main() -> None:
        queue = Queue()

        async def process(_item: int) -> None:
            app.stop()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        app = App(AtLeastOnceRuntime(queue, process, queue))
        await app.run()
        assert queue.acknowledged == [1]
        assert queue.items == [2]

    run(main())


def test_faults_of_construction_are_told_at_once() -> None:
    """Wrong runtimes, callbacks and health checks are one `ConfigError`."""
    twice = Ending()
    wrong: list[Any] = [Ending, 3]
    number: Any = 4
    with pytest.raises(ConfigError) as caught:
        App(*wrong, twice, twice, on_shutdown=[number], health=[number])
    assert list(caught.value.faults) == [
        "App: Ending is a class: give an object of it, Ending(...)",
        "App: int is no runtime: it needs async def process_queue(self)",
        "App: the same Ending is given twice",
        "App: on_shutdown: int cannot be called: give functions without arguments",
        "App: health: int cannot be called: give functions without arguments",
    ]


def test_faults_of_an_empty_app() -> None:
    """An App without a runtime is a fault, and so is a function in place of a list of functions."""
    function: Any = print
    with pytest.raises(ConfigError) as caught:
        App(on_shutdown=function, health=function)
    assert list(caught.value.faults) == [
        "App: give at least one runtime",
        "App: on_shutdown must be a list of functions",
        "App: health must be a list of functions",
    ]
