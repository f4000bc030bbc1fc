"""The user's token function as the client may call it: one call at a time, never raising into the client.

Each client of the runtime (the consumer, the lookout's two, the producer of dead letters) asks by itself, on a thread
of its own, at its start and when four fifths of a token's life have passed. They share what the function returned for
the first half of its life. Once there has been a token, a failure is logged and the client is given the last token
again, to ask anew in a few seconds. Whether that token is still good is for the broker to say.
"""

import logging
import threading
import traceback
from collections.abc import Callable

from humus.errors import AuthenticationFailed
from humus.queue._describe import error_type
from humus.queue.kafka._security import Token

__all__ = ["TokenSource"]

_log = logging.getLogger("humus.kafka.client")

ASK_AGAIN_AFTER = 10.0
"""Seconds that a token which could not be renewed is said to live on; the client asks anew after four fifths of it."""
_LONGEST = 10 * 365 * 86_400.0
"""Seconds that a token may live; a time in milliseconds is farther away."""
_SHARED_FOR = 0.5
"""The part of its life in which a token is given to every client that asks."""


class TokenSource:
    """The clients' `oauth_cb`. Any thread; `now` returns seconds since the epoch."""

    def __init__(self, token: Token, now: Callable[[], float]) -> None:
        self._token = token
        self._now = now
        self._last: tuple[str, float] | None = None
        self._shared_until = 0.0
        self._failing = False
        self._asking = threading.Lock()

    def fetch(self) -> tuple[str, float]:
        """Get the first token; to be called before a client is created.

        Raises:
            AuthenticationFailed: the function raised, or returned no token; its exception is `__cause__`.
        """
        with self._asking:
            try:
                return self._ask()
            except Exception as error:
                what = f"{_what(error)}; check the token function of the option sasl"
                raise AuthenticationFailed(f"{what}{_where(error)}") from error

    def __call__(self, _config: str = "") -> tuple[str, float]:
        """Return a token and when it expires.

        Raises:
            AuthenticationFailed: there is none yet; never once `fetch` has returned.
        """
        if self._last is None:
            return self.fetch()
        with self._asking:
            if self._now() < self._shared_until:
                return self._last
            try:
                self._ask()
            except Exception as error:  # noqa: BLE001 - it is the user's code, and nothing may be raised into the client
                if not self._failing:
                    text = "%s; the last token is used until the function works again%s"
                    _log.warning(text, _what(error), _where(error))
                self._failing = True
                return self._last[0], self._now() + ASK_AGAIN_AFTER
            if self._failing:
                _log.info("the token function works again")
                self._failing = False
            return self._last

    def _ask(self) -> tuple[str, float]:
        answer: object = self._token()
        match answer:
            case (str(token), int() | float() as expires) if token and not isinstance(expires, bool):
                now = self._now()
                fault = _fault(token, expires - now)
                if fault is not None:
                    raise _NoToken(fault)
                self._last = token, float(expires)
                self._shared_until = now + (expires - now) * _SHARED_FOR
                return self._last
        raise _NoToken(f"it must return (token, expires_at); it returned a {type(answer).__name__}")


def _fault(token: str, lives: float) -> str | None:
    if not lives > 0:
        return "it returned a token that has expired: the time is in seconds since the epoch"
    if lives > _LONGEST:
        return "it returned a token that expires in more than ten years: the time is in seconds since the epoch"
    if not token.isascii() or not token.isprintable() or " " in token:  # the client would take none, and not say why
        return "it returned a token with a character that no token has, such as a line end or a space"
    return None


class _NoToken(Exception):  # noqa: N818 - what happened
    """The user's function returned no token that can be used."""


def _what(error: Exception) -> str:
    if isinstance(error, _NoToken):
        return f"no OAuth token from the function: {error}"
    # The type alone: the text of what the user's own code raises may hold a secret.
    return f"no OAuth token: the function raised {error_type(error)}"


def _where(error: Exception) -> str:
    """Return the innermost place of the user's own, ` (file.py:12, in get)`."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, _NoToken) or not frames:
        return ""
    return f" (raised at {frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name})"
