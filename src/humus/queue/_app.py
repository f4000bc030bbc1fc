"""The application: its runtimes side by side, and what happens around them when they stop.

Everything here runs on the application's event loop but `App.stop`, which any thread may call: that is how a signal
reaches a runtime with threads of its own while the loop is blocked by a processor.
"""

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence

from humus.errors import ConfigError, HumusError
from humus.queue._logging import traceback_of
from humus.queue._protocols import Runtime

__all__ = ["App", "Callback", "Check"]

Callback = Callable[[], Awaitable[object] | object]
"""Called after the runtimes have stopped; sync or async."""
Check = Callable[[], Awaitable[str | None] | str | None]
"""Tells whether something that the service needs is there: `None`, or the reason why not; sync or async."""

_log = logging.getLogger("humus.app")


class App:
    """What `init` returns: the runtimes, and what to call after they have stopped. Usable once.

    Args:
        runtimes: run side by side until all have ended, or the first one fails.
        on_shutdown: functions without arguments, `def` or `async def`, called on the application's loop after the
            runtimes have stopped, in order, each even if an earlier one failed.
        health: the user's own checks, functions without arguments, `def` or `async def`, that return `None`, or the
            reason why the service is not ready. Asked by readiness probes, at most once a second each: `async def`
            ones on the application's loop, `def` ones on a thread. One that raises, or takes longer than 5 s, fails.

    Raises:
        ConfigError: no runtime, the same one twice, or something of the wrong shape; all faults at once.
    """

    def __init__(self, *runtimes: Runtime, on_shutdown: Sequence[Callback] = (), health: Sequence[Check] = ()) -> None:
        faults = [
            *_runtime_faults(runtimes),
            *_callback_faults("on_shutdown", on_shutdown),
            *_callback_faults("health", health),
        ]
        if faults:
            raise ConfigError(faults)
        self._members = [_Member(runtime) for runtime in runtimes]
        self._on_shutdown = tuple(on_shutdown)
        self._health = tuple(health)
        self._started = False
        self._errors: list[Exception] = []
        self._stopping = threading.Event()

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """The runtimes, in the order given; any thread may ask."""
        return tuple(member.runtime for member in self._members)

    @property
    def health(self) -> tuple[Check, ...]:
        """The user's own checks, in the order given; any thread may ask."""
        return self._health

    @property
    def stopping(self) -> bool:
        """Whether the runtimes have been asked to stop, or have ended; any thread may ask."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Run all runtimes until they end, then call `on_shutdown`.

        The first fatal error stops the other runtimes gracefully; errors after it are logged. Cancelling stops all
        runtimes gracefully, and `CancelledError` goes up at the end; cancelling again cancels their tasks.

        Raises:
            Exception: the first error of a runtime, else of an `on_shutdown` function.
            HumusError: instead of an error that is no `Exception`, such as `SystemExit` (it is the `__cause__`);
                or `run` was called before.
        """
        if self._started:
            raise HumusError("App.run was called before: an App runs once")
        self._started = True
        cancelled = await self._run_members()
        self._stopping.set()
        for callback in self._on_shutdown:
            cancelled |= await self._call(callback)
        if self._errors:
            raise self._errors[0]
        if cancelled:
            raise asyncio.CancelledError

    def stop(self) -> None:
        """Ask all runtimes for a graceful stop, after which `run` returns. Thread-safe; may be called at any time."""
        self._stopping.set()
        for member in self._members:
            member.stop()

    async def _run_members(self) -> bool:
        """Run the runtimes; tell whether the caller was cancelled meanwhile."""
        pending = {member.start(self._failed) for member in self._members}
        if self._stopping.is_set():  # before all of them had been started
            self.stop()
        cancelled = False
        while pending:
            try:
                _, pending = await asyncio.wait(pending)
            except asyncio.CancelledError:
                if cancelled:
                    for task in pending:
                        task.cancel()
                cancelled = True
                self.stop()
                pending = {task for task in pending if not task.done()}
        return cancelled

    def _failed(self, error: Exception) -> None:
        if self._errors:
            _log.error("another runtime failed while the app was stopping: %s", error, exc_info=traceback_of(error))
        self._errors.append(error)
        self.stop()

    async def _call(self, callback: Callback) -> bool:
        """Call one `on_shutdown` function; tell whether the caller was cancelled meanwhile."""
        name = _name(callback)
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        try:
            result = callback()
            if inspect.isawaitable(result):
                await result
        except BaseException as error:  # noqa: BLE001 - D34: nothing keeps the other callbacks from being called
            if isinstance(error, asyncio.CancelledError) and task.cancelling() > cancellations:
                _log.warning("on_shutdown: %s was cancelled", name, exc_info=error)
                return True
            _log.error("on_shutdown: %s failed", name, exc_info=error)
            self._errors.append(_as_exception(error, f"on_shutdown: {name}"))
        return False


