"""Which options a client refuses at its creation; no broker is asked (D46)."""

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

_BASE: dict[str, Any] = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}


def _refusal(**options: Any) -> str:
    with pytest.raises(KafkaException) as refused:
        Consumer(_BASE | options)
    error: KafkaError = refused.value.args[0]
    assert error.code() == KafkaError._INVALID_ARG  # noqa: SLF001 - the client's public name for it
    return error.str()


def test_classic_refuses_a_poll_interval_below_the_session_timeout() -> None:
    """`max.poll.interval.ms` must not be below `session.timeout.ms`."""
    said = _refusal(**{"max.poll.interval.ms": 30_000, "session.timeout.ms": 45_000})
    assert "max.poll.interval.ms" in said
    assert "session.timeout.ms" in said


def test_consumer_takes_a_poll_interval_below_the_default_session_timeout() -> None:
    """The consumer protocol has no session time-out of the client's own, so any poll interval is taken."""
    Consumer(_BASE | {"group.protocol": "consumer", "max.poll.interval.ms": 30_000}).close()


@pytest.mark.parametrize(
    ("option", "value"),
    [("session.timeout.ms", 10_000), ("heartbeat.interval.ms", 1000), ("partition.assignment.strategy", "range")],
)
def test_consumer_refuses_what_is_the_brokers(option: str, value: object) -> None:
    """The consumer protocol refuses session time-out, heartbeat and assignor, by name."""
    assert option in _refusal(**{"group.protocol": "consumer", option: value})
