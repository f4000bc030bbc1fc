"""What to do with a record whose processor raised: a table, asked with everything it needs.

Backoff follows the design's D30: an exponential wait, capped, times a random factor between `1 - jitter` and 1,
at the cap too, so that partitions that failed together do not come back together. The random number and every
time come in as arguments: nothing here has a clock or a generator of its own.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from humus.errors import ConfigError

__all__ = [
    "Duration",
    "FailurePolicy",
    "HandlerTimeout",
    "Outcome",
    "PolicyKind",
    "Reject",
    "Retry",
    "RetryLater",
    "Verdict",
    "dead_letter",
    "decide",
    "halt",
    "seconds",
    "shut_down",
    "skip",
]

Duration = float | timedelta
"""A time: a number of seconds, or a `timedelta`."""


def seconds(duration: Duration) -> float:
    """Return a `Duration` in seconds.

    Raises:
        ConfigError: it is no time (not a number or a `timedelta`, a boolean, not finite).
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not math.isfinite(duration):
        raise ConfigError(f"{duration!r} is no time: give a number of seconds or a timedelta")
    return float(duration)


class Reject(Exception):  # noqa: N818 - public name of the contract
    """Raised by a processor: this record will never work. It goes straight to the failure policy, without a retry."""

    def __init__(self, reason: str = "rejected by the processor") -> None:
        self.reason = reason
        super().__init__(reason)


class RetryLater(Exception):  # noqa: N818 - public name of the contract
    """Raised by a processor: try this record again after `delay` (seconds or a `timedelta`), with no jitter.

    It counts as an attempt, so `Retry.max_attempts` bounds it as well.
    """

    def __init__(self, delay: Duration) -> None:
        self.seconds = max(0.0, seconds(delay))
        super().__init__(f"try again in {self.seconds:g} s")