class _Member:
    """One runtime, its task, and the way to stop it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._task: asyncio.Task[None] | None = None
        self._stop_asked = threading.Event()
        stop = getattr(runtime, "stop", None)
        self._stop_runtime = stop if callable(stop) and not inspect.iscoroutinefunction(stop) else None

    def start(self, failed: Callable[[Exception], None]) -> asyncio.Task[None]:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(failed))
        return self._task

    def stop(self) -> None:
        """Stop gracefully. Thread-safe; only the first call after the start has an effect."""
        task = self._task
        if task is None or task.done() or self._stop_asked.is_set():
            return
        self._stop_asked.set()
        if self._stop_runtime is None:
            self._cancel(task)
            return
        try:
            self._stop_runtime()
        except Exception:  # noqa: BLE001 - a stop that fails must not keep the others from stopping
            _log.exception("%s.stop() failed; it is cancelled instead", _name(self.runtime))
            self._cancel(task)

    def _cancel(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed just now: nothing is left to stop
            self._loop.call_soon_threadsafe(task.cancel)

    async def _run(self, failed: Callable[[Exception], None]) -> None:
        """Run the runtime; what it raises ends here, because some errors would take the event loop down with them."""
        if self._stop_asked.is_set():
            return
        try:
            await self.runtime.process_queue()
        except asyncio.CancelledError as error:
            if not self._stop_asked.is_set():
                self._report(error, failed)
        except BaseException as error:  # noqa: BLE001 - D34: SystemExit and its like are the runtime's error
            self._report(error, failed)

    def _report(self, error: BaseException, failed: Callable[[Exception], None]) -> None:
        self._stop_asked.set()  # it has ended: nothing is left to stop
        failed(_as_exception(error, _name(self.runtime)))


def _as_exception(error: BaseException, where: str) -> Exception:
    if isinstance(error, Exception):
        return error
    wrapped = HumusError(f"{where} was stopped by {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped


def _name(thing: object) -> str:
    return str(getattr(thing, "__qualname__", None) or type(thing).__qualname__)


def _runtime_faults(runtimes: Sequence[object]) -> list[str]:
    faults = [] if runtimes else ["App: give at least one runtime"]
    for index, runtime in enumerate(runtimes):
        if isinstance(runtime, type):
            faults.append(f"App: {runtime.__name__} is a class: give an object of it, {runtime.__name__}(...)")
        elif not callable(getattr(runtime, "process_queue", None)):
            faults.append(f"App: {type(runtime).__name__} is no runtime: it needs async def process_queue(self)")
        elif any(runtime is other for other in runtimes[:index]):
            faults.append(f"App: the same {type(runtime).__name__} is given twice")
    return faults


def _callback_faults(argument: str, callbacks: object) -> list[str]:
    if callable(callbacks) or not isinstance(callbacks, Iterable):
        return [f"App: {argument} must be a list of functions"]
    return [
        f"App: {argument}: {type(callback).__name__} cannot be called: give functions without arguments"
        for callback in callbacks
        if not callable(callback)
    ]
