"""Credentials, certificates, rights: what a broker refuses for good ends the runtime, and says what to do (D70)."""

import asyncio
import logging
from typing import Any, Final

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AclOperation, ResourceType

from humus.errors import AuthenticationFailed, BrokerError
from humus.queue.kafka import SASL, TLS, Message, Runtime, at_least_once
from humus.queue.kafka._security import Mechanism
from tests.integration.conftest import MakeRuntime, defaults
from tests.integration.service import Protocol, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.properties import PASSWORD, USER

pytestmark = pytest.mark.asyncio

WRONG: Final = "pa55-of-somebody-else"
PLAIN: Final = SASL(mechanism="PLAIN", username=USER, password=PASSWORD)
ONE_PROTOCOL = pytest.mark.parametrize("protocol", ["consumer"], indirect=True)


async def never(_message: Message) -> None:
    """Fail: nothing is to be read."""
    pytest.fail("a record came")


async def refused(kafka: Kafka, group: str, topic: str, protocol: Protocol, **options: Any) -> BrokerError:
    """Run a member at the SASL listener, unless told otherwise, until an error ends it, and return the error."""
    options = {"brokers": kafka.cluster.sasl_bootstrap, **defaults(protocol), **options}
    member = Runtime(options.pop("brokers"), group, at_least_once(topic, never), **options)
    with pytest.raises(BrokerError) as raised:
        await asyncio.wait_for(member.process_queue(), 60)
    assert member.status().state == "stopped"
    return raised.value


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
@ONE_PROTOCOL
async def test_a_wrong_password(
    mechanism: Mechanism,
    kafka: Kafka,
    topic: MakeTopic,
    group: str,
    protocol: Protocol,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A wrong password ends the runtime with one clear error, and is in no text (D70)."""
    sasl = SASL(mechanism=mechanism, username=USER, password=WRONG)
    with caplog.at_level(logging.DEBUG):
        error = await refused(kafka, group, topic(), protocol, sasl=sasl)
    assert isinstance(error, AuthenticationFailed)
    assert "check the mechanism, user name and password of the option sasl" in str(error)
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1, errors
    assert WRONG not in f"{caplog.text}{error!r}{sasl!r}"


@ONE_PROTOCOL
async def test_an_unknown_certificate_authority(kafka: Kafka, topic: MakeTopic, group: str, protocol: Protocol) -> None:
    """A broker with a certificate of somebody unknown ends the runtime, and the error names `ca_file` (D70)."""
    error = await refused(kafka, group, topic(), protocol, brokers=kafka.cluster.tls_bootstrap, tls=TLS())
    assert isinstance(error, AuthenticationFailed)
    assert "signed by an authority that the system does not name" in str(error)


@pytest.mark.parametrize("granted", [(), (AclOperation.DESCRIBE,)], ids=["nothing", "describe"])
async def test_a_topic_that_the_user_may_not_read(
    granted: tuple[AclOperation, ...], kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, protocol: Protocol
) -> None:
    """Without the right to read the topic the runtime ends, and the error says which right to grant (D70)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    await asyncio.to_thread(kafka.admin.allow, USER, ResourceType.GROUP, group, AclOperation.READ)
    if granted:
        await asyncio.to_thread(kafka.admin.allow, USER, ResourceType.TOPIC, name, *granted)
    error = await refused(kafka, group, name, protocol, sasl=PLAIN)
    assert isinstance(error, AuthenticationFailed)
    assert error.code == "TOPIC_AUTHORIZATION_FAILED"
    assert "grant this user READ and DESCRIBE on the topic" in str(error)
    assert name in str(error)


async def test_a_group_that_the_user_may_not_join(
    kafka: Kafka, topic: MakeTopic, group: str, protocol: Protocol
) -> None:
    """Without the right to the group the runtime ends, and the error says which right to grant (D70)."""
    name = topic()
    operations = AclOperation.READ, AclOperation.DESCRIBE
    await asyncio.to_thread(kafka.admin.allow, USER, ResourceType.TOPIC, name, *operations)
    error = await refused(kafka, group, name, protocol, sasl=PLAIN)
    assert isinstance(error, AuthenticationFailed)
    assert error.code == "GROUP_AUTHORIZATION_FAILED"
    assert "grant this user READ on the consumer group named by group_id" in str(error)


@ONE_PROTOCOL
async def test_a_group_whose_members_use_another_assignor(
    kafka: Kafka, topic: MakeTopic, group: str, runtime: MakeRuntime
) -> None:
    """A group that works in another way refuses the member: the runtime ends, and says whom to stop (D70)."""
    name = topic()
    other = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": group, "partition.assignment.strategy": "range"}
    )
    try:
        other.subscribe([name])
        await eventually(lambda: other.consume(1, 0.1) or other.assignment())
        member = runtime(at_least_once(name, never), group_protocol="classic")
        with pytest.raises(BrokerError, match="the group's other members use another assignor") as raised:
            await asyncio.wait_for(member.process_queue(), 60)
    finally:
        other.close()
    assert raised.value.code == "INCONSISTENT_GROUP_PROTOCOL"
    assert not isinstance(raised.value, AuthenticationFailed)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", None])
@ONE_PROTOCOL
async def test_the_right_credentials(
    mechanism: Mechanism | None, kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, protocol: Protocol
) -> None:
    """With the right password and rights, or the right authority, records flow: nobody else is refused (D70)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    await asyncio.to_thread(kafka.admin.allow, USER, ResourceType.TOPIC, name, AclOperation.READ)
    await asyncio.to_thread(kafka.admin.allow, USER, ResourceType.GROUP, group, AclOperation.READ)
    recorder, options = Recorder(), defaults(protocol)
    subscription = at_least_once(name, recorder.processor("async"))
    if mechanism is None:
        tls = TLS(ca_file=str(kafka.ca_file))
        member = Runtime(kafka.cluster.tls_bootstrap, group, subscription, tls=tls, **options)
    else:
        sasl = SASL(mechanism=mechanism, username=USER, password=PASSWORD)
        member = Runtime(kafka.cluster.sasl_bootstrap, group, subscription, sasl=sasl, **options)
    async with running(member):
        await eventually(recorder.count)
