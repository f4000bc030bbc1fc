"""The token function, seen from the client that must not be raised into."""

import logging
from typing import Any

import pytest

from humus.errors import AuthenticationFailed
from humus.queue.kafka._tokens import ASK_AGAIN_AFTER, TokenSource

_NOW = 1_000.0


def _source(*answers: Any) -> TokenSource:
    left = list(answers)

    def token() -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return TokenSource(token, lambda: _NOW)


def test_each_call_asks_anew() -> None:
    """The client calls when a token is due, and gets the function's own answer."""
    source = _source(("one", _NOW + 60), ("two", _NOW + 120))
    assert source("") == ("one", _NOW + 60)
    assert source("") == ("two", _NOW + 120)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (RuntimeError("hunter2"), "the function raised RuntimeError"),
        ("token", "it must return (token, expires_at); it returned a str"),
        (("token", None), "it must return (token, expires_at)"),
        (("", _NOW + 60), "it must return (token, expires_at)"),
        (("hunter2", True), "it must return (token, expires_at)"),
        (("hunter2", _NOW), "a token that has expired"),
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
    source = _source(("one", _NOW + 60), RuntimeError("hunter2"), None, ("two", _NOW + 120))
    source.fetch()
    with caplog.at_level(logging.INFO, "humus.kafka.client"):
        assert source("") == ("one", _NOW + ASK_AGAIN_AFTER)
        assert source("") == ("one", _NOW + ASK_AGAIN_AFTER)
        assert source("") == ("two", _NOW + 120)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "hunter2" not in caplog.text
