"""One look at a service's `/status`, and what two of them tell together. Pure.

What a processor's exception said is left out, as it may hold a piece of the record: the type says enough here.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

__all__ = ["FailureLook", "Look", "PartitionLook", "RuntimeLook", "compare", "read"]

_STATES: Final = frozenset({"new", "starting", "running", "stopping", "stopped"})
_TURNING: Final = frozenset({"starting", "running", "stopping"})
SILENT_TOO_LONG: Final = 2.0
"""Seconds without a new snapshot, which a poll thread makes ten times a second, until that is a problem."""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


_Text = Annotated[str, AfterValidator(_printable)]
"""Text of another program's, for a terminal: no control characters."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FailureLook(_Model):
    """A record that does not get through; `seconds` since its first attempt."""

    offset: int
    attempts: int
    error_type: _Text
    seconds: float


class PartitionLook(_Model):
    """A partition; `rate` is in records a second, `None` after a first look."""

    topic: _Text
    partition: int
    state: _Text
    position: int | None = None
    committed: int | None = None
    lag: int | None = None
    rate: float | None = None
    in_flight: int = 0
    failure: FailureLook | None = None

    @property
    def troubled(self) -> bool:
        """Whether a person should look at it."""
        return self.failure is not None or self.state in {"halted", "stalled"}


class RuntimeLook(_Model):
    """A runtime; `name` is its group, where it has one.

    `made_at` is of the service's own clock, and `silent` for how long it has been the same, both in seconds.
    """

    name: _Text
    state: _Text
    problems: tuple[_Text, ...] = ()
    warnings: tuple[_Text, ...] = ()
    partitions: tuple[PartitionLook, ...] = ()
    made_at: float | None = None
    silent: float = 0.0


class Look(_Model):
    """A service at a moment; `at` is the looker's clock, in seconds."""

    at: float
    runtimes: tuple[RuntimeLook, ...]

    @property
    def problems(self) -> list[str]:
        """What is wrong, all runtimes together."""
        return [problem for runtime in self.runtimes for problem in runtime.problems]


def read(body: Any, at: float) -> Look | None:
    """Return what `/status` says; `None` where it is not humus that says it."""
    found = body.get("runtimes") if isinstance(body, dict) and "runtimes" in body else [body]
    if not isinstance(found, list) or not all(map(_is_runtime, found)):
        return None
    try:
        return Look(at=at, runtimes=tuple(map(_runtime, found)))
    except ValidationError:
        return None


def _is_runtime(body: Any) -> bool:
    return isinstance(body, dict) and (isinstance(body.get("runtime"), str) or body.get("state") in _STATES)


def _runtime(body: dict[str, Any]) -> RuntimeLook:
    name = body.get("group_id") or body.get("runtime") or "the service"
    runtime = RuntimeLook.model_validate({"state": "unknown", **body, "name": name})
    problems = tuple(_without_reason(problem, runtime.partitions) for problem in runtime.problems)
    in_order = sorted(runtime.partitions, key=lambda one: (one.topic, one.partition))
    return runtime.model_copy(update={"problems": problems, "partitions": tuple(in_order)})


def _without_reason(problem: str, partitions: Sequence[PartitionLook]) -> str:
    for one in partitions:
        if one.failure and problem.startswith(f"{one.topic}[{one.partition}]@{one.failure.offset}: "):
            place = f"{one.topic}[{one.partition}]@{one.failure.offset}"
            return f"{place}: {one.state}: {one.failure.error_type}, {one.failure.attempts} attempts"
    return problem


def compare(before: Look | None, now: Look) -> Look:
    """Return the later look, with the rates since the earlier one."""
    if before is None:
        return now
    earlier = {runtime.name: runtime for runtime in before.runtimes}
    runtimes = tuple(
        _with_rates(earlier[runtime.name], runtime, now.at - before.at) if runtime.name in earlier else runtime
        for runtime in now.runtimes
    )
    return now.model_copy(update={"runtimes": runtimes})


def _with_rates(before: RuntimeLook, now: RuntimeLook, seconds: float) -> RuntimeLook:
    silent, problems = 0.0, now.problems
    if before.made_at is not None and now.made_at is not None:
        if before.made_at == now.made_at and now.state in _TURNING:
            silent = before.silent + seconds
        seconds = now.made_at - before.made_at  # exact; negative after a restart on another machine
    if silent >= SILENT_TOO_LONG:
        problems = (f"its poll thread has not turned for {silent:.0f} s", *problems)
    positions = {(one.topic, one.partition): one.position for one in before.partitions}
    partitions = tuple(
        one.model_copy(update={"rate": _rate(positions.get((one.topic, one.partition)), one.position, seconds)})
        for one in now.partitions
    )
    return now.model_copy(update={"partitions": partitions, "silent": silent, "problems": problems})


def _rate(before: int | None, now: int | None, seconds: float) -> float | None:
    """Return records a second; `None` where the partition came anew, or went back."""
    if before is None or now is None or now < before or seconds <= 0:
        return None
    return (now - before) / seconds
