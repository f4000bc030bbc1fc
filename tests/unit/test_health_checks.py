"""The user's own checks: whatever they do, a probe is answered in time, and says which one and why."""

import asyncio
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from humus.health._own_checks import OwnChecks

WITHIN = 0.2
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Application:
    """An application's loop on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self._thread.start()
        return self.loop

    def __exit__(self, *_: object) -> None:
        async def cancel_all() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel_all(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def found(*checks: Any, fresh_for: float = 60.0, within: float = WITHIN) -> list[str]:
    """Ask the checks once."""

    async def ask(loop: asyncio.AbstractEventLoop) -> list[str]:
        return await OwnChecks(checks, loop, contextvars.copy_context(), within=within, fresh_for=fresh_for).problems()

    with Application() as loop:
        return asyncio.run(ask(loop))


def fine() -> None:
    """Find nothing wrong."""


def sync_reason() -> str:
    """Give a reason."""
    return "no  database\nat all"


async def async_reason() -> str:
    """Give a reason, asynchronously."""
    await asyncio.sleep(0)
    return "no cache"


def raises() -> None:
    """Fail with what ends a program."""
    raise SystemExit("over")


async def async_raises() -> None:
    """Fail with what would end the application's loop."""
    raise KeyboardInterrupt


async def async_stops() -> None:
    """Cancel itself."""
    raise asyncio.CancelledError


def says_true() -> Any:
    """Return what is neither `None` nor a reason."""
    return True


def forgets_to_await() -> Any:
    """Return a coroutine."""
    return async_reason()


class Check:
    """A check that is an object."""

    async def __call__(self) -> str:
        """Give a reason."""
        return "an object's"


def test_what_checks_come_to() -> None:
    """API: `None` passes, a text is the reason why not; whatever is raised or returned else is told in one line."""
    checks = (fine, sync_reason, async_reason, raises, async_raises, async_stops, says_true, forgets_to_await, Check())
    assert found(*checks, functools.partial(fine)) == [
        "sync_reason: no database at all",
        "async_reason: no cache",
        "raises: SystemExit: over",
        "async_raises: KeyboardInterrupt",
        "async_stops: asyncio.exceptions.CancelledError",
        "says_true: it returned a bool: it must return None, or the reason why not as a text",
        "forgets_to_await: it returned a coroutine: declare it with async def",
        "Check: an object's",
    ]


def test_a_long_reason_is_cut() -> None:
    """What a probe is told is bounded, whatever a check says."""

    def long() -> str:
        return "x" * 1_000_000

    [line] = found(long)
    assert len(line) < 1200


def test_where_checks_run() -> None:
    """`async def` checks run on the application's loop, `def` ones on a daemon thread, both in its context."""
    seen: list[tuple[object, str]] = []

    async def on_the_loop() -> None:
        seen.append((asyncio.get_running_loop(), variable.get()))

    def on_a_thread() -> None:
        seen.append((threading.current_thread(), variable.get()))

    async def ask(loop: asyncio.AbstractEventLoop) -> list[str]:
        return await OwnChecks([on_the_loop, on_a_thread], loop, contextvars.copy_context()).problems()

    variable.set("the application's")
    with Application() as loop:
        assert asyncio.run(ask(loop)) == []
        assert {value for _, value in seen} == {"the application's"}
        assert loop in {where for where, _ in seen}
        [thread] = [where for where, _ in seen if isinstance(where, threading.Thread)]
        assert thread.daemon


def test_hanging_checks_are_told_by_name_and_not_called_again() -> None:
    """A check that hangs costs one probe its time and no other; it does not keep the others from being told."""
    calls: list[str] = []
    release = threading.Event()

    def hangs() -> None:
        calls.append("sync")
        release.wait(30)

    async def hangs_too() -> None:
        calls.append("async")
        while True:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                if release.is_set():
                    raise

    async def ask(loop: asyncio.AbstractEventLoop) -> tuple[list[str], list[str], float]:
        checks = OwnChecks([hangs, hangs_too, sync_reason], loop, contextvars.copy_context(), within=WITHIN)
        first = await checks.problems()
        began = time.monotonic()
        second = await checks.problems()
        return first, second, time.monotonic() - began

    with Application() as loop:
        first, second, took = asyncio.run(ask(loop))
        release.set()
    names = [line.rpartition(".")[2].partition(":")[0] for line in first]
    assert names == ["hangs", "hangs_too", "sync_reason"]
    assert all("no answer for 0 s" in line for line in first[:2])
    assert second == first
    assert took < WITHIN
    assert sorted(calls) == ["async", "sync"]


def test_an_async_check_is_cancelled_at_its_time() -> None:
    """`async def` checks run with a time-out, after which the next probe starts them afresh."""
    cancelled = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    [line] = found(slow)
    assert line.endswith(("slow: no answer within 0 s", "slow: no answer for 0 s"))
    assert cancelled.wait(5)


def test_a_blocked_loop_does_not_keep_the_probe() -> None:
    """While the application's loop is blocked, its checks have no answer, and the probe has one."""
    release = threading.Event()
    with Application() as loop:

        async def ask() -> list[str]:
            loop.call_soon_threadsafe(release.wait, 30)
            return await OwnChecks([async_reason], loop, contextvars.copy_context(), within=WITHIN).problems()

        assert asyncio.run(ask()) == ["async_reason: no answer for 0 s"]
        release.set()


def test_a_closed_loop_is_a_reason() -> None:
    """After the application's loop has been closed its checks cannot run, and say so."""
    loop = asyncio.new_event_loop()
    loop.close()

    async def ask() -> list[str]:
        return await OwnChecks([async_reason], loop, contextvars.copy_context()).problems()

    assert asyncio.run(ask()) == ["async_reason: the application's loop is closed"]


def test_an_answer_is_kept_for_a_moment() -> None:
    """Probes that come in a crowd cost one call."""
    calls: list[None] = []

    def ask_of(fresh_for: float) -> Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]:
        async def ask(loop: asyncio.AbstractEventLoop) -> None:
            checks = OwnChecks([lambda: calls.append(None)], loop, contextvars.copy_context(), fresh_for=fresh_for)
            await asyncio.gather(*(checks.problems() for _ in range(5)))
            await checks.problems()

        return ask

    with Application() as loop:
        asyncio.run(ask_of(60.0)(loop))
        assert len(calls) == 1
        asyncio.run(ask_of(0.0)(loop))
        assert len(calls) == 3


def test_a_failing_check_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it begins to fail and one when it passes again, not one a probe."""
    answers = iter(["down", "down", None, None])

    def database() -> str | None:
        return next(answers)

    async def ask(loop: asyncio.AbstractEventLoop) -> None:
        checks = OwnChecks([database], loop, contextvars.copy_context(), fresh_for=0.0)
        for _ in range(4):
            await checks.problems()

    caplog.set_level(logging.INFO, "humus.health")
    with Application() as loop:
        asyncio.run(ask(loop))
    name = "test_a_failing_check_is_logged_once.<locals>.database"
    assert caplog.messages == [f"own check {name}: down", f"own check {name}: passes again"]
