"""Builds a `Message` without a broker."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from humus.queue.kafka._message import Message

__all__ = ["message"]

_NO_TIMESTAMP: Final = 0
_CREATE_TIME: Final = 1


@dataclass(frozen=True, slots=True)
class _Raw:
    """A record in the client's shape."""

    _topic: str
    _partition: int
    _offset: int
    _key: bytes | None
    _value: bytes | None
    _headers: list[tuple[str, bytes | None]]
    _timestamp: tuple[int, int]

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers or None

    def timestamp(self) -> tuple[int, int]:
        return self._timestamp

    def leader_epoch(self) -> int | None:
        return None


def message(
    value: bytes | str | None = b"",
    *,
    key: bytes | str | None = None,
    headers: Iterable[tuple[str, bytes | None]] = (),
    timestamp: datetime | None = None,
    topic: str = "test",
    partition: int = 0,
    offset: int = 0,
) -> Message:
    """Build a `Message` as a processor would get it; text is encoded as UTF-8, a `value` of `None` is a tombstone.

    Raises:
        ValueError: `timestamp` is naive: say which time zone it is in.
    """
    if timestamp is None:
        when = (_NO_TIMESTAMP, -1)
    elif timestamp.tzinfo is None:
        raise ValueError("timestamp must be aware: a record's time is in UTC, so say which time zone yours is in")
    else:
        when = (_CREATE_TIME, round(timestamp.timestamp() * 1000))
    raw = _Raw(topic, partition, offset, _bytes(key), _bytes(value), list(headers), when)
    return Message(topic, partition, offset, raw.key(), raw.value(), raw)


def _bytes(text: bytes | str | None) -> bytes | None:
    return text.encode() if isinstance(text, str) else text
