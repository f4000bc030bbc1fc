"""Dead letters on a real broker: what is written, and that nothing is lost while they cannot be (D32)."""

import asyncio
import logging
from typing import Any

import pytest
from confluent_kafka import Message as Letter

from humus.queue.kafka import Message, Reject, Retry, Runtime, at_least_once, dead_letter
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.dead_letters import headers_of, letters_in
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio

POISON = b"\x00 poison \xff"


def refuse_poison(message: Message) -> None:
    """Fail where the record is poison."""
    if message.value == POISON:
        raise Reject("this will never work")


async def letters(kafka: Kafka, topic: str, count: int) -> list[Letter]:
    """Wait until the topic has so many letters and return them."""
    return await eventually(lambda: letters_in(kafka.bootstrap, topic), lambda found: len(found) >= count, every=0.2)


async def test_a_letter_is_the_record_with_its_story(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """Key, value and headers byte for byte, and headers that say where it came from and why it failed (D32)."""
    name, dead = topic(2), topic()
    own = (
        ("a", b"\xff\x00"),
        ("a", b""),
        ("empty", None),
        ("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
    )
    records = [
        Record(b"fine", partition=1),
        Record(POISON, key=b"\xfek", partition=1, headers=own, timestamp=1_767_323_045_678),
        Record(POISON, key=b"", partition=1),
        Record(None, key=b"tombstone", partition=1),
        Record(b"fine", partition=1),
    ]
    await asyncio.to_thread(produce, name, *records)
    recorder = Recorder()

    def work(message: Message) -> None:
        if message.value == POISON or message.value is None:
            raise ValueError("x" * 5000)

    member = runtime(
        at_least_once(
            name, recorder.processor(kind, work), retry=Retry(max_attempts=2, initial=0), on_failure=dead_letter(dead)
        )
    )
    async with running(member):
        found = await letters(kafka, dead, 3)
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed.get(1) == 5)
        totals = member.status().totals
    assert recorder.started[1] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert (totals.handled, totals.dead_lettered, totals.retries, totals.skipped) == (5, 3, 3, 0)
    assert [(letter.key(), letter.value()) for letter in found] == [
        (b"\xfek", POISON),
        (b"", POISON),
        (b"tombstone", None),
    ]
    headers: Any = found[0].headers()
    assert tuple(headers[: len(own)]) == own
    stack = headers[-1]
    assert headers[len(own) : -1] == [
        ("humus.dlt.original.topic", name.encode()),
        ("humus.dlt.original.partition", b"1"),
        ("humus.dlt.original.offset", b"1"),
        ("humus.dlt.original.timestamp", b"1767323045678"),
        ("humus.dlt.group", group.encode()),
        ("humus.dlt.attempts", b"2"),
        ("humus.dlt.exception.type", b"ValueError"),
        ("humus.dlt.exception.message", b"x" * 1021 + b"..."),
    ]
    assert stack[0] == "humus.dlt.exception.stacktrace"
    assert 0 < len(stack[1]) <= 8192
    assert b"in work" in stack[1]


@one_protocol
async def test_a_letter_of_a_letter_keeps_where_it_began(
    kafka: Kafka, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """The dead-letter topic's own consumer fails too: `original` headers stay, the rest is of the last one (D32)."""
    name, dead, deader = topic(), topic(), topic()
    await asyncio.to_thread(produce, name, b"", POISON)

    def refuse_again(_message: Message) -> None:
        raise RuntimeError("nor here")

    member = runtime(
        at_least_once(name, refuse_poison, on_failure=dead_letter(dead)),
        at_least_once(dead, refuse_again, retry=Retry(max_attempts=1), on_failure=dead_letter(deader)),
    )
    async with running(member):
        (letter,) = await letters(kafka, deader, 1)
    headers = headers_of(letter)
    assert letter.value() == POISON
    assert headers["humus.dlt.original.topic"] == name.encode()
    assert headers["humus.dlt.original.offset"] == b"1"
    assert headers["humus.dlt.exception.message"] == b"nor here"
    assert headers["humus.dlt.exception.type"] == b"RuntimeError"
    names = [header[0] for header in letter.headers() or []]
    assert len(names) == len(set(names))


@one_protocol
async def test_a_missing_topic_is_waited_for(
    kafka: Kafka,
    topic: MakeTopic,
    produce: Produce,
    group: str,
    runtime: MakeRuntime,
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without its dead-letter topic a partition waits and says so, once; others go on; nothing is lost (D32, D2)."""
    name, dead = topic(2), fresh("topic")
    await asyncio.to_thread(produce, name, b"", POISON, b"", partition=0)
    await asyncio.to_thread(produce, name, *[b""] * 20, partition=1)
    recorder = Recorder()
    member = runtime(at_least_once(name, recorder.processor(kind, refuse_poison), on_failure=dead_letter(dead)))
    with caplog.at_level(logging.INFO, "humus"):
        async with running(member):
            waiting = await eventually(
                lambda: partitions(member),
                lambda at: 0 in at and at[0].failure is not None and "is refused" in at[0].failure.reason,
            )
            failure = waiting[0].failure
            assert failure is not None
            assert (waiting[0].state, failure.offset) == ("retrying", 1)
            assert f"its dead letter to {dead} is refused" in failure.reason
            assert "create the dead-letter topic" in failure.reason
            await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 1, 1: 20})
            await asyncio.to_thread(kafka.admin.create_topic, dead)
            await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 3, 1: 20}, within=60)
            assert partitions(member)[0].failure is None
    assert [letter.value() for letter in await letters(kafka, dead, 1)] == [POISON]
    assert recorder.started[0] == [0, 1, 2]
    said = [record.message for record in caplog.records if dead in record.message and record.levelno >= logging.ERROR]
    assert len(said) == 1, said


@one_protocol
async def test_a_letter_that_is_too_large_halts_its_partition_alone(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime
) -> None:
    """It can never be written: the partition halts and says what to do, and others' letters go out (D32)."""
    name, dead = topic(3), topic(config={"max.message.bytes": "12000"})
    large = Record(b"x" * 12_000, partition=0)
    await asyncio.to_thread(
        produce, name, large, *(Record(POISON, partition=at) for at in (0, 1, 2) for _ in range(20))
    )
    recorder = Recorder()

    def work(_message: Message) -> None:
        raise Reject("no good")

    member = runtime(at_least_once(name, recorder.processor("def", work), on_failure=dead_letter(dead)))
    async with running(member):
        halted = await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted", within=60)
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {1: 20, 2: 20})
        problems = member.status().problems
    failure = halted[0].failure
    assert failure is not None
    assert (failure.offset, failure.error_type) == (0, "humus.errors.DeadLetterFailed")
    assert "can never be written" in failure.reason
    assert "raise max.message.bytes of the topic" in failure.reason
    assert [problem for problem in problems if f"{name}[0]@0: halted" in problem]
    found = await letters(kafka, dead, 40)
    assert len(found) == 40
    assert recorder.started[0] == [0]


@one_protocol
async def test_a_compacted_topic_takes_no_letter_without_a_key(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """What the broker refuses for good halts the partition and names the cause (D32)."""
    name, dead = topic(), topic(config={"cleanup.policy": "compact"})
    await asyncio.to_thread(produce, name, POISON)
    member = runtime(at_least_once(name, refuse_poison, on_failure=dead_letter(dead)))
    async with running(member):
        halted = await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted")
    assert halted[0].failure is not None
    assert "INVALID_RECORD" in halted[0].failure.reason


async def test_a_partition_that_waits_for_its_letter_is_given_back_in_time(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """A stop while the dead-letter topic is missing ends at the drain's end; the record is not handled, and comes again
    (D10, D32, D41).
    """
    name, dead = topic(), fresh("topic")
    await asyncio.to_thread(produce, name, b"", POISON, b"")
    recorder = Recorder()
    subscription = at_least_once(name, recorder.processor(kind, refuse_poison), on_failure=dead_letter(dead))
    member = runtime(subscription, drain_timeout=1)
    async with running(member, stops_within=12):
        await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].failure is not None)
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 1}

    await asyncio.to_thread(kafka.admin.create_topic, dead)
    async with running(runtime(subscription)):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 3})
    first, *_ = await letters(kafka, dead, 1)
    assert first.value() == POISON
    assert recorder.started[0] == [0, 1, 1, 2]


