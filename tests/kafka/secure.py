"""A broker whose listeners ask for certificates, passwords and tokens, good ones and bad ones; started by who asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from humus.queue.kafka import SASL, TLS
from tests.kafka.access import Kafka
from tests.kafka.admin import AclOperation, ResourceType
from tests.kafka.certificates import Authority, Certificate
from tests.kafka.cluster import Cluster
from tests.kafka.fresh import fresh
from tests.kafka.properties import Listener
from tests.kafka.provider import Provider

__all__ = [
    "CLIENT_SECRET",
    "KEY_PASSWORD",
    "ORDERS",
    "ORDERS_PASSWORD",
    "SECRETS",
    "TOKEN_SECRET",
    "SecureKafka",
    "secure_kafka",
]

ORDERS: Final = "orders"
"""The one user, by certificate, password or token; may do nothing until a test grants it something."""
ORDERS_PASSWORD: Final = "pa55w0rd-of-orders-4711"  # noqa: S105 - of a broker that lives as long as a test
KEY_PASSWORD: Final = "k3y-pa55w0rd-4712"  # noqa: S105
CLIENT_SECRET: Final = "cl13nt-s3cret-4713"  # noqa: S105
TOKEN_SECRET: Final = "t0ken-s3cret-4714"  # noqa: S105 - inside of tokens that nobody has signed
SECRETS: Final = (ORDERS_PASSWORD, KEY_PASSWORD, CLIENT_SECRET, TOKEN_SECRET)

_REAUTH_MS: Final = 4000
"""How long a connection by token lives at most before the client has to show a new one."""
_LOGIN: Final = "org.apache.kafka.common.security"
_WITHIN: Final = 20.0


@dataclass(frozen=True)
class SecureKafka:
    """The broker, and what its clients need.

    Listeners: `GOOD` asks for nothing; `MTLS` for a certificate of `clients`; `SECURE` for PLAIN, SCRAM-SHA-256,
    SCRAM-SHA-512 or an OAUTHBEARER token that nobody need have signed, renewed every 4 s; `OIDC` for a token of
    `provider`. All encrypt, with a certificate of `servers`, `EXPIRED` with one that has expired, `ELSEWHERE` with one
    of another host.
    """

    kafka: Kafka
    folder: Path
    servers: Authority
    clients: Authority
    provider: Provider
    certificate: Certificate

    def at(self, listener: str) -> str:
        """Return the addresses of a listener."""
        return self.kafka.cluster.at(listener)

    @property
    def tls(self) -> TLS:
        """What trusts the broker."""
        return TLS(ca_file=self.servers.ca_file)

    @property
    def mtls(self) -> TLS:
        """What trusts the broker and shows a certificate."""
        return TLS(
            ca_file=self.servers.ca_file,
            cert_file=self.certificate.cert_file,
            key_file=self.certificate.key_file,
            key_password=KEY_PASSWORD,
        )

    def sasl(self, mechanism: str) -> SASL:
        """What says who the user is: by password, or for OAUTHBEARER by `provider`."""
        if mechanism != "OAUTHBEARER":
            return SASL(mechanism=mechanism, username=ORDERS, password=ORDERS_PASSWORD)
        endpoint = self.provider.token_endpoint
        return SASL(
            mechanism=mechanism, token_endpoint=endpoint, client_id=ORDERS, client_secret=CLIENT_SECRET, scope="kafka"
        )

    def topic(self, *operations: AclOperation) -> str:
        """Make a topic on which the user may do this."""
        name = fresh("topic")
        self.kafka.admin.create_topic(name)
        if operations:
            self.allow(name, *operations)
        return name

    def allow(self, topic: str, *operations: AclOperation) -> None:
        """Let the user do this with a topic."""
        self.kafka.admin.allow(ORDERS, ResourceType.TOPIC, topic, *operations)

    def group(self) -> str:
        """Return a group that the user may join."""
        name = fresh("group")
        self.kafka.admin.allow(ORDERS, ResourceType.GROUP, name, AclOperation.READ)
        return name


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Make certificates in the folder, start the provider and the broker, and stop them at the end."""
    servers, clients = Authority(folder, "servers"), Authority(folder, "clients")
    with Provider(ORDERS, CLIENT_SECRET, servers.sign("provider")) as provider:
        listeners = _listeners(servers, clients, provider)
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.keys}"
        with Cluster(1, listeners=listeners, options=[allowed]) as cluster:
            kafka = Kafka(cluster.bootstrap, cluster)
            _add_scram_user(kafka)
            certificate = clients.sign(ORDERS, key_password=KEY_PASSWORD)
            yield SecureKafka(kafka, folder, servers, clients, provider, certificate)
            kafka.disconnect()


def _listeners(servers: Authority, clients: Authority, provider: Provider) -> list[Listener]:
    good = _shows(servers.sign("broker"))
    trusts = {
        "ssl.client.auth": "required",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(clients.ca_file),
        "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
    }
    plain, scram = f"{_LOGIN}.plain.PlainLoginModule", f"{_LOGIN}.scram.ScramLoginModule"
    token = {"oauthbearer.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule required;"}
    passwords = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        "plain.sasl.jaas.config": f'{plain} required user_{ORDERS}="{ORDERS_PASSWORD}";',
        "scram-sha-256.sasl.jaas.config": f"{scram} required;",
        "scram-sha-512.sasl.jaas.config": f"{scram} required;",
        "oauthbearer.connections.max.reauth.ms": str(_REAUTH_MS),
    }
    signed = {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "oauthbearer.sasl.server.callback.handler.class": f"{_LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler",
        "oauthbearer.sasl.oauthbearer.jwks.endpoint.url": provider.keys,
        "oauthbearer.sasl.oauthbearer.expected.audience": provider.audience,
        "oauthbearer.sasl.oauthbearer.expected.issuer": provider.issuer,
    }
    return [
        Listener("GOOD", "SSL", good),
        Listener("MTLS", "SSL", good | trusts),
        Listener("SECURE", "SASL_SSL", good | passwords | token),
        Listener("OIDC", "SASL_SSL", good | signed | token),
        Listener("EXPIRED", "SSL", _shows(servers.sign("expired", expired=True))),
        Listener("ELSEWHERE", "SSL", _shows(servers.sign("elsewhere", hosts=["elsewhere.test"]))),
    ]


def _shows(certificate: Certificate) -> dict[str, str]:
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(certificate.both)}


def _add_scram_user(kafka: Kafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # one a request: the broker's rule
        wanted = UserScramCredentialUpsertion(ORDERS, ScramCredentialInfo(mechanism, 4096), ORDERS_PASSWORD.encode())
        for future in admin.alter_user_scram_credentials([wanted]).values():
            future.result(_WITHIN)
