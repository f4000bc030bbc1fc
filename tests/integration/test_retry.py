"""A processor that fails: the record is tried again, its partition waits, the others do not (D30)."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from humus.queue.kafka import Reject, Retry, RetryLater, at_least_once, skip
from tests.integration.conftest import MakeRuntime
from tests.integration.failures import Failing
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = [pytest.mark.asyncio, pytest.mark.parametrize("protocol", ["consumer"], indirect=True)]

QUICKLY = Retry(initial=0.02, maximum=0.02)


def failing_until(released: threading.Event) -> Iterator[Exception]:
    """Return errors for as long as the event is not set."""
    return itertools.takewhile(lambda _error: not released.is_set(), (OSError("store away") for _ in itertools.count()))


async def test_a_failing_record_blocks_its_partition_alone(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """A failing record is tried again, nothing behind it runs or is committed, the others go on (D30, D10)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *(Record(b"", partition=at % 2) for at in range(60)))
    released = threading.Event()
    recorder, failing = Recorder(), Failing({(0, 5): failing_until(released)})
    member = runtime(at_least_once(name, recorder.processor(kind, failing), retry=QUICKLY))
    async with running(member):
        await eventually(lambda: len(recorder.handled[1]) == 30 and len(failing.attempts(0, 5)) > 3)
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 5, 1: 30})
        retrying = (await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "retrying"))[0]
        assert retrying.failure is not None
        assert (retrying.failure.offset, retrying.failure.error_type) == (5, "OSError")
        assert retrying.failure.reason == "store away"
        assert recorder.handled[0] == [0, 1, 2, 3, 4]
        assert set(recorder.started[0]) == {0, 1, 2, 3, 4, 5}
        released.set()
        await eventually(lambda: len(recorder.handled[0]) == 30)
        await eventually(lambda: partitions(member)[0], lambda at: at.failure is None and at.state == "running")
    assert recorder.handled[0] == list(range(30))
    numbers = failing.numbers(0, 5)
    assert numbers == list(range(1, len(numbers) + 1))
    assert failing.numbers(0, 6) == [1]
    assert recorder.overlaps == []


async def test_waits_grow_up_to_the_maximum(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """The waits between attempts double up to the maximum, each times a factor of at least a half (D30)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    recorder, failing = Recorder(), Failing({(0, 0): [OSError("away") for _ in range(4)]})
    retry = Retry(initial=0.1, maximum=0.4)
    async with running(runtime(at_least_once(name, recorder.processor(kind, failing), retry=retry))):
        await eventually(recorder.count)
    waits = [later.at - earlier.at for earlier, later in pairwise(failing.attempts(0, 0))]
    assert len(waits) == 4
    assert all(wait >= least for wait, least in zip(waits, [0.05, 0.1, 0.2, 0.2], strict=True)), waits


async def test_a_record_inherits_no_attempts(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """Each record has all its attempts for itself, also after one that took nearly all of its own (D30)."""
    name = topic()
    await asyncio.to_thread(produce, name, *[b""] * 4)
    recorder = Recorder()
    failing = Failing({(0, at): [OSError("away") for _ in range(3)] for at in (1, 2)})
    retry = Retry(max_attempts=4, initial=0.02)
    async with running(runtime(at_least_once(name, recorder.processor(kind, failing), retry=retry))):
        await eventually(lambda: recorder.count() == 4)
    assert [failing.numbers(0, at) for at in range(4)] == [[1], [1, 2, 3, 4], [1, 2, 3, 4], [1]]


async def test_retry_later_names_its_own_wait(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """`RetryLater` waits as long as it says, not as the backoff does, and counts as an attempt (D30, D31)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"")
    recorder = Recorder()
    failing = Failing({(0, 0): [RetryLater(0.2)], (0, 1): [RetryLater(0.02) for _ in range(9)]})
    retry = Retry(max_attempts=3, initial=600, maximum=600)
    subscription = at_least_once(name, recorder.processor(kind, failing), retry=retry, on_failure=skip())
    member = runtime(subscription)
    async with running(member):
        await eventually(lambda: member.status().totals, lambda totals: totals.skipped == 1)
    first, second = failing.attempts(0, 0)
    assert second.at - first.at >= 0.2
    assert second.number == 2
    assert failing.numbers(0, 1) == [1, 2, 3]
    assert recorder.handled[0] == [0]


async def test_how_often_a_record_is_tried(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """`max_attempts`, `fatal`, `retryable` and `Reject` say how often a record is tried (D31)."""
    cases: dict[str, tuple[Retry, Exception, int]] = {
        "max_attempts": (Retry(max_attempts=3, initial=0.02), OSError("away"), 3),
        "fatal": (Retry(initial=0.02, fatal=(OSError, KeyError)), ConnectionError("away"), 1),
        "not retryable": (Retry(initial=0.02, retryable=OSError), ValueError("broken"), 1),
        "retryable": (Retry(max_attempts=2, initial=0.02, retryable=OSError), ConnectionError("away"), 2),
        "reject": (Retry(initial=0.02, retryable=Reject), Reject("broken"), 1),
    }
    recorders = {case: Recorder() for case in cases}
    failings = {case: Failing({(0, 1): itertools.repeat(error)}) for case, (_, error, _) in cases.items()}
    names = {case: topic() for case in cases}
    for name in names.values():
        await asyncio.to_thread(produce, name, b"", b"", b"")
    processors = {case: recorders[case].processor(kind, failings[case]) for case in cases}
    member = runtime(
        *(
            at_least_once(name, processors[case], retry=cases[case][0], on_failure=skip())
            for case, name in names.items()
        )
    )
    async with running(member):
        await eventually(lambda: all(2 in recorder.handled[0] for recorder in recorders.values()))
    assert {case: len(failing.attempts(0, 1)) for case, failing in failings.items()} == {
        case: tries for case, (_, _, tries) in cases.items()
    }
    assert all(recorder.handled[0] == [0, 2] for recorder in recorders.values())
    assert member.status().totals.skipped == len(cases)
    committed = [await asyncio.to_thread(kafka.admin.committed, group, name) for name in names.values()]
    assert committed == [{0: 3}] * len(cases)
