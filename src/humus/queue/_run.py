"""`run`: from a configuration file to an exit code.

In order: load the configuration; set up logging; take the signals; start telemetry; start the health server; call
`init`; run the App; what follows `init`'s `yield`; close the loop; close the health server; flush telemetry; give the
signals and logging back; exit. Each is undone in reverse, whatever failed.

====  ==========================================================================
code  meaning
====  ==========================================================================
0     the queues ended, or a graceful stop
1     an error in `init`, a runtime, `on_shutdown`, or after the `yield`
2     a configuration error, in the file or in what `init` made of it
130   a second signal, SIGINT, cut the stop short
143   a second signal, SIGTERM, cut the stop short
====  ==========================================================================
"""

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar, cast

from humus.config import Config, Source, load
from humus.errors import ConfigError
from humus.health import Watch, health_server
from humus.queue._app import App
from humus.queue._collector import rare_collections
from humus.queue._init import Init, InitFunction, config_type
from humus.queue._logging import logging_to_stderr, traceback_of
from humus.queue._signals import end_process, stop_signals
from humus.telemetry._setup import telemetry

__all__ = ["run"]

C = TypeVar("C", bound=Config)

GRACEFUL, ERROR, CONFIG_ERROR = 0, 1, 2

CLOSING_SECONDS = 5.0
"""How long the loop may take to close after the App has stopped; half of the 10 s that D60 allows."""

_LEFT_BEHIND = "a task, or a thread of asyncio.to_thread, does not end; it is left behind"

_log = logging.getLogger("humus.app")


def run(source: Source, init: InitFunction[C]) -> NoReturn:
    """Load the configuration, run the application until it ends or SIGTERM/SIGINT arrives, exit the process.

    Blocks the calling thread, which must be the main one; `init`, `async def` processors and `on_shutdown` run on it.
    Meanwhile Python looks for garbage in cycles less often, unless a threshold of your own is set (`_collector.py`).

    Args:
        source: where the configuration comes from, such as `yaml_source("config.yaml")`.
        init: makes the `App` out of the configuration, whose type is the annotation of its parameter. A function, a
            coroutine function, or a (sync or async) generator function that yields the App once: what follows the
            `yield` runs after the runtimes have stopped, also when one failed.

    Raises:
        SystemExit: always. 0 after a graceful stop, 1 after an error, 2 for a configuration error (one line for each
            fault on stderr, no traceback). A second signal ends the process with 130 (SIGINT) or 143 (SIGTERM).
        HumusError: not called on the main thread.
    """
    sys.exit(_run(source, init))


def _run(source: Source, init: InitFunction[C]) -> int:
    try:
        config = load(source, cast("type[C]", config_type(init)))
    except ConfigError as error:
        return _refuse(error)
    watch = Watch()
    service = _Service(Init(init, config), watch)
    unasked = "health" not in config.model_fields_set
    with logging_to_stderr(config.log), stop_signals(service.stop), rare_collections():
        try:
            with (
                telemetry(config.otel) as running,
                health_server(config.health, watch, optional=unasked, meters=running.meters),
            ):
                return _serve(service, running.shut_down)
        except ConfigError as error:  # of telemetry or the health server: they are set up only now
            return _refuse(error)
        except BaseException as error:  # noqa: BLE001 - D34: a task of the user's own raised SystemExit or its like
            return _report(error)


def _serve(service: "_Service", last: Callable[[], None]) -> int:
    with _bounded_closing(last) as closing, asyncio.Runner() as runner:
        code = runner.run(service.serve())
        closing(code)
        return code


