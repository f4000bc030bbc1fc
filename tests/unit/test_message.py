"""`Message`: what a processor sees of a record."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.pieces import Record

from humus.queue import kafka
from humus.queue.kafka._message import Message, TopicPartition
from humus.testing import message

NOON = datetime(2026, 11, 23, 12, 0, 0, 123_000, tzinfo=UTC)


class Stamped(Record):
    """A record with a timestamp of the broker's or the producer's."""

    __slots__ = ("_stamp",)

    def __init__(self, kind: int, milliseconds: int) -> None:
        super().__init__(0)
        self._stamp = kind, milliseconds

    def timestamp(self) -> tuple[int, int]:
        """Return the kind (1: the producer's, 2: the broker's) and the milliseconds."""
        return self._stamp


def stamped(kind: int, milliseconds: int) -> Message:
    """Make a message of a record with this timestamp."""
    return Message("orders", 0, 0, None, None, Stamped(kind, milliseconds))


def test_the_timestamp_is_aware_and_in_milliseconds() -> None:
    """The record's time is UTC; other zones mean the same moment."""
    assert message(timestamp=NOON).timestamp == NOON
    assert message(timestamp=NOON.astimezone().astimezone(UTC)).timestamp == NOON
    seen = message(timestamp=NOON + timedelta(microseconds=400)).timestamp
    assert seen is not None
    assert (seen, seen.tzinfo) == (NOON, UTC)


def test_a_record_without_a_time_has_none() -> None:
    """Old message formats have no timestamp: that is `None`, not 1970."""
    assert message().timestamp is None
    assert stamped(0, 0).timestamp is None


def test_times_before_the_epoch_and_far_ahead_are_times() -> None:
    """Kafka's timestamps are signed 64-bit milliseconds; those that a datetime holds are read."""
    assert stamped(1, -1).timestamp == datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    assert stamped(1, 253_402_300_799_999).timestamp == datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


@pytest.mark.parametrize(("kind", "attrs"), [(0, 0), (1, 0), (2, 8)])
def test_attrs_say_who_set_the_time(kind: int, attrs: int) -> None:
    """Bit 3 of the batch's attributes is the timestamp type: set where it is the broker's."""
    assert stamped(kind, 5).attrs == attrs


def test_headers_are_all_headers_in_order() -> None:
    """A name may come more than once, a value may be missing."""
    msg = message(headers=[("a", b"1"), ("b", None), ("a", b"2")])
    assert msg.headers == (kafka.Header("a", b"1"), kafka.Header("b", None), kafka.Header("a", b"2"))
    assert msg.headers[0].key == "a"
    assert message().headers == ()


def test_header_is_the_last_of_its_name() -> None:
    """As Kafka's own `lastHeader`: later writers win, and a missing value is a value."""
    msg = message(headers=[("a", b"1"), ("a", b"2"), ("b", b"3"), ("b", None)])
    assert msg.header("a") == b"2"
    assert msg.header("b") is None
    assert msg.header("c") is None
    assert message().header("a") is None


@pytest.mark.parametrize(
    "name", ["value", "key", "offset", "topic", "partition", "headers", "timestamp", "attrs", "new"]
)
def test_a_message_cannot_be_changed(name: str) -> None:
    """It is safe to keep and to hand to other threads."""
    msg: Any = message(b"x")
    with pytest.raises(AttributeError):
        setattr(msg, name, b"y")
    assert not hasattr(msg, "__dict__")


def test_the_repr_shows_no_payload() -> None:
    """Reprs end up in logs: neither key, value nor header is in it."""
    msg = message(b"secret-value", key=b"secret-key", headers=[("secret-name", b"secret-header")], offset=7)
    assert repr(msg) == str(msg) == "Message(test[0]@7, 12 bytes)"
    assert repr(message(None)) == "Message(test[0]@0, tombstone)"


def test_messages_are_equal_by_all_that_they_carry() -> None:
    """Two reads of one record are equal; what differs anywhere is not."""
    same: dict[str, Any] = {"value": b"v", "key": b"k", "headers": [("a", b"1")], "timestamp": NOON, "offset": 3}
    msg = message(**same)
    assert msg == message(**same)
    assert hash(msg) == hash(message(**same))
    others: list[dict[str, Any]] = [
        {"value": b"w"},
        {"value": None},
        {"key": None},
        {"headers": []},
        {"timestamp": None},
        {"offset": 4},
        {"partition": 1},
        {"topic": "x"},
    ]
    for other in others:
        assert msg != message(**{**same, **other})
    assert msg != "v"


def test_a_partition_is_written_as_people_write_it() -> None:
    """Logs and errors name partitions in one way."""
    assert str(TopicPartition("orders", 3)) == "orders[3]"
