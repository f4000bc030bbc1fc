"""The embedded broker, seen by the bare client; and the limits that its documentation names."""

import _ctypes
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition, cimpl

from humus.errors import BrokerError, ConfigError
from humus.testing import KafkaBroker, kafka_broker
from humus.testing._broker import _load

PROTOCOLS: dict[str, dict[str, Any]] = {
    "classic": {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 2000},
    "consumer": {"group.protocol": "consumer"},
}
CONSUMER_HEARTBEAT = 68
QUIET: dict[str, Any] = {"log_level": 0}
"""A client that outlives its broker for a moment says so on stderr."""


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    """One broker with the topic `orders` of 4 partitions."""
    with kafka_broker(topics={"orders": 4}) as running:
        yield running


def member(broker: KafkaBroker, protocol: str, group: str = "g", **callbacks: Any) -> Consumer:
    """Join the group, subscribed to `orders`."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.brokers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **PROTOCOLS[protocol],
            **QUIET,
        }
    )
    consumer.subscribe(["orders"], **callbacks)
    return consumer


def delay_heartbeats(broker: KafkaBroker, number: int, milliseconds: int) -> None:
    """Let the answers to the next heartbeats of consumer groups wait for so long."""
    cluster = broker._cluster  # noqa: SLF001 - the broker offers no such faults
    no_error_but_late = [ctypes.c_int(0), ctypes.c_int(milliseconds)] * number
    assert not _load(cimpl.__file__).rd_kafka_mock_broker_push_request_error_rtts(
        ctypes.c_void_p(cluster),
        ctypes.c_int32(1),
        ctypes.c_int16(CONSUMER_HEARTBEAT),
        ctypes.c_size_t(number),
        *no_error_but_late,
    )


def produce(
    broker: KafkaBroker, topic: str, values: list[bytes], partition: int = 0, settings: dict[str, Any] | None = None
) -> None:
    """Write the values and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": broker.brokers, **QUIET, **(settings or {})})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(10) == 0


