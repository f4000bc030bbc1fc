"""What `at_least_once` and `at_most_once` make, and what they find wrong."""

from typing import Any

import pytest

from humus.errors import ConfigError
from humus.queue.kafka._message import Message
from humus.queue.kafka._retry import Retry, dead_letter, halt, skip
from humus.queue.kafka._runtime import Runtime
from humus.queue.kafka._subscription import Semantic, at_least_once, at_most_once, topic_fault


def _process(msg: Message) -> None:
    """Do nothing."""


async def _aprocess(msg: Message) -> None:
    """Do nothing."""


def test_at_least_once_keeps_what_it_was_given() -> None:
    """Topic, processor, retry and policy arrive as given, without a fault."""
    retry = Retry(max_attempts=3)
    made = at_least_once("orders", _aprocess, retry=retry, on_failure=skip())
    assert (made.topic, made.semantic, made.retry, made.on_failure) == ("orders", Semantic.AT_LEAST_ONCE, retry, skip())
    assert made.faults == ()
    assert made.handler.call is _aprocess
    assert made.handler.is_async


def test_defaults_are_retry_for_ever_and_halt() -> None:
    """Without options a failed record is retried for ever and would halt its partition (D30, D31)."""
    made = at_least_once("orders", _process)
    assert (made.retry, made.on_failure) == (Retry(), halt())


def test_at_most_once_never_tries_again() -> None:
    """A record whose processor raised is gone: one attempt, then skip (D21)."""
    made = at_most_once("metrics", _process)
    assert (made.semantic, made.retry.max_attempts, made.on_failure) == (Semantic.AT_MOST_ONCE, 1, skip())


@pytest.mark.parametrize("topic", ["a", "orders", "a.b_c-D9", "x" * 249, "..."])
def test_names_that_kafka_allows(topic: str) -> None:
    """ASCII letters, digits, dot, underscore and hyphen, up to 249 of them."""
    assert topic_fault(topic) is None


@pytest.mark.parametrize(
    ("topic", "says"),
    [
        ("", "empty"),
        (None, "must be a string; it is None"),
        (b"orders", "must be a string; it is a bytes"),
        ("^orders.*", "pattern"),
        ("a b", "no name that Kafka allows"),
        ("ümlaut", "no name that Kafka allows"),
        ("orders\n", "no name that Kafka allows"),
        (".", "no name that Kafka allows"),
        ("..", "no name that Kafka allows"),
        ("x" * 250, "no name that Kafka allows"),
    ],
)
def test_names_that_cannot_be(topic: Any, says: str) -> None:
    """Each kind of wrong topic says what is wrong with it."""
    fault = topic_fault(topic)
    assert fault is not None
    assert says in fault


def test_all_faults_are_kept_and_none_raised() -> None:
    """A factory raises nothing, so that the runtime can name all faults at once."""
    wrong: Any = "no retry"
    made = at_least_once("^a", 42, retry=wrong, on_failure=wrong)  # type: ignore[arg-type]
    assert len(made.faults) == 4
    assert all(fault.startswith("at_least_once('^a', ...): ") for fault in made.faults)
    with pytest.raises(ConfigError, match="no processor"):
        _ = made.handler


@pytest.mark.parametrize("keyword", ["batch", "ordering", "concurrency", "decode", "timeout"])
def test_reserved_keywords_do_not_exist_yet(keyword: str) -> None:
    """What is reserved for later is refused, not taken and ignored."""
    factory: Any = at_least_once
    with pytest.raises(TypeError, match=keyword):
        factory("orders", _process, **{keyword: 1})


@pytest.mark.parametrize(
    ("letters", "says"),
    [
        ("orders", "is the topic itself"),
        ("", "the topic is empty"),
        ("^dead", "starts with '^'"),
        (None, "a topic must be a string"),
    ],
)
def test_dead_letters_that_can_go_nowhere(letters: Any, says: str) -> None:
    """A dead-letter topic that is the source topic, or none at all, is refused before anything runs (D32)."""
    [fault] = at_least_once("orders", _process, on_failure=dead_letter(letters)).faults
    assert fault.startswith(f"at_least_once('orders', ...): on_failure: dead_letter({letters!r}): ")
    assert says in fault


def test_dead_letters_that_go_round_in_a_circle() -> None:
    """Topics of one runtime that are each other's dead-letter topics are refused: a poison record would never rest."""
    with pytest.raises(ConfigError) as caught:
        Runtime(
            "localhost:9092",
            "group",
            at_least_once("a", _process, on_failure=dead_letter("b")),
            at_least_once("b", _process, on_failure=dead_letter("c")),
            at_least_once("c", _process, on_failure=dead_letter("a")),
            at_least_once("d", _process, on_failure=dead_letter("a")),
        )
    assert caught.value.faults == ("dead letters go round in a circle: a -> b -> c -> a",)
