"""An embedded broker: librdkafka's mock cluster, in this process, on free ports of 127.0.0.1.

The mock cluster is part of the library that confluent-kafka brings along, and has no Python interface. Its C functions
(`rdkafka_mock.h`) are reached with ctypes through the client's own extension module: a symbol that is looked up in a
shared object is also looked up in what that object was linked with (`dlsym`, the same on Linux and macOS). So it is
always the library that the client itself runs on, wherever the wheel or the system keeps it.
"""

import ctypes
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType

from confluent_kafka import cimpl

from humus.errors import BrokerError, ConfigError
from humus.queue.kafka._message import Message
from humus.queue.kafka._retry import Duration, seconds
from humus.testing._records import Records

__all__ = ["KafkaBroker", "kafka_broker"]

_PRODUCER = 0
"""`RD_KAFKA_PRODUCER`: the mock cluster needs a client handle to hang on; it never connects."""

_ERROR_TEXT_BYTES = 512
_LOG_ERRORS_ONLY = b"3"

_POINTER, _TEXT, _INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int

_C_FUNCTIONS: Mapping[str, tuple[type | None, tuple[type, ...]]] = MappingProxyType(
    {
        # name: (what it returns, what it takes)
        "rd_kafka_conf_new": (_POINTER, ()),
        "rd_kafka_conf_set": (_INT, (_POINTER, _TEXT, _TEXT, _TEXT, ctypes.c_size_t)),
        "rd_kafka_conf_destroy": (None, (_POINTER,)),
        "rd_kafka_new": (_POINTER, (_INT, _POINTER, _TEXT, ctypes.c_size_t)),
        "rd_kafka_destroy": (None, (_POINTER,)),
        "rd_kafka_err2name": (_TEXT, (_INT,)),
        "rd_kafka_err2str": (_TEXT, (_INT,)),
        "rd_kafka_mock_cluster_new": (_POINTER, (_POINTER, _INT)),
        "rd_kafka_mock_cluster_destroy": (None, (_POINTER,)),
        "rd_kafka_mock_cluster_bootstraps": (_TEXT, (_POINTER,)),
        "rd_kafka_mock_topic_create": (_INT, (_POINTER, _TEXT, _INT, _INT)),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (_POINTER, ctypes.c_int32)),
        "rd_kafka_mock_set_group_consumer_heartbeat_interval_ms": (None, (_POINTER, _INT)),
    }
)