def poll_until(condition: Callable[[], bool], *consumers: Consumer) -> None:
    """Poll the consumers in turn, so that they take part in rebalances, until the condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the group did not get there within 20 s"
        for consumer in consumers:
            consumer.poll(0.02)


def collect(consumer: Consumer, number: int) -> list[Message]:
    """Return the next `number` records."""
    got: list[Message] = []
    while len(got) < number:
        message = consumer.poll(10)
        assert message is not None, f"only {len(got)} of {number} records came"
        assert message.error() is None
        got.append(message)
    return got


def watermarks(broker: KafkaBroker, topic: str) -> tuple[int, int]:
    """Return the first offset of partition 0 that is still there, and the next one to be written."""
    consumer = Consumer({"bootstrap.servers": broker.brokers, "group.id": "watermarks", **QUIET})
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)
        return low, high
    finally:
        consumer.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_goes_on_from_its_committed_offset(broker: KafkaBroker, protocol: str) -> None:
    """What a member committed is where the next member of the group starts."""
    produce(broker, "orders", [b"%d" % n for n in range(10)])
    first = member(broker, protocol)
    before = collect(first, 4)
    first.commit(offsets=[TopicPartition("orders", 0, 4)], asynchronous=False)
    first.close()

    second = member(broker, protocol)
    (after,) = collect(second, 1)
    second.close()

    assert [m.value() for m in before] == [b"0", b"1", b"2", b"3"]
    assert (after.offset(), after.value()) == (4, b"4")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_members_share_the_partitions(broker: KafkaBroker, protocol: str) -> None:
    """A second member gets half of the partitions, and all of them when the first one leaves."""
    first = member(broker, protocol)
    poll_until(lambda: len(first.assignment()) == 4, first)
    second = member(broker, protocol)
    poll_until(lambda: len(first.assignment()) == len(second.assignment()) == 2, first, second)
    shared = {p.partition for consumer in (first, second) for p in consumer.assignment()}
    first.close()
    poll_until(lambda: len(second.assignment()) == 4, second)
    second.close()

    assert shared == {0, 1, 2, 3}


def test_a_member_whose_connection_breaks_loses_its_partitions_at_once(broker: KafkaBroker) -> None:
    """Its share goes to the next member long before its session ends: the limit that a `heartbeat_interval` is for."""
    first = [member(broker, "consumer")]
    poll_until(lambda: len(first[0].assignment()) == 4, *first)
    second = member(broker, "consumer")
    for _ in range(3 * 50):
        second.poll(0.02)  # three heartbeats, while the first one does not give back what it is asked for
    assert second.assignment() == []

    began = time.monotonic()
    first.clear()  # its connections break; it does not leave the group
    poll_until(lambda: bool(second.assignment()), second)
    assert time.monotonic() - began < 10  # a session lasts 30 s
    second.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="there, ctypes cannot call functions of variable arguments")
def test_late_answers_hand_nothing_over_within_the_heartbeat_interval() -> None:
    """With a `heartbeat_interval` longer than answers are late, a member keeps what it has not given back yet."""
    to_give_back: list[TopicPartition] = []

    def put_off(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        to_give_back.extend(partitions)
        consumer.incremental_assign([])

    with kafka_broker(topics={"orders": 4}, heartbeat_interval=2.5) as broker:
        first = member(broker, "consumer", on_revoke=put_off)
        poll_until(lambda: len(first.assignment()) == 4, first)
        second = member(broker, "consumer")
        poll_until(lambda: bool(to_give_back), first, second)
        delay_heartbeats(broker, 4, 1500)
        ended = time.monotonic() + 5
        while time.monotonic() < ended:
            first.poll(0.02)
            second.poll(0.02)
            assert second.assignment() == []
        first.incremental_unassign(to_give_back)
        poll_until(lambda: len(second.assignment()) == 2, first, second)
        first.close()
        second.close()


def test_several_brokers_have_a_port_each() -> None:
    """`brokers=3` is a cluster of three, and a topic's records can be read from wherever they are."""
    with kafka_broker(brokers=3, topics={"orders": 6}) as cluster:
        for partition in range(6):
            produce(cluster, "orders", [b"x"], partition)
        consumer = member(cluster, "consumer")
        partitions = [message.partition() for message in collect(consumer, 6)]
        consumer.close()

    assert len(set(cluster.brokers.split(","))) == 3
    assert sorted(str(partition) for partition in partitions) == [*"012345"]


def test_a_full_partition_drops_its_oldest_batches() -> None:
    """A partition keeps 5 MiB as stored: the low watermark tells that records are gone, no error does."""
    with kafka_broker(topics={"full": 1, "compressed": 1}) as broker:
        megabytes = [bytes(1000)] * 8_000
        produce(broker, "full", megabytes)
        produce(broker, "compressed", megabytes, settings={"compression.type": "lz4"})
        full, compressed = watermarks(broker, "full"), watermarks(broker, "compressed")

    assert full[0] > 0
    assert full[1] == 8_000
    assert compressed == (0, 8_000)


def test_the_limit_of_100_000_counts_batches() -> None:
    """More than 100,000 small records fit a partition, as they come in batches."""
    with kafka_broker(topics={"small": 1}) as broker:
        produce(broker, "small", [b""] * 120_000, settings={"linger.ms": 50, "queue.buffering.max.messages": 200_000})
        assert watermarks(broker, "small") == (0, 120_000)


def test_all_faults_of_the_options_come_at_once() -> None:
    """Impossible options are one `ConfigError` that lists each of them."""
    with pytest.raises(ConfigError) as error, kafka_broker(brokers=0, rebalance_delay=0, heartbeat_interval=0):
        pass
    assert len(error.value.faults) == 3


@pytest.mark.parametrize(("name", "partitions"), [("", 1), ("orders", 0), ("orders", -1)])
def test_an_impossible_topic_is_a_config_error(name: str, partitions: int) -> None:
    """A topic without a name or without partitions is refused before the broker is asked."""
    with kafka_broker() as broker, pytest.raises(ConfigError, match="create_topic"):
        broker.create_topic(name, partitions)


def test_a_topic_is_created_once(broker: KafkaBroker) -> None:
    """Creating a topic again is the broker's error, by its name."""
    with pytest.raises(BrokerError, match="orders") as error:
        broker.create_topic("orders")
    assert error.value.code == "TOPIC_ALREADY_EXISTS"


