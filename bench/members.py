"""Members of a group that note what they handle and when, so that what several did can be put together afterwards.

A member runs for as long as is ordered, or until nothing has come for a while; its notes are the order's file.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench.instruments import Candidate, runtime_client_config
from bench.work import Figures, Instant, Order, peak_rss
from humus.queue import kafka
from humus.queue.kafka import Message

__all__ = ["CANDIDATES", "MEMBER", "QUIET_SECONDS", "SAMPLE_EVERY"]

QUIET_SECONDS = 2.0
"""Nothing came for so long: a member of the scaling mode is done."""
SAMPLE_EVERY = 500
"""Records between two samples of how many were handled until when."""
_BATCH = 1000
_COMMIT_EVERY = 1.0
_LOOK_EVERY = 0.05

Notes = list[tuple[int, int, float]]
"""Partition, offset, and when, on the system's monotonic clock."""


def _write(order: Order, notes: object) -> None:
    assert order.notes is not None
    Path(order.notes).write_text(json.dumps(notes), "utf-8")


# -- while the group changes ---------------------------------------------------------------------------------------


def _humus(**options: Any) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        notes: Notes = []

        async def process(message: Message) -> None:
            notes.append((message.partition, message.offset, time.monotonic()))

        runtime = kafka.Runtime(order.brokers, order.group, kafka.at_least_once(order.topic, process), **options)
        timer = threading.Timer(order.seconds, runtime.stop)
        timer.start()
        asyncio.run(runtime.process_queue())
        timer.cancel()
        _write(order, notes)
        return {"handled": len(notes)}

    return run


def _bare(assignor: str) -> Callable[[Order], Figures]:
    """Take a loop as one writes it: what was handled is committed each second, and when partitions are taken away."""

    def run(order: Order) -> Figures:
        notes: Notes = []
        config = runtime_client_config(order.brokers, order.group)
        consumer = Consumer({**config, "partition.assignment.strategy": assignor})

        consumer.subscribe([order.topic], on_revoke=_commit)
        end, next_commit = time.monotonic() + order.seconds, time.monotonic() + _COMMIT_EVERY
        try:
            while time.monotonic() < end:
                for record in consumer.consume(_BATCH, _LOOK_EVERY):
                    if record.error() is None:
                        partition, offset = record.partition(), record.offset()
                        assert partition is not None
                        assert offset is not None
                        notes.append((partition, offset, time.monotonic()))
                if time.monotonic() >= next_commit:
                    next_commit += _COMMIT_EVERY
                    _commit(consumer, consumer.assignment())
        finally:
            consumer.close()
        _write(order, notes)
        return {"handled": len(notes)}

    return run


def _commit(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    try:
        reached = [at for at in consumer.position(partitions) if at.offset >= 0]
        if reached:
            consumer.commit(offsets=reached, asynchronous=False)
    except KafkaException:
        return  # while the group changes; what comes twice for it is counted


# -- side by side --------------------------------------------------------------------------------------------------


def _side_by_side(order: Order) -> Figures:
    """Handle what comes until nothing comes any more; note how many were handled until when."""
    count = 0
    samples: list[tuple[int, float, float]] = []

    async def process(_message: Message) -> None:
        nonlocal count
        count += 1
        if count % SAMPLE_EVERY == 1:
            now = Instant.now()
            samples.append((count, now.clock, now.cpu))

    runtime = kafka.Runtime(order.brokers, order.group, kafka.at_least_once(order.topic, process))

    async def until_quiet() -> None:
        running = asyncio.create_task(runtime.process_queue())
        end = time.monotonic() + order.seconds
        before, since = 0, time.monotonic()
        while not running.done():
            now = time.monotonic()
            if count != before:
                before, since = count, now
            if (count and now - since > QUIET_SECONDS) or now > end:
                runtime.stop()
                break
            await asyncio.wait([running], timeout=_LOOK_EVERY)
        await running

    asyncio.run(until_quiet())
    _write(order, samples)
    return {"handled": count, "peak_mib": peak_rss()}


MEMBER: Final = "member-side-by-side"

CANDIDATES = {
    "rebalance-humus": Candidate("at least once, async def, the classic protocol (cooperative-sticky)", _humus()),
    "rebalance-humus-consumer": Candidate(
        'at least once, async def, group_protocol="consumer"', _humus(group_protocol="consumer")
    ),
    "rebalance-bare-range": Candidate("a bare loop, classic protocol, `range`, the client's default", _bare("range")),
    "rebalance-bare-sticky": Candidate(
        "a bare loop, classic protocol, `cooperative-sticky`", _bare("cooperative-sticky")
    ),
    MEMBER: Candidate("a member that works beside others", _side_by_side),
}
