"""How a test broker is configured: one function from the places in a cluster to a `server.properties`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.kafka.distribution import KEYSTORE_PASSWORD

__all__ = ["HOST", "PASSWORD", "USER", "Listener", "Place", "server_properties"]

HOST = "127.0.0.1"

USER, PASSWORD = "alice", "secret"
"""The one user of the SASL listener, PLAIN and SCRAM alike; may do nothing until a test grants it something."""

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True, slots=True)
class Listener:
    """One more listener of each broker of a cluster; `settings` are those of `listener.name.{name}.`"""

    name: str
    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """One broker's place in its cluster: its number (from 1) and its ports on 127.0.0.1.

    Clients of the proxied listener are told to come to the port `proxied`, where nobody is unless a test puts a proxy
    there; the broker itself listens `behind` it. `more` are the ports of further listeners, by name.
    """

    node: int
    plain: int
    sasl: int
    tls: int
    controller: int
    behind: int
    proxied: int
    more: Mapping[str, int] = field(default_factory=dict, kw_only=True)

    def address(self, port: int) -> str:
        """Return `host:port` of one of the ports."""
        return f"{HOST}:{port}"


_SPEED = {
    # Members come and go at once, and short session time-outs are allowed, so that tests of rebalances are quick.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.assignment.interval.ms": "0",
    "group.consumer.min.assignment.interval.ms": "0",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "1000",
    # Retention and compaction look often, so that a test can see offsets vanish.
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.cleaner.backoff.ms": "500",
    # A dead broker of a cluster is noticed soon, but not a broker that a busy machine kept waiting for a while.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "500",
}
_SIZE = {
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    "log.retention.hours": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
}
_REPLICATION = {
    # Replicas fetch at most 30 times a second, and not for each record: what is one request to a producer are four to
    # the brokers, which share a machine.
    "replica.fetch.min.bytes": "100000",
    "replica.fetch.wait.max.ms": "30",
}


def server_properties(
    place: Place, places: Sequence[Place], folder: Path, keystore: Path, more: Sequence[Listener] = ()
) -> str:
    """Return the `server.properties` of the broker at `place` in the cluster of `places`; `folder` is for its data."""
    replicas = str(len(places))
    # By name, where the broker listens and where it tells its clients to come.
    listeners = {
        "PLAIN": (place.plain, place.plain),
        "SASL": (place.sasl, place.sasl),
        "TLS": (place.tls, place.tls),
        "PROXIED": (place.behind, place.proxied),
        **{name: (port, port) for name, port in place.more.items()},
    }
    listen, told = (
        [f"{name}://{place.address(ports[which])}" for name, ports in listeners.items()] for which in (0, 1)
    )
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(place.node),
        "controller.quorum.voters": ",".join(f"{at.node}@{at.address(at.controller)}" for at in places),
        "listeners": ",".join([*listen, f"CONTROLLER://{place.address(place.controller)}"]),
        "advertised.listeners": ",".join(told),
        "listener.security.protocol.map": ",".join(
            ["PLAIN:PLAINTEXT", "CONTROLLER:PLAINTEXT", "SASL:SASL_PLAINTEXT", "TLS:SSL", "PROXIED:PLAINTEXT"]
            + [f"{one.name}:{one.protocol}" for one in more]
        ),
        "inter.broker.listener.name": "PLAIN",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": str((len(places) + 1) // 2),
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        # Whoever comes without a name may do everything; the user of the SASL listener only what a test grants.
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.sasl.plain.sasl.jaas.config": f'{_PLAIN} required user_{USER}="{PASSWORD}";',
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
        "listener.name.tls.ssl.keystore.location": str(keystore),
        "listener.name.tls.ssl.keystore.password": KEYSTORE_PASSWORD,
        "listener.name.tls.ssl.keystore.type": "PKCS12",
        **{f"listener.name.{one.name.lower()}.{key}": value for one in more for key, value in one.settings.items()},
        **_SPEED,
        **_SIZE,
        **(_REPLICATION if len(places) > 1 else {}),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
