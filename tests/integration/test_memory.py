"""Memory is bounded, and a full buffer costs no second fetch (D50)."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from humus.queue.kafka import Subscription, at_least_once, at_most_once
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.memory_probe import Findings
from tests.integration.service import Gate, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

_MIB = 1024 * 1024


@pytest.mark.asyncio
@one_protocol
@pytest.mark.parametrize("factory", [at_least_once, at_most_once])
async def test_the_buffer_is_bounded(
    factory: Callable[[str, Any], Subscription],
    topic: MakeTopic,
    produce: Produce,
    runtime: MakeRuntime,
) -> None:
    """With every handler stuck no more is taken from the client than the buffer holds (D22, D50)."""
    partitions, count, value, buffer = 3, 120, bytes(100 * 1024), 4 * _MIB
    name = topic(partitions)
    await asyncio.to_thread(produce, name, *(Record(value, partition=at % partitions) for at in range(count)))
    recorder, gate = Recorder(), Gate("async")
    member = runtime(factory(name, recorder.processor("async", gate.work)), buffer_max_bytes=buffer)

    def held() -> int:
        return sum(at.in_flight for at in member.status().partitions) * len(value)

    async with running(member):
        await eventually(recorder.running, lambda busy: busy == set(range(partitions)))
        await eventually(held, lambda size: size > buffer // 4)
        await eventually(_unchanged(held))
        assert held() <= buffer + buffer // 4
        gate.open()
        await eventually(recorder.count, lambda handled: handled == count)
    assert recorder.handled == {at: list(range(count // partitions)) for at in range(partitions)}


def _unchanged(ask: Callable[[], int], seconds: float = 1.5) -> Callable[[], bool]:
    """Return a condition: the answer has not changed for a while."""
    last: list[tuple[int, float]] = []

    def unchanged() -> bool:
        now = ask()
        if not last or last[-1][0] != now:
            last.append((now, time.monotonic()))
        return time.monotonic() - last[-1][1] > seconds

    return unchanged


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