ExceptionTypes = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a failed record is tried again.

    Args:
        max_attempts: runs of one record in all, the first included; `None` tries for ever.
        initial: wait after the first failure, a `Duration`.
        maximum: no wait is longer, a `Duration`.
        multiplier: each wait is this much longer than the one before.
        jitter: the random share of a wait: it is multiplied by a factor between `1 - jitter` and 1.
        retryable: only these exception types are tried again; `None`: all of them.
        fatal: these are never tried again, whatever `retryable` says.

    Raises:
        ConfigError: an impossible value; all faults at once.
    """

    max_attempts: int | None = None
    initial: Duration = 0.1
    maximum: Duration = 30.0
    multiplier: float = 2.0
    jitter: float = 0.5
    retryable: ExceptionTypes | None = None
    fatal: ExceptionTypes = ()

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ConfigError(faults)

    def _faults(self) -> list[str]:
        faults = []
        attempts = self.max_attempts
        if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1):
            faults.append(
                f"Retry: max_attempts must be a whole number of at least 1, or None for ever; it is {attempts!r}"
            )
        times = {}
        for name in ("initial", "maximum"):
            try:
                times[name] = seconds(getattr(self, name))
            except ConfigError as error:
                faults.append(f"Retry: {name}: {error}")
                continue
            if times[name] < 0:
                faults.append(f"Retry: {name} must not be negative; it is {times[name]:g} s")
        if len(times) == 2 and times["initial"] > times["maximum"]:
            faults.append(f"Retry: initial ({times['initial']:g} s) must not be above maximum ({times['maximum']:g} s)")
        if not _is_number(self.multiplier) or self.multiplier < 1:
            faults.append(f"Retry: multiplier must be a number of at least 1; it is {self.multiplier!r}")
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            faults.append(f"Retry: jitter must be between 0 and 1; it is {self.jitter!r}")
        for name in ("retryable", "fatal"):
            types = getattr(self, name)
            if types is not None and not _are_exception_types(types):
                faults.append(f"Retry: {name} must be an exception type or a tuple of them; it is {types!r}")
        return faults

    def retries(self, error: BaseException) -> bool:
        """Tell whether this exception may be tried again at all."""
        if isinstance(error, (Reject, Unretryable, self.fatal)):
            return False
        return isinstance(error, RetryLater) or self.retryable is None or isinstance(error, self.retryable)

    def backoff(self, attempt: int, luck: float) -> float:
        """Return the wait in seconds after failed attempt number `attempt` (from 1), `luck` in [0, 1)."""
        initial, maximum = seconds(self.initial), seconds(self.maximum)
        try:
            wait = min(initial * self.multiplier ** (attempt - 1), maximum)
        except OverflowError:
            wait = maximum
        return wait * (1.0 - self.jitter * luck)


class Unretryable(Exception):  # noqa: N818 - names what it is, beside Reject
    """A failure that running the record again cannot mend, such as an awaitable out of a `def` processor."""


class HandlerTimeout(TimeoutError):  # noqa: N818 - names what it is, beside Unretryable
    """A processor was not done with a record within `handler_timeout` (D33)."""

    humus_error_type = "timeout"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_exception_types(value: object) -> bool:
    types = value if isinstance(value, tuple) else (value,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in types)


class PolicyKind(Enum):
    """What happens to a record that failed for good."""

    HALT = "halt"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"
    SHUT_DOWN = "shut_down"


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """What happens to a record that failed for good; made by `halt`, `skip`, `dead_letter` and `shut_down`.

    `topic` is where dead letters go.
    """

    kind: PolicyKind
    topic: str | None = None

    def __str__(self) -> str:
        return self.kind.value if self.topic is None else f"{self.kind.value}: {self.topic}"


def halt() -> FailurePolicy:
    """Stop the partition at the failed record: nothing behind it is handled or committed; other partitions go on."""
    return FailurePolicy(PolicyKind.HALT)


def skip() -> FailurePolicy:
    """Log and count the failed record, and go on with the next one."""
    return FailurePolicy(PolicyKind.SKIP)


def shut_down() -> FailurePolicy:
    """End the whole runtime with `ProcessingFailed`; the record stays unhandled."""
    return FailurePolicy(PolicyKind.SHUT_DOWN)


def dead_letter(topic: str) -> FailurePolicy:
    """Write the failed record to `topic`, and go on once the broker has confirmed it (acks=all, idempotent).

    Key, value and headers stay as they are, byte for byte; headers `humus.dlt.*` are added that say where the record
    comes from and why it failed. While the topic is not available the partition waits and shows it; a letter that the
    topic can never take (too large) halts the partition. A crash, or a rebalance that does not wait, between the
    confirmation and the commit can write a letter twice, never none.

    Never raises: `Runtime` raises `ConfigError` for a topic that cannot be.
    """
    return FailurePolicy(PolicyKind.DEAD_LETTER, topic)


class Outcome(Enum):
    """What becomes of a failed attempt."""

    RETRY = "retry"
    HALT = "halt"
    SKIP = "skip"
    DEAD_LETTER = "dead_letter"
    SHUT_DOWN = "shut_down"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one failed attempt; `wait` in seconds counts for `Outcome.RETRY` alone."""

    outcome: Outcome
    wait: float = 0.0


_AT_THE_END = {
    PolicyKind.HALT: Verdict(Outcome.HALT),
    PolicyKind.SKIP: Verdict(Outcome.SKIP),
    PolicyKind.DEAD_LETTER: Verdict(Outcome.DEAD_LETTER),
    PolicyKind.SHUT_DOWN: Verdict(Outcome.SHUT_DOWN),
}


def decide(retry: Retry, policy: FailurePolicy, error: BaseException, attempt: int, luck: float) -> Verdict:
    """Decide on failed attempt `attempt` (from 1) of a record; `luck` is a random number in [0, 1) (D30, D31)."""
    exhausted = retry.max_attempts is not None and attempt >= retry.max_attempts
    if exhausted or not retry.retries(error):
        return _AT_THE_END[policy.kind]
    if isinstance(error, RetryLater):
        return Verdict(Outcome.RETRY, error.seconds)
    return Verdict(Outcome.RETRY, retry.backoff(attempt, luck))