async def test_a_broker_that_is_away_delays_a_letter_and_nothing_else(
    breakable: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker killed before it confirms a letter: the partition waits, and the letter is there once it is back (D32,
    D71).
    """
    name, dead, group = fresh("topic"), fresh("topic"), fresh("group")
    for each in (name, dead):
        await asyncio.to_thread(breakable.admin.create_topic, each)
    await asyncio.to_thread(breakable.records.produce, name, b"", POISON, b"")
    killed = asyncio.Event()
    loop = asyncio.get_running_loop()
    recorder = Recorder()
    [broker] = breakable.cluster.brokers

    def work(message: Message) -> None:
        if message.value == POISON:
            if not killed.is_set():
                broker.kill()
                loop.call_soon_threadsafe(killed.set)
            raise Reject("no good")

    subscription = at_least_once(name, recorder.processor("async", work), on_failure=dead_letter(dead))
    member = Runtime(breakable.bootstrap, group, subscription, commit_interval=0.2, session_timeout=30, drain_timeout=5)
    with caplog.at_level(logging.WARNING, "humus.kafka.worker"):
        async with running(member):
            await killed.wait()
            await eventually(lambda: "has not confirmed its dead letter" in caplog.text)
            status = partitions(member)[0]
            assert (status.position, status.state) == (1, "retrying")
            await asyncio.to_thread(breakable.cluster.start, broker)
            breakable.disconnect()
            await eventually(lambda: breakable.admin.committed(group, name), lambda at: at == {0: 3}, within=60)
    assert {letter.value() for letter in await letters(breakable, dead, 1)} == {POISON}
    assert recorder.handled[0][-1] == 2
