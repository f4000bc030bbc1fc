"""Asks a running service for its `/status`, and says what is there when it is none."""

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import Any, Final

from humus.cli._commands import usage_error
from humus.errors import HumusError

__all__ = ["NoStatus", "fetch", "status_url"]

WITHIN: Final = 5.0
_MOST_BYTES: Final = 64 * 1024 * 1024
_PAGE: Final = "/status"


class NoStatus(HumusError):  # noqa: N818 - reads as what happened
    """The service cannot be asked."""


def status_url(given: str) -> str:
    """Return the address of the page: `http://` and `/status` are added where they are missing."""
    parts = urllib.parse.urlsplit(given if "://" in given else f"http://{given}")
    try:
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        sound = False
    if not sound or "@" in parts.netloc:
        usage_error("URL must be like http://127.0.0.1:8080, where the service's health server is")
    path = parts.path.rstrip("/") or _PAGE
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def fetch(url: str) -> Any:
    """Return what is at the address, as JSON's values. Blocks for some seconds at most.

    Raises:
        NoStatus: there is nothing, or something else; says what to do.
    """
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - http(s), see above
    # Without proxies: what is asked is on this machine or next to it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=WITHIN) as answer:
            body = answer.read(_MOST_BYTES)
            if answer.length:  # what was announced and did not come
                raise http.client.IncompleteRead(body, answer.length)
    except urllib.error.HTTPError as error:
        with error:
            raise NoStatus(f"{url}: {_refusal(error.code)}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoStatus(f"{url}: {_reason(reason)}") from None
    try:
        return json.loads(body)
    except ValueError:
        raise NoStatus(f"{url}: {NO_HUMUS}, as the answer is no JSON: is the address right?") from None


NO_HUMUS: Final = "what answers there is no humus service"


def _refusal(code: int) -> str:
    if code == HTTPStatus.NOT_FOUND:
        return f"404 Not Found: {NO_HUMUS}, or the path is wrong; give the address of its health server"
    phrase = HTTPStatus(code).phrase if code in HTTPStatus.__members__.values() else ""
    return f"{code} {phrase}".strip() + ": the status cannot be read; look into the service's log"


def _reason(reason: object) -> str:
    for kinds, words in _REASONS:
        if isinstance(reason, kinds):
            return words
    return f"cannot be reached: {getattr(reason, 'strerror', None) or reason}"


_REASONS: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    (
        (ConnectionRefusedError,),
        "connection refused: is the service running, and its health server (8080 by default) at that address?",
    ),
    ((socket.gaierror,), "the host name cannot be resolved"),
    ((TimeoutError,), f"no answer within {WITHIN:g} s: the process is frozen, or a firewall is between"),
    ((ssl.SSLError,), "no TLS there, or a certificate that is not trusted"),
    (
        (ConnectionError, http.client.IncompleteRead),
        "the connection was cut: the service is ending, or it is no HTTP server",
    ),
    ((http.client.HTTPException,), f"{NO_HUMUS}: it does not speak HTTP"),
)
"""Errors -> what to say of them; the first that fits."""