def test_many_threads_may_use_it() -> None:
    """Topics are created and the broker is closed from many threads at once, without a crash or a second close."""
    with kafka_broker() as broker:
        start = threading.Barrier(16)

        def use(number: int) -> str:
            start.wait()
            try:
                broker.close() if number % 4 == 3 else broker.create_topic(f"t{number}", 3)
            except BrokerError as error:
                return str(error)
            return ""

        with ThreadPoolExecutor(16) as pool:
            complaints = {text for text in pool.map(use, range(16)) if text}
    assert all("closed" in text for text in complaints)


def test_it_is_closed_when_the_block_fails() -> None:
    """An exception inside the block goes on up, and the broker is gone."""
    with pytest.raises(RuntimeError, match="the test's own"), kafka_broker() as broker:
        raise RuntimeError("the test's own")
    with pytest.raises(BrokerError, match="closed"):
        broker.create_topic("late")


def test_a_topic_that_fails_at_the_start_closes_the_broker() -> None:
    """A fault among `topics` is raised from the `with` line."""
    with pytest.raises(ConfigError, match="at least 1 partition"), kafka_broker(topics={"orders": 0}):
        pass


@pytest.mark.parametrize("module", [_ctypes.__file__, "/nowhere/cimpl.so"])
def test_a_library_without_a_mock_cluster_is_named(module: str) -> None:
    """Where the client library has no mock cluster, the error names the file and what to install."""
    with pytest.raises(BrokerError, match="pip install") as error:
        _load(module)
    assert module in str(error.value)


def test_records_come_back_as_they_were_written(broker: KafkaBroker) -> None:
    """What `produce` writes, `records` returns, by partition and offset: key, value, headers."""
    broker.produce("orders", "b", None, key="k", headers=[("h", b"1"), ("h", None)], partition=2)
    broker.produce("orders", b"a", partition=1)
    broker.produce("orders", b"c", partition=2)
    found = broker.records("orders")
    places = [(record.partition, record.offset, record.key, record.value) for record in found]
    assert places == [(1, 0, None, b"a"), (2, 0, b"k", b"b"), (2, 1, b"k", None), (2, 2, None, b"c")]
    assert found[1].headers == (("h", b"1"), ("h", None))


def test_many_records_come_back(broker: KafkaBroker) -> None:
    """More records than one fetch brings, in each of the partitions."""
    values = [b"%d" % number for number in range(5000)]
    for partition in range(4):
        broker.produce("orders", *values, partition=partition)
    assert [record.value for record in broker.records("orders")] == values * 4


def test_a_topic_that_is_not_there_has_no_records(broker: KafkaBroker) -> None:
    """Asking for a topic neither fails nor creates it: a service may be about to."""
    assert broker.records("orders.dlt") == []
    assert broker.committed("g", "orders.dlt") == {}
    broker.create_topic("orders.dlt")
    assert broker.records("orders.dlt") == []


def test_what_a_group_committed_can_be_asked(broker: KafkaBroker) -> None:
    """The next offset by partition, without those that have none."""
    produce(broker, "orders", [b"x"] * 3, partition=1)
    consumer = member(broker, "classic")
    collect(consumer, 3)
    consumer.commit(offsets=[TopicPartition("orders", 1, 2)], asynchronous=False)
    consumer.close()
    assert broker.committed("g", "orders") == {1: 2}
    assert broker.committed("another", "orders") == {}


def test_a_record_for_a_partition_that_is_not_there_is_refused(broker: KafkaBroker) -> None:
    """The broker's reason is raised, with its code."""
    with pytest.raises(BrokerError, match="produce") as error:
        broker.produce("orders", b"x", partition=9)
    assert error.value.code == "_UNKNOWN_PARTITION"


def test_a_closed_broker_says_so(broker: KafkaBroker) -> None:
    """Asking a broker that is closed fails at once."""
    broker.produce("orders", b"x")
    broker.close()
    for ask in (
        lambda: broker.produce("orders", b"x"),
        lambda: broker.records("orders"),
        lambda: broker.committed("g", "orders"),
    ):
        with pytest.raises(BrokerError, match="closed"):
            ask()
