"""What no processor may survive, and what looks like it and is an ordinary failure (D34)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from humus.errors import ProcessingFailed
from humus.queue.kafka import Message, Retry, Runtime, at_least_once, at_most_once, halt
from tests.integration.conftest import MakeRuntime, defaults
from tests.integration.failures import Failing
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh

pytestmark = [pytest.mark.asyncio, pytest.mark.parametrize("protocol", ["consumer"], indirect=True)]


class Custom(BaseException):
    """An exception that is no `Exception`."""


FATAL: tuple[Callable[[], BaseException], ...] = (
    lambda: SystemExit(0),
    KeyboardInterrupt,
    GeneratorExit,
    MemoryError,
    lambda: Custom("beyond repair"),
)


async def stopped_by(member: Runtime) -> ProcessingFailed:
    """Run the member until an error ends it, and return the error."""
    with pytest.raises(ProcessingFailed) as raised:
        await asyncio.wait_for(member.process_queue(), 60)
    return raised.value


@pytest.mark.parametrize("factory", [at_least_once, at_most_once])
async def test_what_is_no_exception_stops_the_runtime(
    factory: Callable[..., Any],
    kafka: Kafka,
    topic: MakeTopic,
    produce: Produce,
    protocol: Any,
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The runtime stops loudly at once; at least once the record is not committed, at most once it is (D34)."""
    errors = [make() for make in FATAL]
    names, groups = [topic() for _ in errors], [fresh("group") for _ in errors]
    recorders = [Recorder() for _ in errors]
    for name in names:
        await asyncio.to_thread(produce, name, *[b""] * 5)
    members = [
        Runtime(
            kafka.bootstrap,
            group,
            factory(name, recorder.processor(kind, Failing({(0, 2): [error]}))),
            **defaults(protocol),
        )
        for name, group, recorder, error in zip(names, groups, recorders, errors, strict=True)
    ]
    with caplog.at_level(logging.CRITICAL, "humus"):
        raised = await asyncio.gather(*map(stopped_by, members))

    assert [failed.__cause__ for failed in raised] == errors
    assert [(failed.topic, failed.partition, failed.offset) for failed in raised] == [(name, 0, 2) for name in names]
    assert sorted(vars(record)["error.type"] for record in caplog.records) == sorted(
        ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "MemoryError", f"{__name__}.Custom"]
    )
    committed = [(await asyncio.to_thread(kafka.admin.committed, *at)).get(0) for at in zip(groups, names, strict=True)]
    assert [recorder.started[0] for recorder in recorders] == [[0, 1, 2]] * len(errors)
    if factory is at_least_once:
        assert committed == [2] * len(errors)
    else:
        assert all(offset is not None and offset > 2 for offset in committed), committed


@pytest.mark.parametrize("factory", [at_least_once, at_most_once])
async def test_a_fatal_record_in_a_retry_stops_the_runtime(
    factory: Callable[..., Any], topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """It stops the runtime also where it comes at a later attempt (at most once there is none) (D34)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"")
    failing = Failing({(0, 0): [OSError("away"), SystemExit(0)], (0, 1): [SystemExit(0)]})
    retry = {"retry": Retry(initial=0.02)} if factory is at_least_once else {}
    failed = await stopped_by(runtime(factory(name, Recorder().processor(kind, failing), **retry)))
    assert isinstance(failed.__cause__, SystemExit)
    assert failed.offset == (0 if factory is at_least_once else 1)


async def test_what_is_an_ordinary_failure(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """`StopIteration`, and a `CancelledError` that nobody asked for, are failures like any other: tried again (D34)."""
    name = topic()
    await asyncio.to_thread(produce, name, *[b""] * 4)
    recorder = Recorder()
    failing = Failing(
        {(0, 1): [StopIteration(), StopIteration()], (0, 2): [asyncio.CancelledError(), asyncio.CancelledError()]}
    )
    member = runtime(at_least_once(name, recorder.processor(kind, failing), retry=Retry(initial=0.02)))
    async with running(member):
        await eventually(lambda: recorder.count() == 4)
    assert [failing.numbers(0, at) for at in range(4)] == [[1], [1, 2, 3], [1, 2, 3], [1]]
    assert recorder.handled[0] == [0, 1, 2, 3]


async def test_a_cancelled_task_of_the_processors_own_is_an_ordinary_failure(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """A processor that awaits a task which somebody cancelled has failed; it was not cancelled itself (D34)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"")
    handled: list[int] = []

    async def process(message: Message) -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait() if not handled else asyncio.sleep(0))
        if not attempts:
            attempts.append(message.offset)
            inner.cancel()
            await inner
        inner.cancel()
        handled.append(message.offset)

    attempts: list[int] = []
    async with running(runtime(at_least_once(name, process, retry=Retry(initial=0.02)))):
        await eventually(lambda: handled == [0, 1])
    assert attempts == [0]


async def test_an_awaitable_out_of_a_def_is_a_failure_that_says_so(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime
) -> None:
    """A `def` that returns a coroutine has not done its work: the record fails at once, and says why (D31)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"")

    async def work() -> None:
        pytest.fail("nobody awaits this")

    def process(message: Message) -> Any:
        return work() if message.offset == 1 else None

    member = runtime(at_least_once(name, process, retry=Retry(initial=0.02), on_failure=halt()))
    async with running(member):
        halted = (await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted"))[0]
    assert halted.failure is not None
    assert (halted.failure.offset, halted.failure.attempts) == (1, 1)
    assert "returned a coroutine, so its work was not done: declare it with async def" in halted.failure.reason
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 1}
