"""A graceful stop: what is in flight is finished, what is handled is committed, nothing is left running (D60, D61)."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from humus.queue.kafka import Message, Runtime, at_least_once
from tests.integration.conftest import MakeRuntime, defaults, one_protocol
from tests.integration.service import Gate, Kind, Protocol, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio

_CLOSED_WITHIN = 10.0
"""Seconds from the end of the drain to the end of the runtime (D60)."""


def _stop_from_another_thread(runtime: Runtime, _task: "asyncio.Task[None]") -> None:
    thread = threading.Thread(target=runtime.stop)
    thread.start()
    thread.join()


def _cancel(_runtime: Runtime, task: "asyncio.Task[None]") -> None:
    task.cancel()


@pytest.mark.parametrize("end", [_stop_from_another_thread, _cancel])
async def test_restart_misses_nothing_and_repeats_nothing(
    kafka: Kafka,
    group: str,
    topic: MakeTopic,
    produce: Produce,
    runtime: MakeRuntime,
    kind: Kind,
    end: Callable[[Runtime, "asyncio.Task[None]"], None],
) -> None:
    """After `stop()`, or a cancel, the committed offset is the position, and the next service goes on there (D61)."""
    name, total = topic(3), 3000
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 3) for at in range(total)))
    recorder, gate = Recorder(), Gate(kind, lambda message: message.offset == 200)
    member = runtime(at_least_once(name, recorder.processor(kind, gate.work)), commit_interval=60)
    async with running(member) as task:
        await eventually(lambda: [recorder.started[at][-1:] for at in range(3)], lambda last: last == [[200]] * 3)
        end(member, task)
        await eventually(lambda: member.status().state == "stopping")
        assert not task.done(), "it waits for what is in flight"
        gate.open()
        await asyncio.wait([task], timeout=_CLOSED_WITHIN)
        assert task.done()
        assert task.cancelled() == (end is _cancel)
    assert recorder.handled == recorder.started == {at: list(range(201)) for at in range(3)}
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == dict.fromkeys(range(3), 201)
    assert asyncio.all_tasks() == {asyncio.current_task()}, "no coroutine runs afterwards"
    second = Recorder()
    async with running(runtime(at_least_once(name, second.processor(kind)))):
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
    assert second.handled == {at: list(range(201, 1000)) for at in range(3)}


async def test_it_leaves_the_group(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, protocol: Protocol
) -> None:
    """The group knows at once that the member has left: the next one does not wait for a session time-out (D60)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"x")
    recorder = Recorder()
    patient = {"session_timeout": 45} if protocol == "classic" else {}
    async with running(runtime(at_least_once(name, recorder.processor("async")), **patient)):
        await eventually(recorder.count)
        assert len(await asyncio.to_thread(kafka.admin.members, group)) == 1
    assert await asyncio.to_thread(kafka.admin.members, group) == ()


@one_protocol
async def test_a_static_member_stays(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """A static member does not leave: its partitions wait for it, and it has them again when it is back (D60)."""
    name = topic(2)
    recorder, other = Recorder(), Recorder()
    options = {"session_timeout": 30, "group_instance_id": "one"}
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in (0, 1)))
    async with running(runtime(at_least_once(name, recorder.processor("async")), **options)):
        await eventually(recorder.count, lambda count: count == 2)
    (member,) = await asyncio.to_thread(kafka.admin.members, group)
    assert member.group_instance_id == "one"
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in (0, 1)))
    async with running(runtime(at_least_once(name, other.processor("async")), **options)):
        await eventually(other.count, lambda count: count == 2)
    assert other.handled == {0: [1], 1: [1]}


@one_protocol
async def test_a_handler_that_outlasts_the_drain(
    kafka: Kafka,
    group: str,
    topic: MakeTopic,
    produce: Produce,
    runtime: MakeRuntime,
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Such a handler is cancelled, or left behind (`def`), and its record is named and not committed (D41, D60)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 2) for at in range(40)))
    recorder, gate = Recorder(), Gate(kind, lambda message: (message.partition, message.offset) == (0, 7))
    cancelled: list[int] = []

    async def note_the_cancel(message: Message) -> None:
        try:
            waiting = gate.work(message)
            if waiting is not None:
                await waiting
        except asyncio.CancelledError:
            cancelled.append(message.offset)
            raise

    work = note_the_cancel if kind == "async" else gate.work
    member = runtime(at_least_once(name, recorder.processor(kind, work)), drain_timeout=0.5)
    clock = asyncio.get_running_loop().time
    async with running(member) as task:
        await eventually(lambda: (recorder.running(), len(recorder.handled[1])), lambda now: now == ({0}, 20))
        start = clock()
        member.stop()
        await task
    assert clock() - start < 0.5 + _CLOSED_WITHIN
    assert cancelled == ([7] if kind == "async" else [])
    assert f"{name}[0]@7" in "\n".join(at.getMessage() for at in caplog.records if at.levelno >= logging.WARNING)
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 7, 1: 20}
    gate.open()
    await eventually(recorder.running, lambda busy: not busy)
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 7, 1: 20}


async def test_with_the_brokers_away(breakable: Kafka, caplog: pytest.LogCaptureFixture) -> None:
    """With no broker that answers the runtime ends all the same, within 10 s of the drain, and says so (D60)."""
    name, group = fresh("topic"), fresh("group")
    await asyncio.to_thread(breakable.admin.create_topic, name)
    await asyncio.to_thread(breakable.records.produce, name, *(b"x" for _ in range(20)))
    recorder, gate = Recorder(), Gate("async", lambda message: message.offset == 10)
    options = {**defaults("classic"), "session_timeout": 30, "commit_interval": 60, "drain_timeout": 2}
    member = Runtime(breakable.bootstrap, group, at_least_once(name, recorder.processor("async", gate.work)), **options)
    (broker,) = breakable.cluster.brokers
    clock = asyncio.get_running_loop().time
    async with running(member) as task:
        await eventually(lambda: recorder.started[0][-1:] == [10])
        broker.freeze()
        try:
            member.stop()
            await eventually(lambda: member.status().state == "stopping")
            gate.open()
            await eventually(lambda: recorder.handled[0][-1:] == [10])
            drained = clock()
            await task
            assert clock() - drained < 2 + _CLOSED_WITHIN + 2, "the drain may take 2 s; the rest is for a busy machine"
        finally:
            broker.thaw()
    assert recorder.handled == {0: list(range(11))}
    assert "will come again" in "\n".join(at.getMessage() for at in caplog.records)
