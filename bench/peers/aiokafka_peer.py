"""aiokafka: the two loops that its guide to the consumer shows for at least once."""

import asyncio
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]

from bench.work import Order, Tally, take_order


def _consumer(order: Order, **commits: Any) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        order.topic,
        bootstrap_servers=order.brokers,
        group_id=order.group,
        auto_offset_reset="earliest",
        **commits,
    )


async def _one_by_one(order: Order, tally: Tally) -> None:
    note = tally.note
    consumer = _consumer(order, enable_auto_commit=True, auto_commit_interval_ms=1000)
    await consumer.start()
    try:
        async for record in consumer:
            note(record.partition, record.offset)
            if tally.done:
                break
    finally:
        await consumer.stop()


async def _in_batches(order: Order, tally: Tally) -> None:
    note = tally.note
    consumer = _consumer(order, enable_auto_commit=False)
    await consumer.start()
    try:
        while not tally.done:
            batches = await consumer.getmany(timeout_ms=10_000)
            for partition, records in batches.items():
                for record in records:
                    note(record.partition, record.offset)
                await consumer.commit({partition: records[-1].offset + 1})
    finally:
        await consumer.stop()


def _run(order: Order, tally: Tally) -> None:
    loop = {"one-by-one": _one_by_one, "in-batches": _in_batches}[sys.argv[2]]
    asyncio.run(loop(order, tally))


if __name__ == "__main__":
    take_order(_run)
