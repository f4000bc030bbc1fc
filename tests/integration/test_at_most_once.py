"""At most once: committed first, handled then, and never again (D20, D22, D23)."""

import asyncio
import itertools
import logging
import re
import threading
import time

import pytest

from humus.queue.kafka import Message, Runtime, at_most_once
from tests.integration.commit_log import commits
from tests.integration.conftest import MakeRuntime, defaults, one_protocol
from tests.integration.service import Gate, Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio


async def test_the_commit_comes_first(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """When a processor starts, the broker, asked by somebody else, has a commit past its record already (D20)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 2) for at in range(60)))
    too_early: list[tuple[int, int, dict[int, int]]] = []

    def ask(message: Message) -> None:
        committed = kafka.admin.committed(group, name)
        if committed.get(message.partition, 0) <= message.offset:
            too_early.append((message.partition, message.offset, committed))

    async def ask_in_a_thread(message: Message) -> None:
        await asyncio.to_thread(ask, message)

    recorder = Recorder()
    work = ask_in_a_thread if kind == "async" else ask
    async with running(runtime(at_most_once(name, recorder.processor(kind, work)))):
        await eventually(recorder.count, lambda count: count == 60)
    assert too_early == []
    assert recorder.handled == {0: list(range(30)), 1: list(range(30))}
    assert recorder.overlaps == []


@one_protocol
async def test_chunks_are_bounded(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """A commit covers 500 records at most, however fast the processor is; many, where it is fast (D20)."""
    name = topic()
    await asyncio.to_thread(produce, name, *(b"x" for _ in range(4000)))
    recorder = Recorder()
    async with running(runtime(at_most_once(name, recorder.processor(kind)))):
        await eventually(recorder.count, lambda count: count == 4000)
    offsets = [0, *(commit.offset for commit in commits(kafka, group, name))]
    chunks = [later - earlier for earlier, later in itertools.pairwise(offsets)]
    assert offsets[-1] == 4000
    assert 100 < max(chunks) <= 500, chunks
    assert {commit.leader_epoch for commit in commits(kafka, group, name)} == {0}


@one_protocol
async def test_a_processor_that_raises_has_consumed_its_record(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """A failed record is logged, counted and gone: not tried again, not by the next service either (D20, D31)."""
    name = topic()
    await asyncio.to_thread(produce, name, *(b"x" for _ in range(30)))
    recorder = Recorder()

    def fail_every_third(message: Message) -> None:
        if message.offset % 3 == 0:
            raise ValueError("no")

    member = runtime(at_most_once(name, recorder.processor(kind, fail_every_third)))
    async with running(member):
        await eventually(lambda: len(recorder.started[0]), lambda count: count == 30)
        await eventually(lambda: member.status().totals.failed, lambda failed: failed == 10)
    assert recorder.started == {0: list(range(30))}
    assert len(recorder.handled[0]) == 20
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 30}
    second = Recorder()
    async with running(runtime(at_most_once(name, second.processor(kind)))):
        await asyncio.to_thread(produce, name, b"new")
        await eventually(second.count)
    assert second.started == {0: [30]}


async def test_with_the_broker_frozen(breakable: Kafka, kind: Kind) -> None:
    """Without an answer to the commit nothing is handled; once it comes everything is, once and in order (D20, D22)."""
    name, total = fresh("topic"), 1500
    await asyncio.to_thread(breakable.admin.create_topic, name)
    await asyncio.to_thread(breakable.records.produce, name, *(b"x" for _ in range(total)))
    recorder = Recorder()
    (broker,) = breakable.cluster.brokers
    options = {**defaults("classic"), "session_timeout": 30}
    pause = threading.Event()

    def work(_message: Message) -> None:
        pause.wait(0.001)

    member = Runtime(breakable.bootstrap, fresh("group"), at_most_once(name, recorder.processor(kind, work)), **options)
    async with running(member):
        await eventually(recorder.count, lambda count: count >= 100)
        # All are fetched already, so that only the missing commits can hold them back.
        await eventually(lambda: _received(member), lambda received: received >= total)
        broker.freeze()
        try:
            before = await _standstill(recorder)
            assert before < total
            assert partitions(member)[0].in_flight == total - before
        finally:
            broker.thaw()
        await eventually(recorder.count, lambda count: count == total)
    assert recorder.started == {0: list(range(total))}
    assert member.status().totals.lost == 0


def _received(member: Runtime) -> int:
    return member.status().totals.consumed


async def _standstill(recorder: Recorder) -> int:
    """Wait until nothing was handled for a thousand times as long as a record takes, and return how many were."""
    before, since = -1, 0.0
    clock = asyncio.get_running_loop().time
    while before != recorder.count() or clock() - since < 1:
        if before != recorder.count():
            before, since = recorder.count(), clock()
        await asyncio.sleep(0.05)
    return before


async def _stuck(kafka: Kafka, group: str, name: str, recorder: Recorder, at: int) -> None:
    """Wait until the processor stands at the record `at`, with more committed behind it."""
    await eventually(lambda: recorder.started[0][-1:] == [at])
    await eventually(lambda: kafka.admin.committed(group, name).get(0, 0), lambda committed: committed > at + 2)


async def test_a_stop_handles_what_is_committed(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """After a stop no further commit is made, and what is committed is handled, in order (D23, D61)."""
    name, at = topic(), 300
    await asyncio.to_thread(produce, name, *(b"x" for _ in range(3000)))
    recorder, gate = Recorder(), Gate(kind, lambda message: message.offset == at)

    def work(message: Message) -> object:
        if message.offset > at and message.offset % 10 == 0:  # slow enough for one more commit, were it tried
            if kind == "async":
                return asyncio.sleep(0.01)
            time.sleep(0.01)
        return gate.work(message)

    member = runtime(at_most_once(name, recorder.processor(kind, work)))
    async with running(member) as task:
        await _stuck(kafka, group, name, recorder, at)
        member.stop()
        await eventually(lambda: member.status().state == "stopping")
        gate.open()
        await task
    committed = (await asyncio.to_thread(kafka.admin.committed, group, name))[0]
    assert at < committed <= at + 1000, "two chunks at most"
    assert recorder.handled == {0: list(range(committed))}
    assert member.status().totals.lost == 0
    second = Recorder()
    async with running(runtime(at_most_once(name, second.processor(kind)))):
        await eventually(second.count, lambda count: count == 3000 - committed)
    assert second.handled == {0: list(range(committed, 3000))}


@one_protocol
async def test_what_a_stop_leaves_is_named(
    kafka: Kafka,
    group: str,
    topic: MakeTopic,
    produce: Produce,
    runtime: MakeRuntime,
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is committed and not handled when the drain ends is logged by offset and counted as lost (D23, D61)."""
    name, at = topic(), 300
    await asyncio.to_thread(produce, name, *(b"x" for _ in range(3000)))
    recorder, gate = Recorder(), Gate(kind, lambda message: message.offset >= at)
    member = runtime(at_most_once(name, recorder.processor(kind, gate.work)), drain_timeout=0.5)
    caplog.set_level(logging.INFO)
    async with running(member) as task:
        await _stuck(kafka, group, name, recorder, at)
        member.stop()
        await task
    gate.open()
    committed = (await asyncio.to_thread(kafka.admin.committed, group, name))[0]
    assert recorder.started == {0: list(range(at + 1))}
    assert member.status().totals.lost == committed - at
    assert _lost_offsets(caplog) == set(range(at, committed))
    second = Recorder()
    async with running(runtime(at_most_once(name, second.processor(kind)))):
        await eventually(second.count, lambda count: count == 3000 - committed)
    assert second.handled == {0: list(range(committed, 3000))}


def _lost_offsets(caplog: pytest.LogCaptureFixture) -> set[int]:
    """Read the offsets, `5, 7-9`, that the log calls lost."""
    lines = [record.getMessage() for record in caplog.records if "lost: offsets" in record.getMessage()]
    ranges = [found for line in lines for found in re.findall(r"(\d+)(?:-(\d+))?", line.split("lost: offsets")[1])]
    return {offset for first, last in ranges for offset in range(int(first), int(last or first) + 1)}


async def test_a_revoked_partition(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """A second member takes over where the first one's commits end; the first handles all up to there (D23)."""
    name, total = topic(2), 1500
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 2) for at in range(2 * total)))
    first, second = Recorder(), Recorder()
    gate = Gate(kind, lambda message: message.offset == 300)
    members = [runtime(at_most_once(name, each.processor(kind, gate.work))) for each in (first, second)]
    async with running(members[0]):
        await eventually(first.running, lambda busy: busy == {0, 1} and first.count() == 600)
        async with running(members[1]):
            await eventually(lambda: any(at.state == "draining" for at in members[0].status().partitions))
            gate.open()
            await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
            await eventually(lambda: first.count() + second.count(), lambda count: count == 2 * total)
    moved = set(second.handled)
    assert len(moved) == 1, "one partition of two has moved"
    for partition in (0, 1):
        assert first.handled[partition] + second.handled[partition] == list(range(total))
    assert first.overlaps == second.overlaps == []
    assert members[0].status().totals.lost == 0
