"""What the health server sees of the application, and what a runtime has to offer for that.

A runtime may have a method `status()`, which any thread may call, and which returns an object with

- `state`: "new", "starting", "running" (its group was joined), "stopping" or "stopped";
- `problems`: what makes it not ready, a line each;
- `as_dict()`: all of it as plain lists and dictionaries, for `/status`;

and, if it likes,

- `group_id`: its name where several runtimes are told apart;
- `warnings`: what is worth to be told and makes nothing fail, a line each;
- `stalled`: the partitions that are stuck, each with `topic`, `partition`, `position`, which fails liveness; of its
  problems, the line that begins with `topic[partition]@position` says why;
- `made_at`: when its own thread last turned, by `time.monotonic()`: an old one fails liveness.

Of a runtime without `status()` nothing is known but that it runs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from humus.queue._describe import error_type

__all__ = ["Application", "Check", "Facts", "Phase", "RuntimeFacts", "Watch"]

Phase = Literal["starting", "running", "stopping"]
"""starting until `init` has returned; stopping from the first signal or the first error on."""
Check = Callable[[], Awaitable[str | None] | str | None]
"""A check of the user's own, `def` or `async def`: `None`, or the reason why the service is not ready."""


class Application(Protocol):
    """What is read of the `App`. Any thread."""

    @property
    def runtimes(self) -> Sequence[object]: ...
    @property
    def health(self) -> Sequence[Check]: ...
    @property
    def stopping(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """A runtime as it was a moment ago; `state` is `None` where it says nothing of itself."""

    name: str
    state: str | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    stalled: tuple[str, ...] = ()
    made_at: float | None = None
    as_dict: Callable[[], dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """The application as it was a moment ago.

    `loop_silent` is for how many seconds the application's loop has not answered; `now` is of `time.monotonic()`.
    """

    phase: Phase
    now: float
    loop_silent: float
    runtimes: tuple[RuntimeFacts, ...]


class Watch:
    """The application, for the server to look at. Written by `run`, each attribute as a whole, read by any thread."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.application: Application | None = None
        self.running_since = 0.0

    def running(self, application: Application) -> None:
        """Note that `init` has returned: the App is about to run."""
        self.running_since = time.monotonic()
        self.application = application

    @property
    def phase(self) -> Phase:
        """What the application is about."""
        application = self.application
        if application is None:
            return "starting"
        return "stopping" if application.stopping else "running"

    def runtimes(self) -> tuple[RuntimeFacts, ...]:
        """Ask all runtimes."""
        return () if self.application is None else tuple(map(_ask, self.application.runtimes))


def _ask(runtime: object) -> RuntimeFacts:
    """Ask one runtime for its status; it may be the user's own, so nothing is taken for granted."""
    name = type(runtime).__qualname__
    ask = getattr(runtime, "status", None)
    if not callable(ask):
        return RuntimeFacts(name)
    try:
        status: Any = ask()
        as_dict = status.as_dict
        return RuntimeFacts(
            name=str(getattr(status, "group_id", name)),
            state=str(status.state),
            problems=_lines(status.problems),
            warnings=_lines(getattr(status, "warnings", ())),
            stalled=tuple(_stalled(partition, status.problems) for partition in getattr(status, "stalled", ())),
            made_at=getattr(status, "made_at", None),
            as_dict=as_dict,
        )
    except Exception as error:  # noqa: BLE001 - told, as a problem
        return RuntimeFacts(name, problems=(f"its status cannot be read: {error_type(error)}",))


def _lines(texts: Sequence[object]) -> tuple[str, ...]:
    return tuple(" ".join(str(text).split()) for text in texts)


def _stalled(partition: Any, problems: Sequence[str]) -> str:
    place = f"{partition.topic}[{partition.partition}]@{partition.position}"
    [line] = _lines([next((text for text in problems if text.startswith(f"{place}:")), f"{place}: stalled")])
    return line
