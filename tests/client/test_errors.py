"""Where errors from outside arrive, and under which code (D70).

Two ways: the error callback (`troubles`), or an error record out of `consume()` (`errors`). No error says of itself
that it is fatal or passing: `fatal()` and `retriable()` are false for all of them.
"""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import AclOperation, ResourceType
from tests.kafka.fresh import fresh
from tests.kafka.properties import PASSWORD, USER

_NOBODY = "127.0.0.1:1"


def _sasl(kafka: Kafka, mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, Any]:
    return {
        "bootstrap.servers": kafka.cluster.sasl_bootstrap,
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": mechanism,
        "sasl.username": USER,
        "sasl.password": password,
    }


def _codes(errors: list[KafkaError]) -> set[int]:
    assert not any(error.fatal() or error.retriable() for error in errors)
    return {error.code() for error in errors}


def _trouble(member: Member, code: int) -> None:
    poll_until(lambda: code in _codes(member.troubles), member)
    assert member.errors == []
    assert member.assigned() == ()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_wrong_credentials(kafka: Kafka, join: Join, mechanism: str) -> None:
    """A wrong password is _AUTHENTICATION in the error callback, whatever the mechanism."""
    _trouble(join(fresh("any"), config=_sasl(kafka, mechanism, "wrong")), KafkaError._AUTHENTICATION)  # noqa: SLF001


def test_a_listener_without_sasl(kafka: Kafka, join: Join) -> None:
    """SASL spoken to a listener that knows none is _AUTHENTICATION too."""
    config = _sasl(kafka) | {"bootstrap.servers": kafka.bootstrap}
    _trouble(join(fresh("any"), config=config), KafkaError._AUTHENTICATION)  # noqa: SLF001


def test_an_unknown_certificate_authority(kafka: Kafka, join: Join) -> None:
    """A certificate of an authority that we do not trust is _SSL in the error callback."""
    config = {"bootstrap.servers": kafka.cluster.tls_bootstrap, "security.protocol": "ssl"}
    _trouble(join(fresh("any"), config=config), KafkaError._SSL)  # noqa: SLF001


def test_tls_to_a_listener_without(join: Join) -> None:
    """TLS spoken to a plain listener is _TRANSPORT, as a broker that is away."""
    _trouble(join(fresh("any"), config={"security.protocol": "ssl"}), KafkaError._TRANSPORT)  # noqa: SLF001


@pytest.mark.parametrize(
    ("address", "code"),
    [(_NOBODY, KafkaError._TRANSPORT), ("nobody.invalid:9092", KafkaError._RESOLVE)],  # noqa: SLF001
)
def test_nobody_there(join: Join, address: str, code: int) -> None:
    """No broker at the address is _TRANSPORT, no such name _RESOLVE; and _ALL_BROKERS_DOWN with either."""
    member = join(fresh("any"), config={"bootstrap.servers": address})
    _trouble(member, code)
    _trouble(member, KafkaError._ALL_BROKERS_DOWN)  # noqa: SLF001


def test_a_trusted_certificate_and_right_credentials_pass(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """Both secure listeners work for those who may: what the other tests see is refusal, not a broken listener."""
    name = topic()
    produce(name, b"x")
    tls = {"security.protocol": "ssl", "ssl.ca.location": str(kafka.ca_file)}
    by_tls = join(name, config={"bootstrap.servers": kafka.cluster.tls_bootstrap, "group.id": fresh("group"), **tls})
    kafka.admin.allow(USER, ResourceType.GROUP, group, AclOperation.READ)
    kafka.admin.allow(USER, ResourceType.TOPIC, name, AclOperation.READ)
    by_sasl = join(name, config=_sasl(kafka, "SCRAM-SHA-512"))
    poll_until(lambda: by_tls.received and by_sasl.received, by_tls, by_sasl)


def test_a_group_that_is_not_allowed(kafka: Kafka, topic: MakeTopic, join: Join) -> None:
    """No permission for the group is an error record, GROUP_AUTHORIZATION_FAILED."""
    member = join(topic(), config=_sasl(kafka))
    poll_until(lambda: member.errors, member)
    assert _codes(member.errors) == {KafkaError.GROUP_AUTHORIZATION_FAILED}


def test_a_topic_that_is_not_allowed(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, join: Join, protocol: str
) -> None:
    """One forbidden topic is TOPIC_AUTHORIZATION_FAILED; the classic goes on with the others, consumer does not."""
    allowed, forbidden = topic(), topic()
    produce(allowed, b"x")
    kafka.admin.allow(USER, ResourceType.GROUP, group, AclOperation.READ)
    kafka.admin.allow(USER, ResourceType.TOPIC, allowed, AclOperation.READ)
    member = join(allowed, forbidden, config=_sasl(kafka))
    topics: set[str | None] = set()
    while not member.errors:
        topics |= {message.topic() for message in member.poll() if message.error()}
    assert _codes(member.errors) == {KafkaError.TOPIC_AUTHORIZATION_FAILED}
    # Only the classic protocol says which topic it is.
    assert topics == ({forbidden} if protocol == "classic" else {None})
    if protocol == "classic":
        poll_until(lambda: member.received, member)
    else:
        for _ in range(50):
            member.poll()
        assert member.assigned() == ()


def test_a_topic_that_may_be_seen_but_not_read(kafka: Kafka, group: str, topic: MakeTopic, join: Join) -> None:
    """Without READ the partition is assigned, and the refusal comes with the first fetch, naming the topic."""
    name = topic()
    kafka.admin.allow(USER, ResourceType.GROUP, group, AclOperation.READ)
    kafka.admin.allow(USER, ResourceType.TOPIC, name, AclOperation.DESCRIBE)
    member = join(name, config=_sasl(kafka))
    topics: set[str | None] = set()
    while not member.errors:
        topics |= {message.topic() for message in member.poll() if message.error()}
    assert _codes(member.errors) == {KafkaError.TOPIC_AUTHORIZATION_FAILED}
    assert topics == {name}
    assert member.assigned() == (0,)


def test_a_second_member_with_the_same_instance_id(topic: MakeTopic, join: Join, protocol: str) -> None:
    """Classic: the newer static member takes over and the older gets _FATAL; consumer: the newer gets it."""
    name = topic()
    older = join(name, config={"group.instance.id": "one"})
    poll_until(older.assigned, older)
    newer = join(name, config={"group.instance.id": "one"})
    out, in_ = (older, newer) if protocol == "classic" else (newer, older)
    poll_until(lambda: out.errors, older, newer)
    assert _codes(out.errors) == {KafkaError._FATAL}  # noqa: SLF001
    poll_until(lambda: in_.assigned() == (0,), older, newer)
    assert in_.errors == []