@contextlib.contextmanager
def _bounded_closing(last: Callable[[], None]) -> Iterator[Callable[[int], None]]:
    """Bound the closing of the loop, which waits for tasks and for the threads of `asyncio.to_thread`, however long.

    Gives a function that starts the time; when it has passed, `last` is called and the process ends with the code that
    the function got.
    """
    timers: list[threading.Timer] = []

    def cut_short(code: int) -> None:
        last()
        end_process(code, _LEFT_BEHIND)

    def closing(code: int) -> None:
        timer = threading.Timer(CLOSING_SECONDS, cut_short, (code,))
        timer.daemon = True
        timer.start()
        timers.append(timer)

    try:
        yield closing
    finally:
        for timer in timers:
            timer.cancel()


class _Service:
    """`init` and its App on the event loop; `stop` comes from another thread."""

    def __init__(self, init: Init[C], watch: Watch) -> None:
        self._init = init
        self._watch = watch
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[App | BaseException] | None = None
        self._app: App | None = None

    def stop(self) -> None:
        """Stop gracefully, whatever is going on: cancel `init`, or stop the App. Thread-safe."""
        self._stopping.set()
        if self._app is not None:
            self._app.stop()
        elif self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is nothing left to stop
                self._loop.call_soon_threadsafe(self._cancel_init)

    async def serve(self) -> int:
        """Run the application; return the exit code."""
        self._loop = self._watch.loop = asyncio.get_running_loop()
        self._opening = asyncio.create_task(self._open())
        if self._stopping.is_set():  # before there was anything to cancel
            self._cancel_init()
        cancelled = await self._wait_for_init(self._opening)
        if self._opening.cancelled():  # before its first step
            code = GRACEFUL
        elif isinstance(made := self._opening.result(), App):
            code = await self._run(made)
        else:
            code = self._not_opened(made)
        if cancelled is not None:
            raise cancelled
        return code

    async def _wait_for_init(self, opening: asyncio.Task[App | BaseException]) -> asyncio.CancelledError | None:
        """Wait, also when the loop is being closed, which cancels `init` too: what it opened has to be closed."""
        cancelled: asyncio.CancelledError | None = None
        while not opening.done():
            try:
                await asyncio.wait({opening})
            except asyncio.CancelledError as error:
                cancelled = error
                self._stopping.set()
        return cancelled

    async def _open(self) -> App | BaseException:
        try:
            return await self._init.open()
        except BaseException as error:  # noqa: BLE001 - as a value: SystemExit out of a task takes the loop down
            return error

    def _not_opened(self, error: BaseException) -> int:
        if isinstance(error, asyncio.CancelledError) and self._stopping.is_set():
            _log.info("stopped during init")
            return GRACEFUL
        return _refuse(error) if isinstance(error, ConfigError) else _report(error)

    async def _run(self, app: App) -> int:
        self._app = app
        if self._stopping.is_set():  # between init and here
            app.stop()
        self._watch.running(app)
        code = GRACEFUL
        cancelled: asyncio.CancelledError | None = None
        try:
            await app.run()
        except asyncio.CancelledError as error:  # the loop is being closed under us; `_run` below reports why
            cancelled = error
        except Exception as error:  # noqa: BLE001 - reported, and in the exit code
            code = _report(error)
        try:
            await self._init.close()
        except BaseException as error:  # noqa: BLE001 - D34: reported, and in the exit code
            code = _report(error)
        if cancelled is not None:
            raise cancelled
        return code

    def _cancel_init(self) -> None:
        if self._app is not None:
            self._app.stop()
        elif self._opening is not None:
            self._opening.cancel()


def _refuse(error: ConfigError) -> int:
    """Print a configuration error for the person who starts the process: lines, no log record, no traceback."""
    for fault in error.faults:
        sys.stderr.write(" ".join(fault.split("\n")) + "\n")
    sys.stderr.flush()
    return CONFIG_ERROR


def _report(error: BaseException) -> int:
    """Log the error that ends the application."""
    message = "; ".join(str(error).split("\n"))
    kind = type(error).__qualname__
    _log.critical(
        "the application failed: %s%s%s",
        kind,
        ": " if message else "",
        message,
        exc_info=traceback_of(error),
        extra={"error.type": kind},
    )
    return ERROR
