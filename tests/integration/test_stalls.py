"""A partition that has records and does not move is reported, and nothing else is taken for one (D72)."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from humus.queue.kafka import Message, Retry, Runtime, at_least_once, halt
from tests.integration import service
from tests.integration.conftest import MakeRuntime, defaults, one_protocol
from tests.integration.service import Gate, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio

_TIMEOUT = 0.8


async def _stop_fetching(member: Runtime, name: str, *numbers: int) -> None:
    """Let the client fetch nothing more of these partitions, without the runtime's knowledge."""
    await _behind_its_back(member, lambda client: client.pause([TopicPartition(name, number) for number in numbers]))


async def _fetch_again(member: Runtime, name: str, *numbers: int) -> None:
    await _behind_its_back(member, lambda client: client.resume([TopicPartition(name, number) for number in numbers]))


class _Act:
    """A command that the core never gave."""


async def _behind_its_back(member: Runtime, act: Callable[[Consumer], None]) -> None:
    """Do something to the runtime's client, on the poll thread: each other thread would wait for polls without end."""
    poll_loop = member._poll_loop  # noqa: SLF001 - nothing but the client itself could leave a partition stuck
    assert poll_loop is not None
    done = threading.Event()

    def do(_: _Act) -> None:
        act(poll_loop._the_client._consumer)  # noqa: SLF001 - as above
        done.set()

    poll_loop._do[_Act] = do  # noqa: SLF001 - as above
    poll_loop._core._do(_Act())  # type: ignore[arg-type] # noqa: SLF001 - as above
    assert await asyncio.to_thread(done.wait, 10)


def _stalled(member: Runtime) -> set[int]:
    return {partition.partition for partition in member.status().stalled}


async def test_a_stall(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """What the client does not fetch is logged as it begins and ends, counted and shown (D72)."""
    caplog.set_level(logging.INFO, "humus")
    name = topic(3)
    recorder = Recorder()
    await asyncio.to_thread(produce, name, Record(b"x", partition=1), Record(b"x", partition=2))
    member = runtime(at_least_once(name, recorder.processor("async")), stall_timeout=_TIMEOUT)
    async with running(member):
        await eventually(lambda: recorder.count() == 2 and len(partitions(member)) == 3)
        await _stop_fetching(member, name, 0, 1)
        await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in range(3)))
        await eventually(lambda: _stalled(member), lambda stalled: stalled == {0, 1}, within=10)
        await eventually(lambda: recorder.handled[2] == [0, 1])
        status = member.status()
        assert status.totals.stalls == 2
        assert {at.partition: at.state for at in status.partitions} == {0: "stalled", 1: "stalled", 2: "running"}
        assert sum(f"{name}[1]@1: stalled for" in problem for problem in status.problems) == 1
        await asyncio.sleep(_TIMEOUT)
        await _fetch_again(member, name, 0, 1)
        await eventually(lambda: recorder.handled == {0: [0], 1: [0, 1], 2: [0, 1]} and not _stalled(member))
        assert member.status().problems == ()
        assert member.status().totals.stalls == 2
    said = [message for message in caplog.messages if f"{name}[1]" in message and "stalled" in message]
    assert ["no longer stalled" in message for message in said] == [False, True], said


@one_protocol
async def test_no_stall(
    kafka: Kafka, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """Handlers at work, retries, halts, open transactions, markers and deleted records are no stall (D72)."""
    busy, retrying, halted, open_one, markers, deleted, idle, stuck = range(8)
    name = topic(8)
    gate = Gate("async", lambda message: message.partition == busy)
    recorder = Recorder()

    retry = Retry(initial=0.05, maximum=0.05, fatal=(TypeError,))
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in range(8) for _ in range(2)))
    transaction = await asyncio.to_thread(kafka.records.transaction)
    await asyncio.to_thread(transaction.produce, name, Record(b"open", partition=open_one))
    await asyncio.to_thread(produce, name, *(Record(b"behind", partition=open_one) for _ in range(3)))
    await asyncio.to_thread(_abort_one, kafka, name, markers)

    def fail(message: Message) -> object:
        if message.partition == halted and message.offset:
            raise TypeError
        if message.partition == retrying and message.offset:
            raise ValueError
        return gate.work(message)

    subscription = at_least_once(name, recorder.processor("async", fail), retry=retry, on_failure=halt())
    member = runtime(subscription, stall_timeout=_TIMEOUT)
    async with running(member):
        await eventually(lambda: partitions(member).get(halted), lambda at: at is not None and at.state == "halted")
        await eventually(lambda: recorder.handled[deleted] == recorder.handled[stuck] == [0, 1])
        await _stop_fetching(member, name, deleted, stuck)
        await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in (deleted, stuck)))
        await asyncio.to_thread(kafka.admin.delete_records, name, deleted, 3)
        # One that is stuck indeed shows that the time was long enough, twice.
        await eventually(lambda: _stalled(member), lambda stalled: stalled == {stuck}, within=10)
        await asyncio.sleep(2 * _TIMEOUT)
        status = member.status()
        assert status.totals.stalls == 1
        assert recorder.running() == {busy, retrying} or recorder.running() == {busy}
        states = {at.partition: at.state for at in status.partitions}
        assert states == {
            **dict.fromkeys((busy, open_one, markers, deleted, idle), "running"),
            retrying: "retrying",
            halted: "halted",
            stuck: "stalled",
        }
        gate.open()
        await _fetch_again(member, name, deleted, stuck)
        await asyncio.to_thread(transaction.commit)
        await eventually(lambda: len(recorder.handled[open_one]) == 6)
    assert sum("stalled for" in message for message in caplog.messages) == 1


def _abort_one(kafka: Kafka, name: str, partition: int) -> None:
    aborted = kafka.records.transaction()
    aborted.produce(name, *(Record(b"aborted", partition=partition) for _ in range(3)))
    aborted.abort()


@one_protocol
async def test_a_broker_away_is_no_stall(breakable: Kafka, protocol: service.Protocol) -> None:
    """While no broker answers nothing is known and nothing is reported stalled; afterwards the stall is found (D72)."""
    name, group = fresh("topic"), fresh("group")
    await asyncio.to_thread(breakable.admin.create_topic, name)
    await asyncio.to_thread(breakable.records.produce, name, b"x")
    recorder = Recorder()
    options = {**defaults(protocol), "stall_timeout": _TIMEOUT, "session_timeout": 30}
    member = Runtime(breakable.bootstrap, group, at_least_once(name, recorder.processor("async")), **options)
    async with running(member):
        await eventually(recorder.count)
        await _stop_fetching(member, name, 0)
        await asyncio.to_thread(breakable.records.produce, name, b"x")
        broker = breakable.cluster.broker(1)
        broker.freeze()
        try:
            await asyncio.sleep(5 * _TIMEOUT)
            assert member.status().totals.stalls == 0
        finally:
            broker.thaw()
        await eventually(lambda: _stalled(member), lambda stalled: stalled == {0})
        await _fetch_again(member, name, 0)
        await eventually(lambda: recorder.handled[0] == [0, 1])
