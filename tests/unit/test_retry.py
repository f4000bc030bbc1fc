"""The retry table: every kind of failure against every rule, and the faults of a `Retry`."""

from datetime import timedelta
from typing import Any

import pytest

from humus.errors import ConfigError
from humus.queue import kafka
from humus.queue.kafka._retry import FailurePolicy, Outcome, Unretryable, Verdict, decide, seconds

BROKEN = kafka.Retry(initial=1, maximum=8, multiplier=2, jitter=0.5)
ENDS = [(kafka.halt(), Outcome.HALT), (kafka.skip(), Outcome.SKIP), (kafka.shut_down(), Outcome.SHUT_DOWN)]


@pytest.mark.parametrize(
    ("retry", "error", "attempt", "wait"),
    [
        (BROKEN, ValueError(), 1, 1.0),
        (BROKEN, ValueError(), 3, 4.0),
        (BROKEN, ValueError(), 4, 8.0),
        (BROKEN, ValueError(), 99, 8.0),
        (BROKEN, kafka.RetryLater(0.25), 1, 0.25),
        (BROKEN, kafka.RetryLater(timedelta(minutes=5)), 7, 300.0),
        (kafka.Retry(max_attempts=2, initial=1), ValueError(), 1, 1.0),
        (kafka.Retry(max_attempts=2), kafka.RetryLater(3), 1, 3.0),
        (kafka.Retry(retryable=OSError, initial=1), ConnectionError(), 1, 1.0),
        (kafka.Retry(retryable=OSError), kafka.RetryLater(3), 1, 3.0),
        (kafka.Retry(fatal=KeyError, initial=1), ValueError(), 1, 1.0),
    ],
)
def test_what_is_tried_again_and_when(retry: kafka.Retry, error: Exception, attempt: int, wait: float) -> None:
    """D30: the wait doubles up to its cap; `RetryLater` names its own."""
    assert decide(retry, kafka.halt(), error, attempt, 0.0) == Verdict(Outcome.RETRY, wait)


@pytest.mark.parametrize(("policy", "outcome"), ENDS)
@pytest.mark.parametrize(
    ("retry", "error", "attempt"),
    [
        (kafka.Retry(max_attempts=1), ValueError(), 1),
        (kafka.Retry(max_attempts=3), ValueError(), 3),
        (kafka.Retry(max_attempts=3), kafka.RetryLater(1), 3),
        (kafka.Retry(), kafka.Reject("no"), 1),
        (kafka.Retry(), Unretryable("an awaitable"), 1),
        (kafka.Retry(retryable=OSError), ValueError(), 1),
        (kafka.Retry(fatal=OSError), ConnectionError(), 1),
        (kafka.Retry(fatal=(KeyError, ValueError)), ValueError(), 1),
        (kafka.Retry(retryable=Exception, fatal=ValueError), ValueError(), 1),
        (kafka.Retry(fatal=kafka.RetryLater), kafka.RetryLater(1), 1),
    ],
)
def test_what_goes_to_the_policy(
    retry: kafka.Retry, error: Exception, attempt: int, policy: FailurePolicy, outcome: Outcome
) -> None:
    """D31: exhausted, fatal and rejected records are the policy's."""
    assert decide(retry, policy, error, attempt, 0.0) == Verdict(outcome)


def test_jitter_works_at_the_cap_too() -> None:
    """D30: partitions that failed together do not come back together, however long it lasts."""
    assert BROKEN.backoff(1000, 0.0) == 8.0
    assert BROKEN.backoff(1000, 0.999) == pytest.approx(8 * (1 - 0.4995))


def test_no_attempt_is_too_high_for_a_float() -> None:
    """D30: a record that is retried for ever waits its maximum, for ever."""
    assert kafka.Retry().backoff(10**9, 0.0) == 30.0


def test_a_wait_in_the_past_is_no_wait() -> None:
    """`RetryLater` of a negative time tries again at once."""
    assert kafka.RetryLater(-5).seconds == 0.0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"initial": -1}, "initial"),
        ({"initial": "1s"}, "initial"),
        ({"maximum": float("nan")}, "maximum"),
        ({"initial": 5, "maximum": 1}, "must not be above maximum"),
        ({"multiplier": 0.5}, "multiplier"),
        ({"multiplier": float("inf")}, "multiplier"),
        ({"jitter": 1.1}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"retryable": "ValueError"}, "retryable"),
        ({"fatal": (ValueError, 3)}, "fatal"),
    ],
)
def test_each_impossible_option_is_named(options: dict[str, Any], fault: str) -> None:
    """A `Retry` that cannot work is refused where it is made."""
    with pytest.raises(ConfigError, match=fault):
        kafka.Retry(**options)


def test_all_faults_come_at_once() -> None:
    """A configuration is corrected in one go."""
    with pytest.raises(ConfigError) as caught:
        kafka.Retry(max_attempts=0, initial=-1, multiplier=0, jitter=2)
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize(("given", "expected"), [(2, 2.0), (0.5, 0.5), (timedelta(milliseconds=250), 0.25)])
def test_a_duration_is_seconds_or_a_timedelta(given: kafka.Duration, expected: float) -> None:
    """Everywhere a time is taken, a number is seconds."""
    assert seconds(given) == expected


@pytest.mark.parametrize("given", [True, "1s", None, float("inf")])
def test_what_is_no_duration_is_refused(given: Any) -> None:
    """Neither text nor a boolean is a time."""
    with pytest.raises(ConfigError, match="no time"):
        seconds(given)
