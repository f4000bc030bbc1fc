"""A thread for blocking user code that a coroutine waits for.

Not `concurrent.futures`: it joins its threads when the interpreter exits, so one call that never returns would keep
the process from ending. A daemon thread does not.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

from humus.queue._describe import error_message, error_type

__all__ = ["DaemonThread"]

_log = logging.getLogger("humus.queue")


class Outcome(NamedTuple):
    """What a call came to: it returned, or it raised.

    A value and not a raised exception, because futures refuse `StopIteration`, and `SystemExit` would end the loop.
    """

    returned: object
    error: BaseException | None


class _Call(NamedTuple):
    function: Callable[[Any], object]
    argument: object
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Outcome]


class DaemonThread:
    """Runs one call at a time, in order, on a daemon thread that starts with the first one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[[Any], object], argument: object) -> Outcome:
        """Call `function(argument)` on the thread, with the caller's context variables, and wait for its outcome.

        Cancelling leaves the call behind: it runs to its end, and what it came to is logged.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outcome] = loop.create_future()
        self._calls.put(_Call(function, argument, contextvars.copy_context(), loop, done))
        return await done

    def close(self) -> None:
        """Let the thread end after the calls that were asked for. Does not wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                outcome = Outcome(call.context.run(call.function, call.argument), None)
            except BaseException as error:  # noqa: BLE001 - D34: whatever it is, the waiting coroutine has to know
                outcome = Outcome(None, error)
            try:
                call.loop.call_soon_threadsafe(_settle, call.done, outcome)
            except RuntimeError:  # the loop is closed
                _report_left_behind(outcome)


def _settle(done: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if done.done():
        _report_left_behind(outcome)
    else:
        done.set_result(outcome)


def _report_left_behind(outcome: Outcome) -> None:
    error = outcome.error
    ending = "returned" if error is None else f"failed: {error_type(error)}: {error_message(error)}"
    _log.warning("a handler that was left behind at the stop has %s", ending)
