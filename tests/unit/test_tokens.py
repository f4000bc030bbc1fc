"""The token function, seen from the client that must not be raised into."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from humus.errors import AuthenticationFailed
from humus.queue.kafka._tokens import ASK_AGAIN_AFTER, TokenSource

_NOW = 1_000.0


class _Clock:
    """Seconds since the epoch, as the test sets them."""

    now = _NOW

    def __call__(self) -> float:
        return self.now


def _source(*answers: Any, clock: _Clock | None = None) -> TokenSource:
    left = list(answers)

    def token() -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return TokenSource(token, clock or _Clock())


def test_a_token_is_shared_for_half_its_life() -> None:
    """All clients of the runtime get the same token, until one asks for whom a new one is due."""
    clock = _Clock()
    source = _source(("one", _NOW + 60), ("two", _NOW + 108), clock=clock)
    assert source.fetch() == ("one", _NOW + 60)
    clock.now = _NOW + 29.9
    assert source("") == ("one", _NOW + 60)
    clock.now = _NOW + 48
    assert [source(""), source("")] == [("two", _NOW + 108)] * 2


def test_one_call_at_a_time() -> None:
    """Clients that ask at once, on threads of their own, wait for one call of the function, and get its answer."""
    asked, may_answer = threading.Event(), threading.Event()
    calls: list[int] = []

    def token() -> tuple[str, float]:
        calls.append(1)
        asked.set()
        assert may_answer.wait(30)
        return "one", _NOW + 60

    source = TokenSource(token, _Clock())
    may_answer.set()
    source.fetch()
    asked.clear()
    may_answer.clear()
    source._shared_until = 0.0  # noqa: SLF001 - as if half its life were over
    with ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(source, "") for _ in range(3)]
        assert asked.wait(30)
        may_answer.set()
        assert [answer.result(30) for answer in answers] == [("one", _NOW + 60)] * 3
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (RuntimeError("hunter2"), "the function raised RuntimeError"),
        ("token", "it must return (token, expires_at); it returned a str"),
        (("token", None), "it must return (token, expires_at)"),
        (("", _NOW + 60), "it must return (token, expires_at)"),
        (("hunter2", True), "it must return (token, expires_at)"),
        (("hunter2", _NOW), "a token that has expired"),
        (("hunter2", float("nan")), "a token that has expired"),
        (("hunter2", float("inf")), "in more than ten years: the time is in seconds"),
        (("hunter2", 1_767_323_045_678), "in more than ten years: the time is in seconds"),
        (("hunter2\n", _NOW + 60), "a character that no token has, such as a line end"),
        (("hunter2 hunter2", _NOW + 60), "a character that no token has"),
        (("hunter2\u00e4", _NOW + 60), "a character that no token has"),
    ],
)
def test_without_a_first_token_the_runtime_cannot_start(answer: Any, says: str) -> None:
    """What is wrong is said before the client is created, and no token is shown (D70)."""
    with pytest.raises(AuthenticationFailed) as caught:
        _source(answer).fetch()
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_failing_renewal_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    """The last token is given again for a short time, logged once, until the function works again (D70)."""
    clock = _Clock()
    source = _source(("one", _NOW + 60), RuntimeError("hunter2"), None, ("two", _NOW + 120), clock=clock)
    source.fetch()
    clock.now += 48
    with caplog.at_level(logging.INFO, "humus.kafka.client"):
        assert source("") == ("one", clock.now + ASK_AGAIN_AFTER)
        assert source("") == ("one", clock.now + ASK_AGAIN_AFTER)
        assert source("") == ("two", _NOW + 120)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "hunter2" not in caplog.text
    assert f"{__file__}:" in caplog.text  # where it was raised
