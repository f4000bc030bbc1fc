"""What a dead letter is made of."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humus.queue import kafka
from humus.queue.kafka._dead_letter import DeadLetter, LastFailure, Refusal, dead_letter_of
from humus.testing import message

FAILURE = LastFailure("group", 3, "builtins.ValueError", "no good ü", "  File ...")
OF_THE_FAILURE = tuple(
    kafka.Header(*header)
    for header in (
        ("humus.dlt.group", b"group"),
        ("humus.dlt.attempts", b"3"),
        ("humus.dlt.exception.type", b"builtins.ValueError"),
        ("humus.dlt.exception.message", "no good ü".encode()),
        ("humus.dlt.exception.stacktrace", b"  File ..."),
    )
)


def test_a_letter_says_where_it_comes_from_and_why() -> None:
    """D32: key, value and headers stay as they are; text is UTF-8, numbers decimal, the time in ms since the epoch."""
    when = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    record = message(
        b"\x00v\xff", key=b"\xfek", headers=[("a", b"\xff\x00"), ("a", None), ("traceparent", b"00-1-2-01")],
        topic="orders", partition=7, offset=42, timestamp=when,
    )  # fmt: skip
    letter = dead_letter_of(record, FAILURE, "orders.dlt")
    assert letter == DeadLetter(
        "orders.dlt",
        b"\xfek",
        b"\x00v\xff",
        (
            kafka.Header("a", b"\xff\x00"),
            kafka.Header("a", None),
            kafka.Header("traceparent", b"00-1-2-01"),
            kafka.Header("humus.dlt.original.topic", b"orders"),
            kafka.Header("humus.dlt.original.partition", b"7"),
            kafka.Header("humus.dlt.original.offset", b"42"),
            kafka.Header("humus.dlt.original.timestamp", b"1767323045678"),
            *OF_THE_FAILURE,
        ),
    )


def test_a_record_without_a_time_gets_none() -> None:
    """A header that would be a lie is left out."""
    letter = dead_letter_of(message(), FAILURE, "dlt")
    assert "humus.dlt.original.timestamp" not in {header.key for header in letter.headers}


@given(
    st.lists(st.tuples(st.sampled_from(["a", "humus.dlt", "traceparent"]), st.none() | st.binary(max_size=9))),
    st.integers(1, 4),
)
def test_a_letter_of_a_letter_keeps_where_it_began(headers: list[tuple[str, bytes | None]], times: int) -> None:
    """D32: however often it fails on the way, `original` headers name the first topic and the rest the last failure."""
    record = message("v", topic="orders", partition=1, offset=5, headers=headers)
    first = dead_letter_of(record, FAILURE, "dlt.0")
    letter = first
    for at in range(1, times):
        again = message(letter.value, key=letter.key, headers=letter.headers, topic=letter.topic, offset=100 + at)
        last = LastFailure("other group", at, "E", "another reason", "elsewhere")
        letter = dead_letter_of(again, last, f"dlt.{at}")
    originals = [header for header in letter.headers if header.key.startswith("humus.dlt.original.")]
    assert originals == [header for header in first.headers if header.key.startswith("humus.dlt.original.")]
    assert letter.headers[: len(headers)] == tuple(kafka.Header(*header) for header in headers)
    reasons = [header.value for header in letter.headers if header.key == "humus.dlt.exception.message"]
    assert reasons == [b"another reason" if times > 1 else "no good ü".encode()]


def test_text_that_is_no_unicode_is_written_all_the_same() -> None:
    """A lone surrogate in a message does not cost the letter."""
    letter = dead_letter_of(message(), FAILURE._replace(message="\ud800"), "dlt")
    assert kafka.Header("humus.dlt.exception.message", b"\\ud800") in letter.headers


@pytest.mark.parametrize(
    ("code", "final"), [("MSG_SIZE_TOO_LARGE", True), ("INVALID_RECORD", True), ("_UNKNOWN_TOPIC", False), ("X", False)]
)
def test_only_what_the_letter_itself_brings_about_is_final(code: str, final: bool) -> None:
    """D32: a letter that the topic can never take is told from a topic that is not there for now."""
    assert Refusal(code, "no").final is final
