"""The user's token function as the client may call it: without ever raising.

The client calls it while it polls, whenever a token is due. An exception there would lose the records that the same
poll had collected, so once there has been a token, a failure is logged and the client is given the last token again,
to ask anew in a few seconds. Whether that token is still good is for the broker to say.
"""

import logging
from collections.abc import Callable

from humus.errors import AuthenticationFailed
from humus.queue.kafka._security import Token

__all__ = ["TokenSource"]

_log = logging.getLogger("humus.kafka.client")

ASK_AGAIN_AFTER = 10.0
"""Seconds that a token which could not be renewed is said to live on; the client asks anew after four fifths of it."""


class TokenSource:
    """The client's `oauth_cb`. Called on the poll thread; `now` returns seconds since the epoch."""

    def __init__(self, token: Token, now: Callable[[], float]) -> None:
        self._token = token
        self._now = now
        self._last: tuple[str, float] | None = None
        self._failing = False

    def fetch(self) -> tuple[str, float]:
        """Get the first token; to be called before the client is created.

        Raises:
            AuthenticationFailed: the function raised, or returned no token; its exception is `__cause__`.
        """
        try:
            self._last = self._ask()
        except Exception as error:
            raise AuthenticationFailed(f"{_what(error)}; check the token function of the option sasl") from error
        return self._last

    def __call__(self, _config: str = "") -> tuple[str, float]:
        """Return a token and when it expires.

        Raises:
            AuthenticationFailed: there is none yet; never once `fetch` has returned.
        """
        if self._last is None:
            return self.fetch()
        try:
            self._last = self._ask()
        except Exception as error:  # noqa: BLE001 - it is the user's code, and nothing may be raised into the client
            if not self._failing:
                _log.warning("%s; the last token is used until the function works again", _what(error))
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
                if expires > self._now():
                    return token, float(expires)
                raise _NoToken("it returned a token that has expired: the time is in seconds since the epoch")
        raise _NoToken(f"it must return (token, expires_at); it returned a {type(answer).__name__}")


class _NoToken(Exception):  # noqa: N818 - what happened
    """The user's function returned no token that can be used."""


def _what(error: Exception) -> str:
    if isinstance(error, _NoToken):
        return f"no OAuth token from the function: {error}"
    # The type alone: the text of what the user's own code raises may hold a secret.
    return f"no OAuth token: the function raised {type(error).__name__}"
