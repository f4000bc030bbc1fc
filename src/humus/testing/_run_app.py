"""Runs a service in a test's loop until a condition holds, then stops it as a signal would."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, Protocol, TypeVar, cast

from humus.config import Config, Source, load
from humus.errors import ConfigError
from humus.queue._app import App
from humus.queue._init import Init, InitFunction, config_type
from humus.queue._protocols import Runtime
from humus.queue.kafka._retry import Duration, seconds
from humus.queue.kafka._status import PartitionStatus, RuntimeStatus

__all__ = ["RunApp", "run_app"]

C = TypeVar("C", bound=Config)

Condition = Callable[[], Awaitable[object] | object]
"""Tells whether to stop: what it returns is true; sync or async."""

_LOOK_EVERY: Final = 0.01
"""Seconds between two questions to the condition; longer if the condition itself takes longer."""
_STOPS_WITHIN: Final = 30.0
"""Seconds for a graceful stop; with default settings it is over after 24 s, even if a processor hangs."""
_CUT_WITHIN: Final = 2.0


class RunApp(Protocol):
    """What the fixture `run_app` is: the function of that name."""

    def __call__(
        self,
        service: App | Runtime | InitFunction[C],
        config: C | Source | None = None,
        *,
        until: Condition,
        within: Duration = 10.0,
    ) -> Coroutine[Any, Any, None]:
        """Run the service until the condition holds."""
        ...


async def run_app(
    service: App | Runtime | InitFunction[C],
    config: C | Source | None = None,
    *,
    until: Condition,
    within: Duration = 10.0,
) -> None:
    """Run a service on this loop until `until()` is true, then stop it gracefully: drained, committed, left.

    As `queue.run` does, without its logging, telemetry, health server and signals. In a test that is no coroutine:
    `asyncio.run(run_app(...))`.

    Args:
        service: an `App`, a runtime, or an `init`, called with `config`; what follows its `yield` runs at the end.
        config: for `init` alone: its configuration, or a source such as `yaml_source("config.yaml")`.
        until: asked every 10 ms, on this loop; `def` or `async def`.
        within: how long that may take, `init` included; a `Duration`.

    Raises:
        Exception: what the service raised, or `until`.
        AssertionError: the condition did not hold in time, or before the service ended by itself; it says what state
            the partitions were in. Or the service did not stop within 30 s.
        ConfigError: the configuration has faults, or an argument is none of the above.
    """
    patience = _check(service, config, until, within)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    opened = _opened(service, config)
    try:
        async with asyncio.timeout_at(deadline):
            app = await opened.open()
    except TimeoutError as error:
        if loop.time() < deadline:
            raise
        raise AssertionError(f"run_app: init has not returned within {patience:g} s") from error
    try:
        await _run(app, until, deadline, patience)
    finally:
        await opened.close()


async def _run(app: App, until: Condition, deadline: float, patience: float) -> None:
    running = asyncio.create_task(app.run(), name="run_app")
    try:
        held = await _wait_for(until, running, deadline)
        state = "" if held else _state_of(app)
        alone = running.done()
    except BaseException as error:
        if failure := await _stop(app, running):
            error.add_note(f"run_app: and the service ended with {type(failure).__name__}: {failure}")
        raise
    if failure := await _stop(app, running):
        raise failure
    if not held:
        when = "when the service ended by itself" if alone else f"within {patience:g} s"
        raise AssertionError(f"run_app: the condition did not hold {when}{state}")


async def _wait_for(until: Condition, running: "asyncio.Task[None]", deadline: float) -> bool:
    """Tell whether the condition held, in time or when the service had ended."""
    loop = asyncio.get_running_loop()
    while True:
        ended = running.done()  # before the question: what the service did last counts
        began = loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                answer = until()
                held = bool(await answer if inspect.isawaitable(answer) else answer)
        except TimeoutError:
            if loop.time() < deadline:
                raise
            return False
        now = loop.time()
        if held or ended or now >= deadline:
            return held
        await asyncio.wait({running}, timeout=min(max(_LOOK_EVERY, now - began), deadline - now))


async def _stop(app: App, running: "asyncio.Task[None]") -> BaseException | None:
    """Stop the service; return what it raised, or what is to be said where it does not stop."""
    app.stop()
    await asyncio.wait({running}, timeout=_STOPS_WITHIN)
    if running.done():
        return asyncio.CancelledError() if running.cancelled() else running.exception()
    state = _state_of(app)
    for _ in range(2):  # the first one asks for a graceful stop again
        running.cancel()
        await asyncio.wait({running}, timeout=_CUT_WITHIN / 2)
    return AssertionError(f"run_app: the service has not stopped within {_STOPS_WITHIN:g} s{state}")


class _Opened(Protocol):
    async def open(self) -> App: ...
    async def close(self) -> None: ...


class _Given:
    """An App that is there already, in the shape of `Init`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def open(self) -> App:
        return self._app

    async def close(self) -> None:
        pass


def _check(service: object, config: object, until: object, within: Duration) -> float:
    """Return the patience in seconds."""
    patience = seconds(within)
    faults = []
    if not callable(until):
        faults.append(f"run_app: until must be a function that tells whether to stop; it is {type(until).__name__}")
    if patience <= 0:
        faults.append(f"run_app: within must be above 0; it is {patience:g} s")
    if config is not None and (isinstance(service, App) or _is_runtime(service)):
        faults.append("run_app: config is what init is called with; the service given is made already")
    if faults:
        raise ConfigError(faults)
    return patience


def _opened(service: App | Runtime | InitFunction[C], config: C | Source | None) -> _Opened:
    if isinstance(service, App):
        return _Given(service)
    if _is_runtime(service):
        return _Given(App(cast("Runtime", service)))
    kind = config_type(service)
    given = config if config is None or isinstance(config, Config) else load(config, cast("type[C]", kind))
    init = cast("InitFunction[C]", service)
    if given is None and inspect.signature(init).parameters:
        raise ConfigError(
            f"run_app: init takes a configuration: give a {kind.__name__}, or a source such as yaml_source"
        )
    return Init(init, cast("C", given))


def _is_runtime(service: object) -> bool:
    return callable(getattr(service, "process_queue", None))


def _state_of(app: App) -> str:
    lines = [f"  {line}" for runtime in app.runtimes for line in _lines(runtime)]
    return "\n".join(["; its state:", *lines])


def _lines(runtime: Runtime) -> Iterator[str]:
    ask = getattr(runtime, "status", None)
    status = ask() if callable(ask) else None
    if not isinstance(status, RuntimeStatus):
        yield f"{type(runtime).__name__}: says nothing of its state"
        return
    totals = status.totals
    yield f"group {status.group_id}: {status.state}, {totals.handled} handled of {totals.consumed} consumed"
    if not status.partitions:
        yield "no partition is assigned"
    yield from map(_partition, status.partitions)
    yield from (f"problem: {problem}" for problem in status.problems)


def _partition(at: PartitionStatus) -> str:
    known = {"position": at.position, "committed": at.committed, "lag": at.lag, "in flight": at.in_flight}
    numbers = ", ".join(f"{name} {number}" for name, number in known.items() if number is not None)
    failure = at.failure
    why = ""
    if failure is not None:
        last = f"{failure.error_type}: {failure.reason}"
        why = f"; record {failure.offset} failed {failure.attempts} times, last with {last}"
    return f"{at.topic}[{at.partition}]: {at.state}, {numbers}{why}"
