"""`process_queue` on the embedded broker, where a real one would show no more."""

import asyncio

import pytest
from confluent_kafka import Producer

from humus.errors import ProcessingFailed
from humus.queue import kafka
from humus.testing import kafka_broker

WITHIN = 30.0


def test_a_cancellation_at_the_end_does_not_hide_the_error() -> None:
    """D34: cancelled while it waits for a handler that is left behind, `process_queue` raises what ended it."""

    async def main(brokers: str) -> None:
        running, over = asyncio.Event(), asyncio.Event()

        async def process(msg: kafka.Message) -> None:
            if msg.partition == 0:
                await running.wait()
                raise kafka.Reject("broken")
            running.set()
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue  # what a handler must not do

        orders = kafka.at_least_once("orders", process, on_failure=kafka.shut_down())
        runtime = kafka.Runtime(brokers, "g", orders, drain_timeout=0.1, group_protocol="consumer")
        task = asyncio.create_task(runtime.process_queue())
        while runtime.status().state != "stopped":  # noqa: ASYNC110 - the status is there to be asked
            await asyncio.sleep(0.01)
        await asyncio.wait({task}, timeout=0.2)
        task.cancel()
        try:
            with pytest.raises(ProcessingFailed, match="broken"):
                await task
        finally:
            over.set()

    with kafka_broker(topics={"orders": 2}) as broker:
        producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
        for partition in range(2):
            producer.produce("orders", b"", partition=partition)
        assert producer.flush(WITHIN) == 0
        asyncio.run(asyncio.wait_for(main(broker.brokers), WITHIN))


def test_a_coroutine_that_is_closed_leaves_no_member_behind() -> None:
    """D72: without anybody to wait for it the runtime leaves the group, and keeps no partition."""

    async def main() -> None:
        runtime = kafka.Runtime("127.0.0.1:1", "g", kafka.at_least_once("orders", lambda _msg: None))
        running = runtime.process_queue()
        running.send(None)
        running.close()
        while runtime.status().state != "stopped":  # noqa: ASYNC110 - the status is there to be asked
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), WITHIN))
