"""`current()`: what a processor may know of the record that it handles, and nobody else."""

import asyncio

import pytest

from humus.errors import OutsideProcessor
from humus.queue.kafka import Delivery, Message, Retry, at_least_once, current
from tests.integration.conftest import MakeRuntime
from tests.integration.service import eventually, running
from tests.kafka.access import MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = [pytest.mark.asyncio, pytest.mark.parametrize("protocol", ["consumer"], indirect=True)]


async def test_each_delivery_is_known_to_its_own_processor(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """Partitions side by side, tasks of a processor's own and threads each see the record that they handle (D30)."""
    names = topic(3), topic(3)
    for name in names:
        await asyncio.to_thread(produce, name, *(Record(b"", partition=at % 3) for at in range(30)))
    seen: list[tuple[Message, Delivery]] = []

    async def inner(message: Message) -> None:
        await asyncio.sleep(0)
        seen.append((message, current()))

    async def in_a_task(message: Message) -> None:
        if message.offset == 1 and current().attempt == 1:
            raise OSError("away")
        await asyncio.create_task(inner(message))

    def in_a_thread(message: Message) -> None:
        if message.offset == 1 and current().attempt == 1:
            raise OSError("away")
        seen.append((message, current()))

    retry = Retry(initial=0.02)
    member = runtime(at_least_once(names[0], in_a_task, retry=retry), at_least_once(names[1], in_a_thread, retry=retry))
    async with running(member):
        await eventually(lambda: len(seen) == 60)
        with pytest.raises(OutsideProcessor, match="outside a processor"):
            current()
    assert all(delivery.message is message for message, delivery in seen)
    assert all(delivery.attempt == (2 if message.offset == 1 else 1) for message, delivery in seen)
    assert {delivery.deadline for _, delivery in seen} == {None}


async def test_what_outlives_its_record_is_outside(topic: MakeTopic, produce: Produce, runtime: MakeRuntime) -> None:
    """A task that a processor has left behind handles no record once its processor has returned."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    go_on = asyncio.Event()
    tasks: list[asyncio.Task[Delivery]] = []

    async def later() -> Delivery:
        await go_on.wait()
        return current()

    async def process(_message: Message) -> None:
        tasks.append(asyncio.create_task(later()))

    member = runtime(at_least_once(name, process))
    async with running(member):
        await eventually(lambda: member.status().totals.handled == 1)
        go_on.set()
        with pytest.raises(OutsideProcessor):
            await tasks[0]
