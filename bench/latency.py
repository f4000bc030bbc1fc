"""From produce to processor: one process produces at a steady rate, with the time in the value, another one consumes.

Both read the same clock: the system's monotonic one, the same in all processes of a machine. The first records warm
things up and are not counted; a consumer that is not there before the counted ones begin has failed.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, Producer

from bench.instruments import (
    Candidate,
    Figures,
    Instant,
    MeasurementFailed,
    Order,
    partitions_of,
    peak_rss,
    runtime_client_config,
)
from bench.series import percentile
from humus.queue import kafka
from humus.queue.kafka import Message

__all__ = ["CANDIDATES", "PRODUCER", "RECORD_BYTES", "WARM_UP_SECONDS", "linger_ms"]

RECORD_BYTES = 200
WARM_UP_SECONDS = 6.0
_FLUSH_WITHIN = 30.0
_BURSTS_A_SECOND = 1000
"""What is due in a millisecond goes to one partition: else each record is a request of its own to the broker."""

_WARM_UP, _COUNTED, _END = range(3)
"""The first byte of a value; the next eight are the time, in nanoseconds. A partition ends with an `_END`."""


def _value(kind: int) -> bytes:
    return (bytes([kind]) + time.monotonic_ns().to_bytes(8, "little")).ljust(RECORD_BYTES, b".")


def linger_ms(rate: int) -> int:
    """Return how long the producer waits for more: not at all where it sends one at a time."""
    return 0 if rate <= _BURSTS_A_SECOND else 1


# -- the producing end ---------------------------------------------------------------------------------------------


def _produce(order: Order) -> Figures:
    partitions = partitions_of(order)
    failed: list[str] = []
    rate = order.rate
    producer = Producer({"bootstrap.servers": order.brokers, "linger.ms": linger_ms(rate), "acks": "all"})
    burst = max(1, rate // _BURSTS_A_SECOND)
    warm_up = round(WARM_UP_SECONDS * rate)
    total = warm_up + round(order.seconds * rate)
    latest, start = 0.0, time.monotonic()

    def send(kind: int, partition: int) -> None:
        producer.produce(
            order.topic,
            _value(kind),
            partition=partition,
            on_delivery=lambda error, _record: failed.append(error.str()) if error else None,
        )
        producer.poll(0)

    for number in range(total):
        early = start + number // burst * burst / rate - time.monotonic()
        if early > 0:
            time.sleep(early)
        else:
            latest = max(latest, -early)
        send(_WARM_UP if number < warm_up else _COUNTED, number // burst % partitions)
    for partition in range(partitions):
        send(_END, partition)
    producer.flush(_FLUSH_WITHIN)
    if failed or len(producer):
        raise MeasurementFailed(f"{len(failed) + len(producer)} records were not produced: {failed[:1]}")
    return {"counted": total - warm_up, "latest_ms": latest * 1e3}


PRODUCER = Candidate("the producer of the latency candidates", _produce)

# -- the consuming ends --------------------------------------------------------------------------------------------


class _Notebook:
    """Takes every value as it arrives; `at_end` is called after the last."""

    def __init__(self, partitions: int) -> None:
        self.full = False
        self.at_end: Callable[[], None] = lambda: None
        self._begun = Instant.now()
        self._partitions = partitions
        self._first_seen = 0
        self._times: list[tuple[int, int]] = []
        self._lock = threading.Lock()  # `def` processors run on a thread a partition
        self._ended: set[int] = set()

    def take(self, partition: int, value: bytes) -> None:
        """Take one value."""
        now = time.monotonic_ns()
        kind, sent = value[0], int.from_bytes(value[1:9], "little")
        if kind == _COUNTED:
            self._times.append((sent, now))
            return
        with self._lock:
            self._first_seen = self._first_seen or now
            if kind == _END:
                self._ended.add(partition)
                if len(self._ended) == self._partitions:
                    self.full = True
                    self.at_end()

    def figures(self) -> Figures:
        """Return what the counted values say."""
        used = Instant.now()
        if not self._times or not 0 < self._first_seen < min(sent for sent, _ in self._times):
            raise MeasurementFailed(f"the consumer was not there within the {WARM_UP_SECONDS:g} s of warming up")
        latencies = sorted((seen - sent) / 1e6 for sent, seen in self._times)
        return {
            "p50_ms": percentile(latencies, 50),
            "p99_ms": percentile(latencies, 99),
            "p999_ms": percentile(latencies, 99.9),
            "max_ms": latencies[-1],
            "counted": len(latencies),
            "cpu_percent": (used.cpu - self._begun.cpu) / (used.clock - self._begun.clock) * 100,
            "peak_mib": peak_rss(),
        }


def _poll_loop(order: Order) -> Figures:
    notebook = _Notebook(partitions_of(order))
    consumer = Consumer(runtime_client_config(order.brokers, order.group))
    consumer.subscribe([order.topic])
    try:
        while not notebook.full:
            record = consumer.poll(0.1)
            if record is not None and record.error() is None:
                partition, value = record.partition(), record.value()
                assert partition is not None
                assert value is not None
                notebook.take(partition, value)
    finally:
        consumer.close()
    return notebook.figures()


def _humus(make_processor: Callable[[_Notebook], Callable[[Message], Any]]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        notebook = _Notebook(partitions_of(order))
        processor = make_processor(notebook)
        runtime = kafka.Runtime(order.brokers, order.group, kafka.at_least_once(order.topic, processor))
        notebook.at_end = runtime.stop
        asyncio.run(runtime.process_queue())
        return notebook.figures()

    return run


def _async(notebook: _Notebook) -> Callable[[Message], Any]:
    async def process(message: Message) -> None:
        notebook.take(message.partition, message.value or b"")

    return process


def _def(notebook: _Notebook) -> Callable[[Message], Any]:
    def process(message: Message) -> None:
        notebook.take(message.partition, message.value or b"")

    return process


CANDIDATES = {
    "latency-poll": Candidate("bare poll() loop, the client configured as the runtime does it", _poll_loop),
    "latency-async": Candidate("at least once, async def processor", _humus(_async)),
    "latency-def": Candidate("at least once, def processor", _humus(_def)),
}
