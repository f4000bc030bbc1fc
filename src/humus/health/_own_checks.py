"""Calls the user's own checks, and never waits long for one.

A `def` check runs on a daemon thread of its own, an `async def` one on the application's loop. One that does not
answer in time is a problem by its name, and is not called a second time while it still runs: probes meanwhile are
answered at once. Everything here runs on the server's loop but the checks themselves.
"""

import asyncio
import contextvars
import functools
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from humus.health._facts import Check
from humus.queue._describe import error_message, error_type

__all__ = ["OwnChecks", "on_a_thread"]

WITHIN: Final = 5.0
"""Seconds that a check may take."""
FRESH_FOR: Final = 1.0
"""Seconds for which its answer is given again without asking."""

_log = logging.getLogger("humus.health")


class OwnChecks:
    """All checks of an App; each has its own time."""

    def __init__(
        self,
        checks: Sequence[Check],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        *,
        within: float = WITHIN,
        fresh_for: float = FRESH_FOR,
    ) -> None:
        """`loop` and `context` are the application's."""
        self._checks = [_OwnCheck(check, loop, context, within, fresh_for) for check in checks]

    async def problems(self) -> list[str]:
        """Ask all, side by side; return a line for each that fails."""
        found = await asyncio.gather(*(check.problem() for check in self._checks))
        return [problem for problem in found if problem is not None]


class _OwnCheck:
    def __init__(
        self,
        check: Check,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        within: float,
        fresh_for: float,
    ) -> None:
        self._check = check
        self._within = within
        self._fresh_for = fresh_for
        self._name = _name(check)
        self._loop = loop
        self._context = context
        self._asked: asyncio.Future[str | None] | None = None
        self._asked_at = 0.0
        self._answered_at = 0.0
        self._was_wrong = False

    async def problem(self) -> str | None:
        """Return what is wrong, within the time that a check has."""
        now = time.monotonic()
        if self._asked is None or (self._asked.done() and now - self._answered_at >= self._fresh_for):
            self._asked, self._asked_at = self._ask(), now
            self._asked.add_done_callback(self._note_time)
        if not self._asked.done():
            await asyncio.wait({self._asked}, timeout=max(0.0, self._asked_at + self._within - now))
        if self._asked.done():
            answer = self._asked.result()
        else:
            answer = f"no answer for {time.monotonic() - self._asked_at:.0f} s"
        self._log(answer)
        return None if answer is None else f"{self._name}: {answer}"

    def _ask(self) -> "asyncio.Future[str | None]":
        if not _is_async(self._check):
            return on_a_thread(functools.partial(_call, self._check), f"humus health {self._name}", self._context)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        settle = functools.partial(_settle, asyncio.get_running_loop(), answer)
        check = cast("Callable[[], Awaitable[object]]", self._check)
        try:
            self._loop.call_soon_threadsafe(_start, check, settle, self._within, context=self._context.copy())
        except RuntimeError:
            answer.set_result("the application's loop is closed")
        return answer

    def _note_time(self, _answer: object) -> None:
        self._answered_at = time.monotonic()

    def _log(self, answer: str | None) -> None:
        """Log when it begins to fail and when that is over, not once a probe."""
        wrong = answer is not None
        if wrong and not self._was_wrong:
            _log.warning("own check %s: %s", self._name, answer)
        elif self._was_wrong and not wrong:
            _log.info("own check %s: passes again", self._name)
        self._was_wrong = wrong


def on_a_thread(
    call: Callable[[], Any], name: str, context: contextvars.Context | None = None
) -> "asyncio.Future[Any]":
    """Call on a daemon thread of its own; `call` must not raise. Not an executor: that is joined at exit."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()
    own = contextvars.copy_context() if context is None else context.copy()

    def work() -> None:
        _settle(loop, answer, own.run(call))

    threading.Thread(target=work, name=name, daemon=True).start()
    return answer


def _settle(loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Any]", value: object) -> None:
    def settle() -> None:
        if not answer.done():
            answer.set_result(value)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        _log.debug("a check answered after the server had been closed")


def _call(check: Callable[[], object]) -> str | None:
    try:
        return _reason(check())
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the check came to
        return _raised(error)


_tasks: Final[set["asyncio.Task[None]"]] = set()
"""The loop itself holds its tasks only weakly."""


def _start(check: Callable[[], Awaitable[object]], settle: Callable[[str | None], None], within: float) -> None:
    """Start an async check; runs on the application's loop, which nothing that it raises may reach."""
    task = asyncio.get_running_loop().create_task(_await(check, settle, within), name=f"humus health {_name(check)}")
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _await(check: Callable[[], Awaitable[object]], settle: Callable[[str | None], None], within: float) -> None:
    limit = asyncio.timeout(within)
    try:
        async with limit:
            answer = _reason(await check())
    except BaseException as error:  # noqa: BLE001 - SystemExit out of a task would end the application's loop
        answer = f"no answer within {within:.0f} s" if limit.expired() else _raised(error)
    settle(answer)


def _reason(returned: object) -> str | None:
    """Return the reason in one line, or what is wrong with what a check returned."""
    if returned is None:
        return None
    if isinstance(returned, str):
        return error_message(Exception(" ".join(returned.split()))) or "it gives no reason"
    if inspect.iscoroutine(returned):
        returned.close()
    kind = type(returned).__name__
    awaitable = inspect.isawaitable(returned)
    hint = "declare it with async def" if awaitable else "it must return None, or the reason why not as a text"
    return f"it returned a {kind}: {hint}"


def _raised(error: BaseException) -> str:
    message = " ".join(error_message(error).split())
    return f"{error_type(error)}: {message}" if message else error_type(error)


def _is_async(check: Any) -> bool:
    # `inspect` looks through a partial; of other objects only their __call__ tells async from sync.
    plain = inspect.isroutine(check) or isinstance(check, functools.partial)
    return inspect.iscoroutinefunction(check if plain else type(check).__call__)


def _name(check: Any) -> str:
    inner = check.func if isinstance(check, functools.partial) else check
    return str(getattr(inner, "__qualname__", None) or type(inner).__qualname__)
