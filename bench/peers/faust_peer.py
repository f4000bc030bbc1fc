"""Faust: one agent over a topic of raw bytes, at least once, which is its default guarantee."""
# pyright: reportMissingImports=false

import asyncio
import logging
from contextlib import suppress

import faust
from faust.types import EventT, StreamT

from bench.work import Order, Tally, take_order


def _run(order: Order, tally: Tally) -> None:
    note = tally.note
    app = faust.App(
        order.group,
        broker=f"kafka://{order.brokers}",
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
    )
    topic = app.topic(order.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic)
    async def handle(stream: StreamT[bytes]) -> None:
        event: EventT
        async for event in stream.events():
            note(event.message.partition, event.message.offset)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = faust.Worker(app, loop=loop, loglevel=logging.WARNING, quiet=True, redirect_stdouts=False)
    tally.at_end = lambda: _stop(worker, loop)
    with suppress(SystemExit):  # its way to return
        worker.execute_from_commandline()


def _stop(worker: faust.Worker, loop: asyncio.AbstractEventLoop) -> None:
    loop.create_task(worker.stop())


if __name__ == "__main__":
    take_order(_run)
