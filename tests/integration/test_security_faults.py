"""What a broker refuses, or a client does not accept: one clear error each, which says what to do, and no secret."""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from humus.errors import AuthenticationFailed, ConfigError
from humus.queue.kafka import SASL, TLS, Message, Reject, Runtime, at_least_once, dead_letter
from tests.integration.conftest import defaults
from tests.integration.dead_letters import letters_in
from tests.integration.service import eventually, partitions, running
from tests.kafka.admin import AclOperation, ResourceType
from tests.kafka.certificates import Certificate
from tests.kafka.provider import unsecured_token
from tests.kafka.secure import CLIENT_SECRET, KEY_PASSWORD, ORDERS, ORDERS_PASSWORD, SECRETS, TOKEN_SECRET, SecureKafka

pytestmark = pytest.mark.asyncio

WRONG: Final = "wr0ng-s3cret-4720"
READ, WRITE, DESCRIBE = AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE

Options = Mapping[str, Any]


def shows(secure: SecureKafka, certificate: Certificate, password: str | None = None) -> TLS:
    """TLS with this client's certificate."""
    return TLS(
        ca_file=secure.servers.ca_file,
        cert_file=certificate.cert_file,
        key_file=certificate.key_file,
        key_password=password,
    )


def token(secure: SecureKafka, function: Callable[[], Any]) -> Options:
    """Credentials by a token function."""
    return {"tls": secure.tls, "sasl": SASL(mechanism="OAUTHBEARER", token=function)}


def password(secure: SecureKafka, mechanism: str) -> Options:
    """Credentials with a wrong password."""
    return {"tls": secure.tls, "sasl": SASL(mechanism=mechanism, username=ORDERS, password=WRONG)}


def provider(secure: SecureKafka, **options: Any) -> Options:
    """Credentials by the provider."""
    given = {
        "token_endpoint": secure.provider.token_endpoint,
        "client_id": ORDERS,
        "client_secret": CLIENT_SECRET,
        **options,
    }
    return {"tls": secure.tls, "sasl": SASL(mechanism="OAUTHBEARER", **given)}


def raising() -> tuple[str, float]:
    """Fail as a library does that repeats what it was given."""
    raise PermissionError(f"401 for https://provider/token?client_secret={TOKEN_SECRET}")


def expired() -> tuple[str, float]:
    """Return a token that has expired, and say that it has not."""
    return unsecured_token(ORDERS, lives=-60, secret=TOKEN_SECRET)[0], time.time() + 60


