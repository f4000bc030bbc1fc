"""The librdkafka keys that the runtime owns, each with the reason: what its guarantees stand on is not for an override.

All other keys are the user's, through the option `librdkafka`; whether such a key exists and takes its value is for
the client to say (`_client_errors.refused_config`).
"""

from collections.abc import Iterable
from typing import Final

__all__ = ["ALIASES", "owner_of"]

ALIASES: Final = {
    "auto.commit.enable": "enable.auto.commit",
    "default.topic.config": "default_topic_conf",
    "metadata.broker.list": "bootstrap.servers",
    "sasl.mechanism": "sasl.mechanisms",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}
"""Keys that mean the same to the client -> the name it is known by here."""

_COMMITS: Final = "the runtime commits on its own, and only what was handled; see the option commit_interval"
_CALLBACK: Final = "the client's callbacks belong to the runtime"
_ONE_PLACE: Final = "it would set other keys unseen: give each of them on its own"


def _option(name: str) -> str:
    return f"use the option {name}"


_OWNED: Final = {
    "bootstrap.servers": _option("brokers"),
    "group.id": _option("group_id"),
    "group.instance.id": _option("group_instance_id"),
    "group.protocol": _option("group_protocol"),
    "group.protocol.type": "the runtime speaks the consumer group protocol alone",
    "client.id": _option("client_id"),
    "client.rack": _option("client_rack"),
    "session.timeout.ms": _option("session_timeout"),
    "heartbeat.interval.ms": "it follows from the option session_timeout",
    "max.poll.interval.ms": _option("rebalance_timeout"),
    "partition.assignment.strategy": "how partitions are given back stands on cooperative-sticky",
    "auto.offset.reset": _option("auto_offset_reset"),
    "isolation.level": _option("isolation_level"),
    "fetch.max.bytes": _option("fetch_max_bytes"),
    "queued.max.messages.kbytes": _option("buffer_max_bytes"),
    "queued.min.messages": _option("buffer_max_bytes"),
    "enable.auto.commit": _COMMITS,
    "auto.commit.interval.ms": _COMMITS,
    "enable.auto.offset.store": _COMMITS,
    "offset.store.method": _COMMITS,
    "offset.store.path": _COMMITS,
    "offset.store.sync.interval.ms": _COMMITS,
    "enable.partition.eof": "the runtime takes records alone from the client",
    "consume.callback.max.messages": _CALLBACK,
    "statistics.interval.ms": _CALLBACK,
    "topic.metadata.refresh.interval.ms": "a topic that is created later would be noticed too late",
    "enabled_events": _CALLBACK,
    "log.queue": "the client's log goes to the logger humus.kafka.client",
    "logger": "the client's log goes to the logger humus.kafka.client",
    "on_commit": _CALLBACK,
    "opaque": _CALLBACK,
    "default_topic_conf": _ONE_PLACE,
}
"""Key -> why it is not the user's, and what to use instead."""

_CALLBACK_SUFFIX: Final = "_cb"
_TOPIC_PREFIX: Final = "topic."


def owner_of(key: str, taken: Iterable[str] = ()) -> str | None:
    """Say why this key may not be given through the option `librdkafka`; `None` when it may.

    `taken` are keys that the options `tls` and `sasl` have set already. Case, aliases and the client's `topic.` prefix
    make no difference.
    """
    name = _canonical(key)
    if name in _OWNED:
        return _OWNED[name]
    if name.endswith(_CALLBACK_SUFFIX):
        return _CALLBACK
    if name in taken:
        return "the options tls and sasl set it: give it there, or leave both out and set all security keys here"
    return None


def _canonical(key: str) -> str:
    name = key.strip().lower()
    if name.startswith(_TOPIC_PREFIX) and name.removeprefix(_TOPIC_PREFIX) in _OWNED.keys() | ALIASES.keys():
        name = name.removeprefix(_TOPIC_PREFIX)
    return ALIASES.get(name, name)
