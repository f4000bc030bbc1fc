"""Certificates, passwords and tokens on a real broker: everything of the runtime speaks with them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from humus.queue.kafka import SASL, TLS, Message, Reject, Runtime, at_least_once, dead_letter
from tests.integration.conftest import defaults
from tests.integration.dead_letters import letters_in
from tests.integration.service import eventually, running
from tests.kafka.admin import AclOperation
from tests.kafka.provider import unsecured_token
from tests.kafka.secure import ORDERS, SecureKafka

pytestmark = pytest.mark.asyncio

READ, WRITE = AclOperation.READ, AclOperation.WRITE


def by_token(_: SecureKafka) -> SASL:
    """A token of the application's own."""
    return SASL(mechanism="OAUTHBEARER", token=lambda: unsecured_token(ORDERS))


def by_encrypted_provider(secure: SecureKafka) -> SASL:
    """A token of a provider that speaks TLS."""
    endpoint = secure.provider.encrypted_token_endpoint
    return SASL(
        mechanism="OAUTHBEARER",
        token_endpoint=endpoint,
        client_id=ORDERS,
        client_secret=secure.sasl("OAUTHBEARER").client_secret,
    )


WAYS: dict[str, tuple[str, Callable[[SecureKafka], TLS], Callable[[SecureKafka], SASL] | None]] = {
    "tls": ("GOOD", lambda secure: secure.tls, None),
    "mtls": ("MTLS", lambda secure: secure.mtls, None),
    "plain": ("SECURE", lambda secure: secure.tls, lambda secure: secure.sasl("PLAIN")),
    "scram-sha-256": ("SECURE", lambda secure: secure.tls, lambda secure: secure.sasl("SCRAM-SHA-256")),
    "scram-sha-512": ("SECURE", lambda secure: secure.tls, lambda secure: secure.sasl("SCRAM-SHA-512")),
    "token": ("SECURE", lambda secure: secure.tls, by_token),
    "provider": ("OIDC", lambda secure: secure.tls, lambda secure: secure.sasl("OAUTHBEARER")),
    "encrypted provider": ("OIDC", lambda secure: secure.tls, by_encrypted_provider),
    "unverified": ("SECURE", lambda _: TLS(verify=False), lambda secure: secure.sasl("PLAIN")),
}


@pytest.mark.parametrize("way", WAYS)
async def test_records_offsets_and_dead_letters(
    way: str, secure_kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each of the ways in, records are read, offsets committed, starts asked for, and dead letters written (D70).

    A user by name may do no more than that: READ on topic and group, and WRITE on the dead-letter topic.
    """
    listener, tls, sasl = WAYS[way]
    name, dead, group = await asyncio.to_thread(
        lambda: (secure_kafka.topic(READ), secure_kafka.topic(WRITE), secure_kafka.group())
    )
    await asyncio.to_thread(secure_kafka.kafka.records.produce, name, b"fine", b"poison", b"fine")
    handled: list[int] = []

    async def process(message: Message) -> None:
        if message.value == b"poison":
            raise Reject("no such customer")
        handled.append(message.offset)

    options: dict[str, Any] = {"tls": tls(secure_kafka), "sasl": sasl(secure_kafka) if sasl else None}
    if way == "encrypted provider":
        monkeypatch.setenv("SSL_CERT_FILE", str(secure_kafka.servers.ca_file))
    subscription = at_least_once(name, process, on_failure=dead_letter(dead))
    member = Runtime(secure_kafka.at(listener), group, subscription, **options, **defaults("classic"))
    async with running(member):
        await eventually(lambda: handled == [0, 2])
        await eventually(lambda: secure_kafka.kafka.admin.committed(group, name), lambda at: at == {0: 3})
        assert member.status().problems == member.status().warnings == ()
    letters = await asyncio.to_thread(letters_in, secure_kafka.kafka.bootstrap, dead)
    assert [letter.value() for letter in letters] == [b"poison"]


async def test_making_a_runtime_asks_nobody(secure_kafka: SecureKafka) -> None:
    """A runtime that is made and not run has asked neither the provider nor the token function for a token."""
    before = len(secure_kafka.provider.issued)
    for sasl in (secure_kafka.sasl("OAUTHBEARER"), SASL(mechanism="OAUTHBEARER", token=lambda: pytest.fail("asked"))):
        Runtime("127.0.0.1:1", "nobody", at_least_once("none", print), tls=secure_kafka.tls, sasl=sasl)
    assert len(secure_kafka.provider.issued) == before


class Tokens:
    """A token function whose tokens live for some seconds; `fails` lets it raise instead."""

    def __init__(self, lives: float) -> None:
        self.lives = lives
        self.fails = False
        self.calls = 0

    def __call__(self) -> tuple[str, float]:
        """Return a token."""
        self.calls += 1
        if self.fails:
            raise ConnectionError("the provider is away")
        return unsecured_token(ORDERS, lives=self.lives)


async def test_tokens_are_renewed(
    secure_kafka: SecureKafka, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is renewed before it expires, for all clients of the runtime; a function that fails does no harm (D70).

    The broker lets nobody in again whose token has expired: that is a problem which shows, and ends with a new token.
    """
    monkeypatch.setattr("humus.queue.kafka._tokens.ASK_AGAIN_AFTER", 2.0)
    tokens = Tokens(5)
    name, group = await asyncio.to_thread(lambda: (secure_kafka.topic(READ), secure_kafka.group()))
    handled: list[int] = []

    async def process(message: Message) -> None:
        handled.append(message.offset)

    async def goes_through(records: int) -> None:
        await asyncio.to_thread(secure_kafka.kafka.records.produce, name, b"")
        await eventually(lambda: len(handled) == records)

    member = Runtime(
        secure_kafka.at("SECURE"),
        group,
        at_least_once(name, process),
        tls=secure_kafka.tls,
        sasl=SASL(mechanism="OAUTHBEARER", token=tokens),
        **defaults("classic"),
    )
    with caplog.at_level(logging.INFO, "humus"):
        async with running(member):
            await goes_through(1)
            assert tokens.calls == 1  # one for all clients
            await eventually(lambda: tokens.calls == 2)
            await goes_through(2)
            assert member.status().problems == ()
            tokens.fails = True
            problem = (await eventually(lambda: member.status().problems))[0]
            tokens.fails = False
            await goes_through(3)
            await eventually(lambda: member.status().problems == ())
    assert "whether the password, the token or the certificate has changed or expired" in problem
    said = [record.message for record in caplog.records if record.name == "humus.kafka.client"]
    assert len(said) == 2, said
    assert said[0].startswith("no OAuth token: the function raised ConnectionError; the last token is used until")
    assert said[1] == "the token function works again"
    assert "the provider is away" not in caplog.text