FATAL: dict[str, tuple[str, Callable[[SecureKafka], Options], str]] = {
    "expired certificate": (
        "EXPIRED",
        lambda secure: {"tls": secure.tls},
        "the broker's certificate has expired: renew it on the broker",
    ),
    "wrong host name": (
        "ELSEWHERE",
        lambda secure: {"tls": secure.tls},
        "the broker's certificate is not for 127.0.0.1: put a host name that it is for into brokers",
    ),
    "unknown authority": (
        "GOOD",
        lambda secure: {"tls": TLS(ca_file=secure.clients.ca_file)},
        "clients-ca.pem' does not name: put that authority's certificate into a file, and the file into ca_file",
    ),
    "authority unknown to the system": (
        "GOOD",
        lambda _: {"tls": TLS()},
        "an authority that the system does not name: put that authority's certificate into a file",
    ),
    "no certificate": (
        "MTLS",
        lambda secure: {"tls": secure.tls},
        "the broker wants a certificate of this client: cert_file of the option tls must be one that has not expired",
    ),
    "expired certificate of the client": (
        "MTLS",
        lambda secure: {"tls": shows(secure, secure.clients.sign("old", expired=True))},
        "the broker wants a certificate of this client: cert_file of the option tls must be one that has not expired",
    ),
    "certificate of another authority": (
        "MTLS",
        lambda secure: {"tls": shows(secure, secure.servers.sign("other"))},
        "and that is signed by an authority the broker trusts",
    ),
    "wrong password, PLAIN": (
        "SECURE",
        lambda secure: password(secure, "PLAIN"),
        "check the mechanism, user name and password of the option sasl",
    ),
    "wrong password, SCRAM": (
        "SECURE",
        lambda secure: password(secure, "SCRAM-SHA-512"),
        "check the mechanism, user name and password of the option sasl",
    ),
    "mechanism that is not offered": (
        "OIDC",
        lambda secure: {"tls": secure.tls, "sasl": secure.sasl("PLAIN")},
        "the broker does not offer this mechanism: change it in the option sasl",
    ),
    "listener without SASL": (
        "GOOD",
        lambda secure: {"tls": secure.tls, "sasl": secure.sasl("PLAIN")},
        "this listener of the broker takes no sasl",
    ),
    "token that has expired": (
        "SECURE",
        lambda secure: token(secure, expired),
        "the broker does not take the token: check what the token function",
    ),
    "token that nobody signed": (
        "OIDC",
        lambda secure: token(secure, lambda: unsecured_token(ORDERS, secret=TOKEN_SECRET)),
        "the broker does not take the token: check what the token function",
    ),
    "token function that raises": (
        "SECURE",
        lambda secure: token(secure, raising),
        "no OAuth token: the function raised PermissionError; check the token function of the option sasl",
    ),
    "token function that says when it expired": (
        "SECURE",
        lambda secure: token(secure, lambda: unsecured_token(ORDERS, lives=-60, secret=TOKEN_SECRET)),
        "it returned a token that has expired: the time is in seconds since the epoch",
    ),
    "wrong secret at the provider": (
        "OIDC",
        lambda secure: provider(secure, client_secret=WRONG),
        "check client_id, client_secret and scope of the option sasl at the provider of tokens",
    ),
    "provider with a certificate of an unknown authority": (
        "OIDC",
        lambda secure: provider(secure, token_endpoint=secure.provider.encrypted_token_endpoint),
        "the provider's certificate is not trusted: name the authority that signed it in the librdkafka key https.ca",
    ),
}


@pytest.mark.parametrize("fault", FATAL)
async def test_what_ends_the_runtime(fault: str, secure_kafka: SecureKafka, caplog: pytest.LogCaptureFixture) -> None:
    """What a person has to change ends the runtime with one error that says what; no secret is in any text (D70)."""
    listener, options, says = FATAL[fault]
    given = options(secure_kafka)
    with caplog.at_level(logging.DEBUG, "humus"):
        member = Runtime(secure_kafka.at(listener), "nobody", at_least_once("none", print), **given)
        with pytest.raises(AuthenticationFailed) as raised:
            await asyncio.wait_for(member.process_queue(), 30)
    assert says in str(raised.value)
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors in ([f"stopping: {raised.value}"], []), errors
    text = f"{caplog.text} {raised.value!r} {member!r} {member.status()} {given!r}"
    basic = base64.b64encode(f"{ORDERS}:{WRONG}".encode()).decode()
    assert not [secret for secret in (*SECRETS, WRONG, basic, *secure_kafka.provider.issued) if secret in text]


KEYS: dict[str, tuple[Callable[[SecureKafka], Options], str]] = {
    "wrong password": (
        lambda secure: {"tls": shows(secure, secure.certificate, WRONG)},
        "tls.key_file is no key in PEM, or tls.key_password does not open it",
    ),
    "no password": (
        lambda secure: {"tls": shows(secure, secure.certificate)},
        "tls.key_file is no key in PEM, or tls.key_password does not open it",
    ),
    "key of another certificate": (
        lambda secure: {
            "tls": TLS(cert_file=secure.certificate.cert_file, key_file=secure.clients.sign("new").key_file)
        },
        "tls.key_file is not the key of tls.cert_file",
    ),
    "no certificate": (
        lambda secure: {
            "tls": TLS(
                cert_file=secure.certificate.key_file,
                key_file=secure.certificate.key_file,
                key_password=KEY_PASSWORD,
            )
        },
        "tls.cert_file holds no certificate in PEM",
    ),
    "no authority": (
        lambda secure: {"tls": TLS(ca_file=secure.certificate.key_file)},
        "tls.ca_file holds no certificate in PEM",
    ),
}