class KafkaBroker:
    """A running embedded broker; `kafka_broker()` makes one. All methods are safe to call from any thread.

    Attributes:
        brokers: what a client connects to: `host:port`, comma-separated where there are several.
    """

    brokers: str

    def __init__(self, brokers: int, rebalance_delay_ms: int, heartbeat_interval_ms: int) -> None:
        self._lock = threading.Lock()
        self._library = _load(cimpl.__file__)
        self._client = self._new_client()
        self._cluster: int | None = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        if not self._cluster:
            self._library.rd_kafka_destroy(self._client)
            raise BrokerError(f"the embedded broker did not start: no {brokers} free ports on 127.0.0.1?")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, rebalance_delay_ms)
        self._library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(self._cluster, heartbeat_interval_ms)
        self.brokers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode("ascii")
        self._records = Records(self.brokers)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic, empty, with that many partitions.

        Raises:
            ConfigError: the name is empty, or `partitions` is below 1.
            BrokerError: the topic exists already, or the broker is closed.
        """
        faults = []
        if not name:
            faults.append("create_topic: the topic's name is empty")
        if partitions < 1:
            faults.append(f"create_topic: a topic has at least 1 partition, not {partitions}")
        if faults:
            raise ConfigError(faults)
        with self._lock:
            if self._cluster is None:
                raise BrokerError(f"create_topic({name!r}): the embedded broker is closed")
            # One copy of each partition: the mock cluster does not replicate, it only names the replicas.
            code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        if code:
            reason = self._library.rd_kafka_err2str(code).decode()
            raise BrokerError(
                f"create_topic({name!r}, {partitions}): {reason}", code=self._library.rd_kafka_err2name(code).decode()
            )

    def produce(
        self,
        topic: str,
        *values: bytes | str | None,
        key: bytes | str | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> None:
        """Write a record for each value, and wait until the broker has them; text is encoded as UTF-8.

        Args:
            topic: created with 4 partitions where there is none of that name.
            values: `None` is a tombstone.
            key: the key of each of the records.
            headers: the headers of each of the records.
            partition: the partition; `None` is the client's choice, by the key where there is one.

        Raises:
            BrokerError: the broker refused a record (there is no such partition, ...), or is closed.
        """
        self._still_open("produce", topic).produce(topic, values, key, tuple(headers), partition)

    def records(self, topic: str) -> list[Message]:
        """Return the records that a topic has now, by partition and offset; none where there is no such topic.

        Raises:
            BrokerError: they did not come within 10 s, or the broker is closed.
        """
        return self._still_open("records", topic).read(topic)

    def committed(self, group_id: str, topic: str) -> dict[int, int]:
        """Return what a group has committed of a topic, the next offset by partition; others are left out.

        Raises:
            BrokerError: there was no answer within 10 s, or the broker is closed.
        """
        return self._still_open("committed", topic).committed(group_id, topic)

    def close(self) -> None:
        """Stop the broker: connections break, all records and offsets are gone. Closing it again does nothing."""
        with self._lock:
            cluster, self._cluster = self._cluster, None
            if cluster is not None:
                self._records.close()
                self._library.rd_kafka_mock_cluster_destroy(cluster)
                self._library.rd_kafka_destroy(self._client)

    def _still_open(self, method: str, topic: str) -> Records:
        with self._lock:
            if self._cluster is None:
                raise BrokerError(f"{method}({topic!r}): the embedded broker is closed")
        return self._records

    def _new_client(self) -> int:
        library, error = self._library, ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        settings = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(settings, b"log_level", _LOG_ERRORS_ONLY, error, len(error))
        client: int | None = library.rd_kafka_new(_PRODUCER, settings, error, len(error))
        if not client:
            library.rd_kafka_conf_destroy(settings)  # a client that was made owns its settings
            raise BrokerError(f"the embedded broker did not start: {error.value.decode()}")
        return client


@contextmanager
def kafka_broker(
    *,
    brokers: int = 1,
    topics: Mapping[str, int] | None = None,
    rebalance_delay: Duration = 0.1,
    heartbeat_interval: Duration = 1.0,
) -> Iterator[KafkaBroker]:
    """Run an embedded Kafka broker while the `with` block runs.

    It is librdkafka's mock cluster: good for demonstrations and for tests of a service's wiring, in milliseconds and
    without Java or Docker. It is no Kafka:

    - A partition keeps 5 MiB as stored (compressed, if the producer compresses) and 100,000 batches; beyond either it
      drops the oldest ones without an error. A low watermark that is still 0 shows that nothing was dropped.
    - One fetch returns one batch a partition, and a fetch that found nothing is answered after `fetch.wait.max.ms`
      (500 ms) even where records came in meanwhile.
    - No access control, no TLS, no transactions that abort, no compaction, no retention; nothing on disk.
    - An unknown topic is created with 4 partitions when a producer asks for it.
    - Classic groups: every rebalance but the first takes the session time-out less 1 s, and commits are refused
      meanwhile, which a Kafka does not do: members that wait for their commits are thrown out. For tests with more
      than one member take `group_protocol="consumer"`: there a rebalance takes one or two `heartbeat_interval`.
    - Consumer groups: a member whose connection breaks counts as holding nothing until its next heartbeat, so another
      one may get its partitions at once, while a Kafka waits for the session to end: both handle them for a moment.
      The client breaks the connection itself when a heartbeat has no answer after `heartbeat_interval`: on a busy
      machine, tests that count every record of more than one member need a long one.
    - A consumer group does not notice a topic that is created after it subscribed.
    - A member may commit partitions that it does not own; a client that is no member may never commit.

    Args:
        brokers: number of brokers, each on a port of its own.
        topics: topics to create, with their numbers of partitions.
        rebalance_delay: a `Duration`: how long the first members of a classic group wait for others (3 s on a Kafka as
            shipped).
        heartbeat_interval: a `Duration`: how often members of a consumer group ask for their assignment, and how long
            they wait for the answer (5 s on a Kafka as shipped).

    Raises:
        ConfigError: a number below 1, a `Duration` below 1 ms, or a topic without a name.
        BrokerError: the client library that is installed has no mock cluster, or no port is free.
    """
    delay_ms, interval_ms = (round(seconds(each) * 1000) for each in (rebalance_delay, heartbeat_interval))
    faults = []
    if brokers < 1:
        faults.append(f"kafka_broker: brokers must be at least 1; it is {brokers}")
    if delay_ms < 1:
        faults.append(f"kafka_broker: rebalance_delay must be at least 1 ms; it is {rebalance_delay}")
    if interval_ms < 1:
        faults.append(f"kafka_broker: heartbeat_interval must be at least 1 ms; it is {heartbeat_interval}")
    if faults:
        raise ConfigError(faults)
    broker = KafkaBroker(brokers, delay_ms, interval_ms)
    try:
        for name, partitions in (topics or {}).items():
            broker.create_topic(name, partitions)
        yield broker
    finally:
        broker.close()


@cache
def _load(extension_module: str) -> ctypes.CDLL:
    """Return the client library behind that extension module, its functions typed."""
    try:
        library = ctypes.CDLL(extension_module)
        for name, (returns, takes) in _C_FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returns, takes
    except (OSError, AttributeError) as error:
        raise BrokerError(
            f"no embedded broker here: the client library behind {extension_module} has no mock cluster ({error}); "
            "install confluent-kafka's own wheel (`pip install --force-reinstall --only-binary :all: confluent-kafka`)"
        ) from error
    return library
