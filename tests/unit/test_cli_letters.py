"""A dead letter's headers: read, and taken off again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humus.cli._choice import Choice, parse_letter, parse_time, parse_topic, parse_topics
from humus.cli._letter_summary import Kind, Summary, Tally, row_of
from humus.cli._letters import Facts, Headers, Origin, facts_of, identity_of, instant, replayed_headers
from humus.queue import kafka
from humus.queue.kafka._dead_letter import LastFailure, dead_letter_of
from humus.testing import message

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FAILURE = LastFailure("group", 3, "app.orders.NoSuchCustomer", "no good ü", "  File ...")
TRACE = [("traceparent", b"00-1-2-01"), ("tracestate", b"a=b")]
own_headers = st.lists(
    st.tuples(st.sampled_from(["a", "traceparent", "humus.dlt", "é"]), st.none() | st.binary(max_size=9)), max_size=5
)


def letter_of(headers: Headers, *, rounds: int = 1, topic: str = "orders") -> list[tuple[str, bytes | None]]:
    """Return the headers of a letter as the runtime writes it, traced; with more rounds of a letter of a letter."""
    for number in range(rounds):
        record = message(b"", topic=f"{topic}.dlt" * number or topic, partition=7, offset=42, headers=headers)
        headers = [*dead_letter_of(record, FAILURE, "dlt").headers, *TRACE]
    return list(headers)


@given(own_headers, st.integers(1, 3))
def test_a_replayed_record_is_the_one_that_failed(headers: Headers, rounds: int) -> None:
    """All headers of its own come back, byte for byte, with one that counts and none of the letter's (D32)."""
    replayed = replayed_headers(letter_of(headers, rounds=rounds))
    assert replayed == [*headers, ("humus.replays", b"1")]
    again = replayed_headers(letter_of(replayed, rounds=rounds))
    assert again == [*headers, ("humus.replays", b"2")]


def test_a_letter_says_where_it_is_from_and_why() -> None:
    """What the runtime wrote is read again, of a letter of a letter too: the first topic, the last failure."""
    when = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    record = message(b"", topic="orders", partition=7, offset=42, timestamp=when, headers=[("humus.replays", b"2")])
    headers = dead_letter_of(record, FAILURE, "dlt").headers
    origin = Origin("orders", 7, 42, 1_767_323_045_678)
    facts = Facts(1, 5, 99, origin, "group", 3, "app.orders.NoSuchCustomer", "no good ü", 2)
    assert facts_of(1, 5, 99, headers) == facts
    assert str(origin) == "orders[7]@42"
    row = row_of(facts, replayed=True)
    assert row["original_time"] == "2026-01-02T03:04:05.678Z"
    assert row["replayed"] is True


def place(topic: bytes, number: bytes) -> Headers:
    """Return the headers of a letter that say where it came from."""
    numbers = [(f"humus.dlt.original.{name}", number) for name in ("partition", "offset")]
    return [("humus.dlt.original.topic", topic), *numbers]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("humus.dlt.original.topic", b"orders"), ("humus.dlt.original.partition", b"0")],
        place(b"\xff", b"0"),
        place(b"", b"0"),
        place(b"a", b"-1"),
        place(b"a", b"9" * 19),
    ],
)
def test_a_record_that_names_no_source_is_foreign(headers: Headers) -> None:
    """Half a place, or one that is none, is no place: nothing is guessed."""
    assert facts_of(0, 0, None, headers).origin is None


@given(own_headers, st.none() | st.binary(max_size=3), st.none() | st.binary(max_size=3))
def test_an_identity_is_the_records_alone(headers: Headers, key: bytes | None, value: bytes | None) -> None:
    """Two letters of one record have the same, whatever the failure and the trace; another record has another."""
    origin = Origin("orders", 7, 42, None)
    identity = identity_of(origin, key, value, letter_of(headers))
    assert identity == identity_of(origin, key, value, headers)
    others = {
        identity_of(origin._replace(offset=43), key, value, headers),
        identity_of(origin._replace(timestamp=0), key, value, headers),
        identity_of(origin, b"other", value, headers),
        identity_of(origin, key, b"other", headers),
        identity_of(origin, key, value, [*headers, ("a", b"")]),
    }
    assert len(others) == 5
    assert identity not in others


