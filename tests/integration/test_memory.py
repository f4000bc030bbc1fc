"""Memory is bounded, and a full buffer costs no second fetch (D50)."""

import json
import subprocess
import sys

import pytest
from confluent_kafka import Producer

from tests.integration.memory_probe import Findings
from tests.kafka.access import Kafka, MakeTopic

_MIB = 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and TCP_INFO")
@pytest.mark.parametrize("protocol", ["classic"])
def test_large_records_and_slow_processors(kafka: Kafka, group: str, topic: MakeTopic, protocol: str) -> None:
    """Twelve partitions of 1 MiB records with slow processors: memory stays within its bound (D50)."""
    partitions, each = 12, 16
    buffer, fetch = 32 * _MIB, 8 * _MIB
    batch = buffer // 4  # what one call takes at most
    name = topic(partitions, config={"max.message.bytes": str(2 * _MIB)})
    _produce_large(kafka, name, partitions, each)
    options = {"buffer_max_bytes": buffer, "fetch_max_bytes": fetch, "group_protocol": protocol, "drain_timeout": 5}
    arguments = [kafka.bootstrap, group, name, str(partitions * each), json.dumps(options)]
    command = [sys.executable, "-m", "tests.integration.memory_probe", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)  # noqa: S603 - ourselves
    found = Findings(**json.loads(done.stdout.splitlines()[-1]))
    assert found.records == partitions * each
    assert found.full_records * _MIB <= buffer + batch
    # On top of the records: the client's own queue (a quarter), a fetch response, and what any process grows by.
    assert found.peak - found.before <= buffer + batch + buffer // 4 + fetch + 12 * _MIB, found
    # Nothing that was fetched is thrown away and fetched again, but for what the first pauses purged.
    assert found.received <= partitions * each * _MIB * 1.25, found


def _produce_large(kafka: Kafka, topic: str, partitions: int, each: int) -> None:
    """Produce records of 1 MiB: larger than a producer's default."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 2 * _MIB})
    for _ in range(each):
        for partition in range(partitions):
            producer.produce(topic, bytes(_MIB), partition=partition)
        assert producer.flush(30) == 0