@pytest.mark.parametrize("fault", KEYS)
async def test_files_that_do_not_fit(fault: str, secure_kafka: SecureKafka) -> None:
    """A key, certificate or authority that the client cannot use is a fault of the configuration, which names it."""
    options, says = KEYS[fault]
    with pytest.raises(ConfigError, match=says) as raised:
        Runtime("127.0.0.1:1", "nobody", at_least_once("none", print), **options(secure_kafka))
    assert not [secret for secret in (*SECRETS, WRONG) if secret in repr(raised.value)]


async def test_a_provider_that_is_away_is_waited_for(
    secure_kafka: SecureKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """A provider of tokens that does not answer is a problem, told once and shown, and the runtime waits (D70)."""
    options = provider(secure_kafka, token_endpoint="http://127.0.0.1:9/token")  # noqa: S106 - no secret
    member = Runtime(secure_kafka.at("OIDC"), "nobody", at_least_once("none", print), **options)
    async with running(member):
        (problem,) = await eventually(lambda: member.status().problems)
    assert "Could not connect to server" in problem
    assert "the client asks for a token again in 10 s; if it stays, check the token function or the provider" in problem
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [problem]
    assert CLIENT_SECRET not in caplog.text


@pytest.mark.parametrize("elsewhere", [False, True], ids=["nothing", "another topic"])
async def test_a_dead_letter_topic_that_may_not_be_written(
    elsewhere: bool, secure_kafka: SecureKafka, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to write dead letters the partition waits, says what to grant, and goes on with it (D32).

    A user who may write nothing at all is refused earlier, as a producer.
    """

    def prepare() -> tuple[str, str, str]:
        secure_kafka.kafka.admin.take_back(ORDERS, ResourceType.TOPIC, WRITE)  # which other tests have granted
        if elsewhere:
            secure_kafka.topic(WRITE)
        found = secure_kafka.topic(READ), secure_kafka.topic(*([DESCRIBE] if elsewhere else [])), secure_kafka.group()
        secure_kafka.kafka.records.produce(found[0], b"poison")
        return found

    def refuse(_message: Message) -> None:
        raise Reject("no such customer")

    name, dead, group = await asyncio.to_thread(prepare)
    subscription = at_least_once(name, refuse, on_failure=dead_letter(dead))
    sasl = secure_kafka.sasl("PLAIN")
    member = Runtime(
        secure_kafka.at("SECURE"), group, subscription, tls=secure_kafka.tls, sasl=sasl, **defaults("classic")
    )

    def reason() -> str:
        found = partitions(member).get(0)
        return found.failure.reason if found is not None and found.failure is not None else ""

    async with running(member):
        await eventually(lambda: "is refused" in reason())
        if not elsewhere:
            await eventually(lambda: member.status().warnings)
            await eventually(lambda: "the producer of dead letters gave up" in caplog.text)
        assert "grant this user WRITE on the dead-letter topic" in reason()
        warnings = member.status().warnings
        await asyncio.to_thread(secure_kafka.allow, dead, WRITE)
        await eventually(lambda: secure_kafka.kafka.admin.committed(group, name), lambda at: at == {0: 1})
    letters = await asyncio.to_thread(letters_in, secure_kafka.kafka.bootstrap, dead)
    assert [letter.value() for letter in letters] == [b"poison"]
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    refusals = [error for error in errors if "is refused, and posted again until it is written" in error]
    assert len(refusals) == 1, errors
    if elsewhere:
        assert errors == refusals
        assert warnings == ()
    else:
        assert len(errors) == 2
        assert warnings == (
            f"dead-letter topic {dead} is not for this user: grant WRITE before a record has to go there",
        )
    assert ORDERS_PASSWORD not in caplog.text
