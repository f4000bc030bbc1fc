"""Backoff: for every table of options, attempt and luck."""

from hypothesis import assume, given
from hypothesis import strategies as st

from humus.queue.kafka._retry import Outcome, Reject, Retry, decide, halt

seconds = st.floats(0, 1e6, allow_nan=False)
lucks = st.floats(0, 1, exclude_max=True)
multipliers = st.floats(1, 1e300, allow_nan=False)
shares = st.floats(0, 1)
attempts = st.integers(1, 10**9)


@st.composite
def retries(draw: st.DrawFn) -> Retry:
    """Draw any options that are allowed."""
    initial, maximum = sorted((draw(seconds), draw(seconds)))
    return Retry(initial=initial, maximum=maximum, multiplier=draw(multipliers), jitter=draw(shares))


@given(retries(), attempts, lucks)
def test_a_wait_is_between_its_jitter_and_its_cap(retry: Retry, attempt: int, luck: float) -> None:
    """D30: the wait is x times a factor between 1 - jitter and 1, x at the cap too, and no attempt overflows."""
    assert isinstance(retry.initial, float)
    assert isinstance(retry.maximum, float)
    full = retry.backoff(attempt, 0.0)
    wait = retry.backoff(attempt, luck)
    assert full * (1 - retry.jitter) <= wait <= full <= retry.maximum
    assert wait >= 0


@given(retries(), st.integers(1, 10_000))
def test_waits_grow_up_to_the_cap(retry: Retry, attempt: int) -> None:
    """D30: with the same luck no wait is shorter than the one before; the first is `initial`."""
    assert retry.backoff(attempt + 1, 0.0) >= retry.backoff(attempt, 0.0)
    assert retry.backoff(1, 0.0) == retry.initial


@given(retries(), lucks, lucks)
def test_luck_only_shortens(retry: Retry, luck: float, other: float) -> None:
    """D30: more luck is never a longer wait, at the cap too, so partitions that failed together come back apart."""
    assume(luck <= other)
    assert retry.backoff(10**6, other) <= retry.backoff(10**6, luck)


@given(st.integers(1, 50), attempts, lucks)
def test_attempts_are_bounded(most: int, attempt: int, luck: float) -> None:
    """D31: exactly `max_attempts` runs, then the policy."""
    verdict = decide(Retry(max_attempts=most), halt(), ValueError(), attempt, luck)
    assert (verdict.outcome is Outcome.RETRY) == (attempt < most)


@given(attempts, lucks)
def test_a_rejected_record_is_never_tried_again(attempt: int, luck: float) -> None:
    """D31: `Reject` goes straight to the policy, whatever the attempt."""
    assert decide(Retry(), halt(), Reject("no"), attempt, luck).outcome is Outcome.HALT