ORDER = facts_of(0, 5, 1000, letter_of([]))


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(since=1000, until=1001), True),
        (Choice(since=1001), False),
        (Choice(until=1000), False),
        (Choice(exceptions=("NoSuchCustomer",)), True),
        (Choice(exceptions=("ValueError", "app.orders.*")), True),
        (Choice(exceptions=("nosuchcustomer",)), False),
        (Choice(sources=(("orders", frozenset()),)), True),
        (Choice(sources=(("orders", frozenset({6, 7})),)), True),
        (Choice(sources=(("orders", frozenset({6})), ("other", frozenset()))), False),
        (Choice(letters=frozenset({(0, 5)})), True),
        (Choice(letters=frozenset({(1, 5)})), False),
        (Choice(max_replays=0), True),
        (Choice(since=1000, exceptions=("ValueError",)), False),
    ],
)
def test_a_letter_is_chosen_if_it_passes_every_filter(choice: Choice, taken: bool) -> None:
    """Each filter by itself, and all together."""
    assert choice.takes(ORDER) is taken


def test_filters_pass_over_what_a_letter_does_not_say() -> None:
    """A foreign record fails every filter about its failure or its source, and without a time every one about time."""
    foreign = facts_of(0, 0, None, [("humus.replays", b"3")])
    assert Choice().takes(foreign)
    for choice in (
        Choice(exceptions=("*",)),
        Choice(sources=(("orders", frozenset()),)),
        Choice(since=0),
        Choice(until=9),
    ):
        assert not choice.takes(foreign)
    assert not Choice(max_replays=2).takes(foreign)
    assert Choice(max_replays=3).takes(foreign)


def test_what_is_typed() -> None:
    """Topics with partitions, places, times."""
    assert parse_topic("a.b-c_D") == ("a.b-c_D", frozenset())
    assert parse_topics(["a:0,1", "a:4", "b:1", "b"]) == {"a": frozenset({0, 1, 4}), "b": frozenset()}
    assert parse_letter("3:99") == (3, 99)
    assert parse_time("2h", NOW) == parse_time("2026-01-31T10:00:00+00:00", NOW)


@pytest.mark.parametrize("text", ["", "a:", "a:x", "a:-1", "a b", "a:1,,2", ":1", "^a"])
def test_what_is_no_topic(text: str) -> None:
    """It is said what one looks like."""
    with pytest.raises(ValueError, match="must be TOPIC or TOPIC:PARTITION"):
        parse_topic(text)


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:1", "1:-1", "1:1:1"])
def test_what_is_no_place(text: str) -> None:
    """It is said what one looks like."""
    with pytest.raises(ValueError, match="must be PARTITION:OFFSET"):
        parse_letter(text)


def test_a_summary_counts_by_exception_and_source() -> None:
    """The most frequent kind comes first; times are the first and the last."""
    summary = Summary()
    foreign = facts_of(0, 0, None, [("humus.replays", b"3")])
    for letter, replayed in ((ORDER, True), (ORDER._replace(timestamp=2000), False), (foreign, False)):
        summary.add(letter, replayed=replayed)
    assert summary.kinds == {
        Kind("app.orders.NoSuchCustomer", "orders", 7): Tally(2, 1, 0, 1000, 2000),
        Kind(None, None, None): Tally(1, 0, 1),
    }
    assert [row["letters"] for row in summary.rows()] == [2, 1]
    assert summary.as_json()["letters"] == 3
    assert summary.as_json()["last"] == "1970-01-01T00:00:02.000Z"


@pytest.mark.parametrize(("given_ms", "shown"), [(None, None), (0, "1970-01-01T00:00:00.000Z"), (2**62, str(2**62))])
def test_a_time_that_is_none_is_shown_as_it_is(given_ms: int | None, shown: str | None) -> None:
    """A producer may have written any number."""
    assert instant(given_ms) == shown


def test_the_count_is_no_header_of_a_letter() -> None:
    """A runtime that fails on a replayed record keeps the count: it does not look like the letter's own (D32)."""
    record = message(b"", headers=[kafka.Header("humus.replays", b"1")])
    assert ("humus.replays", b"1") in dead_letter_of(record, FAILURE, "dlt").headers
