"""How much memory, when records are large and processors slow, against the bound of D50.

`held` is what the runtime itself counts against `buffer_max_bytes`: the records fetched and not handled. The bound
stands for all payload: the buffer, one consumed batch (at most half a buffer), the client's own queue (a quarter) and
one fetch response a broker. Memory grows by more than the payload: the client keeps a fetch response whole while one
record of it is queued, and the allocator keeps what was freed. `memory-bare` shows the client's part of it alone.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer

from bench.instruments import (
    MIB,
    Candidate,
    Figures,
    MeasurementFailed,
    Order,
    Shape,
    brokers_of,
    peak_rss,
    rss,
    runtime_client_config,
    shape_of,
)
from humus.queue import kafka
from humus.queue.kafka import Message
from humus.queue.kafka._options import DEFAULTS

__all__ = ["CANDIDATES", "PARTITIONS", "RECORDS_A_PARTITION", "RECORD_BYTES"]

PARTITIONS = 12
RECORDS_A_PARTITION = 40
RECORD_BYTES = MIB
_OVERHEAD_BYTES = 420
"""What a held record counts beside its bytes (D50)."""
_SECONDS_A_RECORD = 0.25
_STUCK_SECONDS = 20.0
"""Long enough for everything that can fill up to be full."""
_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class _Bound:
    """D50 in MiB, part by part."""

    buffer: float
    batch: float
    queue: float
    responses: float

    @property
    def payload(self) -> float:
        """All of it."""
        return self.buffer + self.batch + self.queue + self.responses


def _bound(order: Order) -> _Bound:
    buffer, fetch = DEFAULTS["buffer_max_bytes"] / MIB, DEFAULTS["fetch_max_bytes"] / MIB
    return _Bound(buffer, buffer / 2, buffer / 4, fetch * brokers_of(order))


def _figures(bound: _Bound, before: float, held_records: int) -> Figures:
    peak = peak_rss()
    return {
        "held_mib": held_records * (RECORD_BYTES + _OVERHEAD_BYTES) / MIB,
        "held_bound_mib": bound.buffer + bound.batch,
        "before_mib": before,
        "peak_mib": peak,
        "growth_mib": peak - before,
        "bound_mib": bound.payload,
        "growth_to_bound": (peak - before) / bound.payload,
    }


def _bare(order: Order) -> Figures:
    """Take one record after the other, as slowly as all slow processors together, and keep none."""
    shape, bound, before = shape_of(order), _bound(order), rss()
    consumer = Consumer(runtime_client_config(order.brokers, order.group))
    consumer.subscribe([order.topic])
    left = shape.records
    try:
        while left:
            record = consumer.poll(1.0)
            if record is not None and record.error() is None:
                left -= 1
                time.sleep(_SECONDS_A_RECORD / shape.partitions)
    finally:
        consumer.close()
    return _figures(bound, before, 0)


def _humus(make_processor: Callable[[], Callable[[Message], Any]]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        shape, bound, before = shape_of(order), _bound(order), rss()
        runtime = kafka.Runtime(order.brokers, order.group, kafka.at_least_once(order.topic, make_processor()))
        held = asyncio.run(_run_and_look(runtime, shape))
        handled = runtime.status().totals.handled
        if handled != shape.records:
            raise MeasurementFailed(f"handled {handled:,} of {shape.records:,} records")
        return _figures(bound, before, held)

    return run


async def _run_and_look(runtime: kafka.Runtime, shape: Shape) -> int:
    """Run until everything is handled; return the most records that were held at a time."""
    most = 0
    running = asyncio.create_task(runtime.process_queue())
    while not running.done():
        status = runtime.status()
        most = max(most, sum(partition.in_flight for partition in status.partitions))
        if status.totals.handled >= shape.records:
            runtime.stop()
        await asyncio.wait([running], timeout=_LOOK_EVERY)
    await running
    return most


def _slow_async() -> Callable[[Message], Any]:
    async def process(_message: Message) -> None:
        await asyncio.sleep(_SECONDS_A_RECORD)

    return process


def _slow_def() -> Callable[[Message], Any]:
    def process(_message: Message) -> None:
        time.sleep(_SECONDS_A_RECORD)

    return process


def _stuck_async() -> Callable[[Message], Any]:
    stuck: set[int] = set()

    async def process(message: Message) -> None:
        if message.partition not in stuck:
            stuck.add(message.partition)
            await asyncio.sleep(_STUCK_SECONDS)

    return process


CANDIDATES = {
    "memory-bare": Candidate("bare poll() loop that keeps nothing, configured as the runtime does it", _bare),
    "memory-async": Candidate("at least once, slow async def processor", _humus(_slow_async)),
    "memory-def": Candidate("at least once, slow def processor", _humus(_slow_def)),
    "memory-stuck": Candidate(
        f"at least once, async def processor, every partition stuck for {_STUCK_SECONDS:g} s at its first record",
        _humus(_stuck_async),
    ),
}
