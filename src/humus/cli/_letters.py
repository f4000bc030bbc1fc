"""A dead letter as its headers tell it: where the record came from, why it failed, and the record itself again. Pure.

What the headers are is D32's (`humus.queue.kafka._dead_letter`). A record's own headers all come before the first
header of the letter's; a `traceparent` after it is of the letter's own sending. So a replayed record is, byte for byte,
the one that the source topic had, with one header more: `humus.replays` counts how often it went round, so that a
circle is seen. It is the record's own from then on, and stays with it when it fails again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from humus.queue.kafka._dead_letter import PREFIX

__all__ = ["REPLAYS", "Facts", "Headers", "Origin", "facts_of", "identity_of", "instant", "replayed_headers"]

REPLAYS: Final = "humus.replays"
"""Counts in decimal how often a record was replayed."""
_TRACE: Final = frozenset({"traceparent", "tracestate", "baggage"})
_LARGEST: Final = 2**63 - 1
"""Kafka's numbers end here: a header with a larger one is nobody's."""

Headers = Sequence[tuple[str, bytes | None]]


class Origin(NamedTuple):
    """The record that failed: its place, and its time in ms since the epoch where it had one."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Facts(NamedTuple):
    """What a letter says of itself, without key and value; `None` is what it does not say, or not readably.

    `origin` is `None` for a record that no runtime of ours wrote; `timestamp` is the letter's own, in ms since the
    epoch.
    """

    partition: int
    offset: int
    timestamp: int | None
    origin: Origin | None
    group: str | None
    attempts: int | None
    exception: str | None
    message: str | None
    replays: int


def facts_of(partition: int, offset: int, timestamp: int | None, headers: Headers) -> Facts:
    """Read a letter's headers; of a name that comes more than once the last counts, as everywhere."""
    last = dict(headers)
    return Facts(
        partition,
        offset,
        timestamp,
        _origin(last),
        _text(last.get(f"{PREFIX}group")),
        _number(last.get(f"{PREFIX}attempts")),
        _text(last.get(f"{PREFIX}exception.type")),
        _text(last.get(f"{PREFIX}exception.message")),
        _number(last.get(REPLAYS)) or 0,
    )


def replayed_headers(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Return the headers that the replayed record has: its own ones, in order, and the count of its replays."""
    replays = (_number(dict(headers).get(REPLAYS)) or 0) + 1
    own = [header for header in _own(headers) if header[0] != REPLAYS]
    return [*own, (REPLAYS, str(replays).encode())]


def identity_of(origin: Origin, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Return what two letters of one and the same record have in common, and of different ones never.

    A crash between a letter's confirmation and the commit writes it twice (D32). The place alone would not do: a topic
    that was deleted and made anew has the same places again.
    """
    digest = blake2b(digest_size=16)
    parts = [origin.topic.encode(), *(str(at).encode() for at in origin[1:]), key, value]
    for name, own in _own(headers):
        parts += [name.encode(), own]
    for part in parts:
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return digest.digest()


def instant(timestamp: int | None) -> str | None:
    """Return a time in ms since the epoch as people and scripts read it: ISO 8601, UTC."""
    if timestamp is None:
        return None
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # a producer may write what is no date
        return str(timestamp)


def _own(headers: Headers) -> list[tuple[str, bytes | None]]:
    """Return the record's own headers: without the letter's, and without the trace of the letter's sending."""
    found: list[tuple[str, bytes | None]] = []
    in_letter = False
    for name, value in headers:
        if name.startswith(PREFIX):
            in_letter = True
        elif not (in_letter and name in _TRACE):
            found.append((name, value))
    return found


def _origin(headers: dict[str, bytes | None]) -> Origin | None:
    topic = _text(headers.get(f"{PREFIX}original.topic"), strict=True)
    partition = _number(headers.get(f"{PREFIX}original.partition"))
    offset = _number(headers.get(f"{PREFIX}original.offset"))
    if not topic or partition is None or offset is None:
        return None
    return Origin(topic, partition, offset, _number(headers.get(f"{PREFIX}original.timestamp")))


def _text(value: bytes | None, *, strict: bool = False) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8", "strict" if strict else "backslashreplace")
    except UnicodeDecodeError:
        return None


def _number(value: bytes | None) -> int | None:
    if value is None or len(value) > 19 or not (value.isdigit() and value.isascii()):
        return None
    number = int(value)
    return number if number <= _LARGEST else None
