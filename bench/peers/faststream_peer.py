"""FastStream on confluent-kafka, with one of the policies of its page on acknowledgements.

NACK_ON_ERROR is at least once; ACK_FIRST, its default, is at most once.
"""
# pyright: reportMissingImports=false

import asyncio
import logging
import sys

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker, KafkaMessage

from bench.work import Order, Tally, take_order


async def _serve(order: Order, tally: Tally) -> None:
    note = tally.note
    policy = AckPolicy[sys.argv[2]]
    broker = KafkaBroker(order.brokers, log_level=logging.WARNING)

    @broker.subscriber(order.topic, group_id=order.group, auto_offset_reset="earliest", ack_policy=policy)
    async def handle(message: KafkaMessage) -> None:
        raw = message.raw_message
        note(raw.partition(), raw.offset())

    app = FastStream(broker)
    tally.at_end = app.exit
    await app.run(log_level=logging.WARNING)


def _run(order: Order, tally: Tally) -> None:
    asyncio.run(_serve(order, tally))


if __name__ == "__main__":
    take_order(_run)
