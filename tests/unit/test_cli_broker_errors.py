"""What somebody at a terminal is told of an error of the client."""

import pytest
from confluent_kafka import KafkaError

from humus.cli._broker_errors import COORDINATOR_MOVES, FENCED, Said, broker_error
from humus.errors import AuthenticationFailed, BrokerError


def told(code: str, reason: str = "Broker: no", before: tuple[Said, ...] = ()) -> BrokerError:
    """Return the error of a command about the group `g` and the topic `t`."""
    said = Said(code, reason)
    return broker_error("do it", said, brokers="kafka:9092", patience=10, group="g", topic="t", before=before)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("TOPIC_AUTHORIZATION_FAILED", "grant this user READ and DESCRIBE on the topic t"),
        ("GROUP_AUTHORIZATION_FAILED", "grant this user READ and DESCRIBE on the group g"),
        ("CLUSTER_AUTHORIZATION_FAILED", "grant this user IDEMPOTENT_WRITE on the cluster"),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "grant this user WRITE and DESCRIBE on the transactional id g"),
    ],
)
def test_what_is_missing_in_rights(code: str, advice: str) -> None:
    """A refusal for want of a right names the right and what it is on."""
    error = told(code)
    assert isinstance(error, AuthenticationFailed)
    assert str(error) == f"cannot do it: Broker: no ({code}): {advice}"


@pytest.mark.parametrize("code", ["_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "NOT_COORDINATOR"])
def test_a_broker_that_is_away(code: str) -> None:
    """No answer says where it was looked for, and what the connection said."""
    error = told(code, "timed out", (Said("_TRANSPORT", "Connection refused"),))
    assert str(error) == (
        "cannot do it: no answer within 10 s: check that Kafka runs at kafka:9092 and can be reached from here "
        "(Connection refused)"
    )


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (Said("_AUTHENTICATION", "SASL authentication error: Authentication failed"), "user name and password"),
        (Said("_SSL", "SSL handshake failed: certificate verify failed"), "ca_file"),
    ],
)
def test_a_time_out_whose_cause_is_known(said: Said, advice: str) -> None:
    """Where the brokers do not let us in, the command says why, and not that nobody answered."""
    error = told("_TIMED_OUT", "timed out", (Said("_TRANSPORT", "Disconnected"), said))
    assert isinstance(error, AuthenticationFailed)
    assert said.reason in str(error)
    assert advice in str(error)


def test_what_nobody_knows_is_told_as_it_is() -> None:
    """An error without advice is the client's own words and its code."""
    assert str(told("INVALID_CONFIG", "Broker: strange")) == "cannot do it: Broker: strange (INVALID_CONFIG)"


def test_the_codes_are_the_clients() -> None:
    """Every code that is named is one that the client has."""
    from humus.cli import _broker_errors  # noqa: PLC0415 - looked into

    there = {KafkaError(number).name() for number in range(-300, 200)}
    assert COORDINATOR_MOVES | FENCED | _broker_errors._AWAY | set(_broker_errors._WHAT_TO_DO) <= there  # noqa: SLF001
