"""Where a partition goes on when the offset to go on at is not there: said and counted, never silent (D11)."""

import asyncio
import logging

import pytest

from humus.queue.kafka import at_least_once
from tests.integration.conftest import MakeRuntime
from tests.integration.service import Gate, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce

pytestmark = pytest.mark.asyncio


async def test_a_committed_offset_that_was_deleted(
    kafka: Kafka, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """Retention took what was committed: one line says from where to where, and it counts (D11)."""
    name = topic()
    recorder = Recorder()
    await asyncio.to_thread(produce, name, *[b"x"] * 3)
    async with running(runtime(at_least_once(name, recorder.processor("async")))):
        await eventually(lambda: recorder.count() == 3)
    await asyncio.to_thread(produce, name, *[b"x"] * 7)
    await asyncio.to_thread(kafka.admin.delete_records, name, 0, 8)
    member = runtime(at_least_once(name, recorder.processor("async")))
    async with running(member):
        await eventually(lambda: recorder.count() == 5)
        await eventually(lambda: member.status().totals.jumps == 1, within=5)
        await eventually(lambda: [message for message in caplog.messages if "not in the log" in message], within=5)
    assert recorder.handled == {0: [0, 1, 2, 8, 9]}
    said = [(record.levelno, record.message) for record in caplog.records if "not in the log" in record.message]
    text = f"{name}[0]@3: offset 3 is not in the log (any more): going on at its beginning, offset 8"
    assert said == [(logging.ERROR, text + ": 5 offsets are passed over")]


async def test_records_that_were_deleted_meanwhile(
    kafka: Kafka, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """Retention overtakes a partition that is at work: the jump is said and counted; to the end as well (D11)."""
    name = topic()
    recorder, gate = Recorder(), Gate("async")
    # Only a part of them is in the buffer, or in the client's queue, when the others are deleted.
    count, value = 60, bytes(500_000)
    await asyncio.to_thread(produce, name, *[value] * count)
    options = {"buffer_max_bytes": 1024 * 1024, "fetch_max_bytes": 1024 * 1024}
    member = runtime(at_least_once(name, recorder.processor("async", gate.work)), **options)
    async with running(member):
        await eventually(recorder.running)
        await asyncio.to_thread(kafka.admin.delete_records, name, 0, count - 2)
        gate.open()
        await eventually(lambda: recorder.handled[0][-1:] == [count - 1])
        await eventually(lambda: member.status().totals.jumps == 1, within=5)
        await eventually(lambda: [message for message in caplog.messages if "not in the log" in message], within=5)
    (said,) = [record.message for record in caplog.records if "not in the log" in record.message]
    *before, last, _ = recorder.handled[0]
    assert (before, last) == (list(range(len(before))), count - 2)
    assert said.endswith(
        f"going on at its beginning, offset {count - 2}: {count - 2 - len(before)} offsets are passed over"
    )
