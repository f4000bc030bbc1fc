"""Validated options as librdkafka keys. Callbacks are not among them: they are the client's own.

How it fetches was chosen by varying one setting at a time (`python -m bench.fetching`, table and machine in
`bench/results/fetching.md`; 200-byte records but where it says otherwise):

- `fetch.queue.backoff.ms` = 10: the pause when its queue is full. The default, 1000, gave the bare client 49
  thousand messages a second where 10 gave 1,170 and 100 gave 370.
- `queued.max.messages.kbytes` = a quarter of `buffer_max_bytes` (16 MiB): its queue, as a part of the memory bound
  (D50). 64 MiB gave 15 % more, and no more of 100 KiB beyond the spread; 4 MiB gave a third fewer of those.
- `queued.min.messages` = 20,000, which for small records fills before the bytes do. The default, 100,000, was faster
  by less than the spread and took 40 MiB more. 1,000 was as fast with a broker next door; one that takes milliseconds
  to answer needs more ahead: 20,000 are 20 ms of the fastest processor.
- `fetch.message.max.bytes` = 1 MiB, the default: per partition and fetch. 4 MiB was no faster and took 60 MiB more;
  256 KiB took 20 MiB less, and asks the broker more often. A larger record batch still comes whole.
- `fetch.wait.max.ms` stays the default, 500: the broker answers at once when there is a record, so it is only how often
  an idle member asks (2 a second and broker, 0.1 % of a core; at 100 ms 10 a second).
- `socket.receive.buffer.bytes` stays the system's: 64 KiB and 1 MiB made no difference beyond the spread.
"""

import math
import ssl
from collections.abc import Mapping
from typing import Any, Final

from humus.queue.kafka._options import ClientValue, Options
from humus.queue.kafka._security import security_config

__all__ = ["client_config", "connection_config"]

_MIB: Final = 1024 * 1024
_PARTITION_FETCH_BYTES: Final = _MIB
_QUEUE_SHARE: Final = 4
"""librdkafka's own queue may hold this part of the buffer on top of it (D50)."""
_QUEUE_LIMIT_KIB: Final = 2_097_151
_QUEUED_MIN_MESSAGES: Final = 20_000
_FULL_QUEUE_BACKOFF_MS: Final = 10
_MESSAGE_MAX_BYTES: Final = 1_000_000
"""The client's default. It is a producer's limit, but the client refuses a `fetch.max.bytes` below it."""
_MESSAGE_MAX_BYTES_LEAST: Final = 1000
_METADATA_MS: Final = 10_000
"""How soon a topic that is created later is noticed (D70); the classic protocol has no other sign of it."""
_STATISTICS_MS: Final = 2000
_HEARTBEAT_MS: Final = 3000
_HEARTBEATS_A_SESSION: Final = 3
_CONNECTION: Final = frozenset({"bootstrap.servers", "client.id", "client.dns.lookup", "security.protocol", "oauth_cb"})
_CONNECTION_FAMILIES: Final = (
    *("sasl.", "ssl.", "https.", "enable.sasl.", "enable.ssl."),
    *("socket.", "broker.", "reconnect."),
)


def client_config(options: Options) -> dict[str, ClientValue]:
    """Return the consumer's configuration, secrets included: never to be logged."""
    config: dict[str, ClientValue] = {
        "bootstrap.servers": options.brokers,
        "group.id": options.group_id,
        "client.id": options.client_id,
        "auto.offset.reset": options.auto_offset_reset,
        "isolation.level": options.isolation_level,
        # Offsets are the runtime's business: committed by hand, and only what was handled (D10).
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": False,
        # An unknown topic is a visible wait (D70), not a topic made with the broker's defaults.
        "allow.auto.create.topics": False,
        "log.connection.close": False,
        # They alone tell that a connection is up again.
        "statistics.interval.ms": _STATISTICS_MS,
        "topic.metadata.refresh.interval.ms": _METADATA_MS,
        **_group(options),
        **_fetching(options),
        **security_config(options.tls, options.sasl),
        **_provider(options),
    }
    if options.client_rack is not None:
        config["client.rack"] = options.client_rack
    if options.group_instance_id is not None:
        config["group.instance.id"] = options.group_instance_id
    return config | dict(options.librdkafka)


def connection_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what another client of the runtime needs to reach the same brokers; secrets included."""
    return {key: value for key, value in config.items() if key in _CONNECTION or key.startswith(_CONNECTION_FAMILIES)}


def _provider(options: Options) -> dict[str, ClientValue]:
    """Where the authorities are that a provider of tokens is trusted by, unless the user says so: where Python's are.

    The client's own default is a path that Debian does not have, and its key's `probe` does not help (2.16).
    """
    if options.sasl is None or options.sasl.token_endpoint is None:
        return {}
    paths = ssl.get_default_verify_paths()
    system = paths.cafile or paths.capath
    if system is None or any(key.startswith("https.ca.") for key in options.librdkafka):
        return {}
    return {"https.ca.location": system}


def _group(options: Options) -> dict[str, ClientValue]:
    """Time-outs and assignor of both protocols (D46)."""
    rebalance = _milliseconds(options.rebalance_timeout)
    if options.session_timeout is None:
        return {"group.protocol": options.group_protocol, "max.poll.interval.ms": rebalance}
    session = _milliseconds(options.session_timeout)
    return {
        "group.protocol": options.group_protocol,
        # The client refuses a poll interval below the session time-out; the runtime gives partitions back in time.
        "max.poll.interval.ms": max(rebalance, session),
        "session.timeout.ms": session,
        "heartbeat.interval.ms": min(_HEARTBEAT_MS, session // _HEARTBEATS_A_SESSION),
        "partition.assignment.strategy": "cooperative-sticky",
    }


def _fetching(options: Options) -> dict[str, ClientValue]:
    fetch = options.fetch_max_bytes
    queue = options.buffer_max_bytes // _QUEUE_SHARE // 1024
    return {
        "fetch.max.bytes": fetch,
        "fetch.message.max.bytes": min(_PARTITION_FETCH_BYTES, fetch),
        "message.max.bytes": max(_MESSAGE_MAX_BYTES_LEAST, min(_MESSAGE_MAX_BYTES, fetch)),
        "queued.max.messages.kbytes": min(_QUEUE_LIMIT_KIB, queue),
        "queued.min.messages": _QUEUED_MIN_MESSAGES,
        "fetch.queue.backoff.ms": _FULL_QUEUE_BACKOFF_MS,
    }


def _milliseconds(duration: float) -> int:
    return math.ceil(duration * 1000)
