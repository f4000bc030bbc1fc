"""`humus.testing.deliver` and `message`: a processor's fate without a broker."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from humus.errors import ConfigError, HumusError
from humus.queue import kafka
from humus.testing import Outcome, deliver, message


def run(processor: Callable[[kafka.Message], Any], *messages: kafka.Message, **options: Any) -> list[Outcome]:
    """Deliver in a loop of its own."""
    return asyncio.run(deliver(processor, *messages, **options))


def as_async(function: Callable[[kafka.Message], Any]) -> Callable[[kafka.Message], Any]:
    """Make an `async def` processor of a plain one."""

    async def processor(msg: kafka.Message) -> None:
        function(msg)

    return processor


def as_plain(function: Callable[[kafka.Message], Any]) -> Callable[[kafka.Message], Any]:
    """Leave a plain processor as it is."""
    return function


both = pytest.mark.parametrize("kind", [as_async, as_plain])


@both
def test_messages_are_handled_in_order(kind: Callable[..., Any]) -> None:
    """Every message is handed over once, in the order given."""
    seen: list[bytes | None] = []
    outcomes = run(kind(lambda msg: seen.append(msg.value)), message("a"), message("b", offset=1), message(None))
    assert seen == [b"a", b"b", None]
    assert [(outcome.result, outcome.attempts) for outcome in outcomes] == [("handled", 1)] * 3


@both
def test_retry_counts_attempts_and_does_not_wait(kind: Callable[..., Any]) -> None:
    """D30: a failed attempt is repeated after the backoff, which is told and not waited."""
    attempts: list[int] = []

    def flaky(_msg: kafka.Message) -> None:
        attempts.append(kafka.current().attempt)
        if len(attempts) < 3:
            raise RuntimeError("not yet")

    [outcome] = run(kind(flaky), message(), retry=kafka.Retry(initial=100, maximum=1000, jitter=0))
    assert attempts == [1, 2, 3]
    assert outcome.result == "handled"
    assert outcome.waits == (100.0, 200.0)
    assert (outcome.error_type, outcome.reason) == ("RuntimeError", "not yet")


@both
@pytest.mark.parametrize(
    ("policy", "result", "delivered"),
    [(kafka.halt(), "halted", 1), (kafka.skip(), "skipped", 2), (kafka.shut_down(), "shut_down", 1)],
)
def test_policy_decides_on_a_rejected_record(
    kind: Callable[..., Any], policy: kafka.FailurePolicy, result: str, delivered: int
) -> None:
    """D31: `Reject` goes straight to the failure policy; what stops the partition stops the delivery."""

    def reject(msg: kafka.Message) -> None:
        if msg.offset == 0:
            raise kafka.Reject("no good")

    outcomes = run(kind(reject), message(offset=0), message(offset=1), on_failure=policy)
    assert (outcomes[0].result, outcomes[0].attempts) == (result, 1)
    assert outcomes[0].reason == "no good"
    assert len(outcomes) == delivered


@both
def test_retry_later_waits_as_it_says(kind: Callable[..., Any]) -> None:
    """D31: `RetryLater` names its own wait, without jitter."""

    def later(_msg: kafka.Message) -> None:
        if kafka.current().attempt == 1:
            raise kafka.RetryLater(7)

    [outcome] = run(kind(later), message())
    assert (outcome.result, outcome.waits) == ("handled", (7.0,))


@both
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), GeneratorExit()])
def test_what_is_no_exception_stops_the_runtime(kind: Callable[..., Any], error: BaseException) -> None:
    """D34: what is no `Exception`, and `MemoryError`, is neither retried nor swallowed."""

    def fatal(_msg: kafka.Message) -> None:
        raise error

    [outcome] = run(kind(fatal), message())
    assert (outcome.result, outcome.attempts) == ("shut_down", 1)
    assert outcome.error_type == type(error).__name__


@both
@pytest.mark.parametrize("error", [StopIteration(), asyncio.CancelledError()])
def test_odd_exceptions_are_ordinary_failures(kind: Callable[..., Any], error: BaseException) -> None:
    """D34: `StopIteration`, and a cancellation nobody asked for, count as failures and are tried again."""

    def odd(_msg: kafka.Message) -> None:
        raise error

    [outcome] = run(kind(odd), message(), on_failure=kafka.skip())
    assert (outcome.result, outcome.attempts) == ("skipped", 3)


def test_an_awaitable_out_of_a_def_is_a_failure_that_says_so() -> None:
    """A `def` that returns a coroutine has done no work, and running it again would not help."""

    async def work() -> None:
        pass

    [outcome] = run(lambda _msg: work(), message())
    assert (outcome.result, outcome.attempts) == ("halted", 1)
    assert outcome.reason is not None
    assert "async def" in outcome.reason


def test_a_wrong_processor_is_a_config_error() -> None:
    """A thing without `process` is refused before anything is delivered."""
    with pytest.raises(ConfigError, match="no processor"):
        run(object(), message())  # type: ignore[arg-type]


def test_message_has_what_was_given() -> None:
    """Everything that a record has can be given, text as UTF-8."""
    when = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    built = message("v", key="k", headers=[("h", b"1"), ("h", None)], timestamp=when, topic="t", partition=3, offset=9)
    assert (built.topic, built.partition, built.offset, built.key, built.value) == ("t", 3, 9, b"k", b"v")
    assert built.headers == (kafka.Header("h", b"1"), kafka.Header("h", None))
    assert built.header("h") is None
    assert built.timestamp == when
    assert message().timestamp is None


def test_a_naive_timestamp_is_refused() -> None:
    """A time without a zone cannot be a record's."""
    with pytest.raises(ValueError, match="time zone"):
        message(timestamp=datetime(2026, 1, 2))


@both
def test_a_dead_letter_can_be_looked_at(kind: Callable[..., Any]) -> None:
    """D32: what would be written to the dead-letter topic is there to be tested, without a broker."""

    def refuse(msg: kafka.Message) -> None:
        if msg.offset == 0:
            raise kafka.Reject("no good")

    poison = message("v", key="k", headers=[("h", b"1")], topic="orders", offset=0)
    first, second = run(kind(refuse), poison, message(offset=1), on_failure=kafka.dead_letter("orders.dlt"))
    assert (first.result, first.attempts, first.reason) == ("dead_lettered", 1, "no good")
    assert first.dead_letter is not None
    assert (first.dead_letter.topic, first.dead_letter.key, first.dead_letter.value) == ("orders.dlt", b"k", b"v")
    assert first.dead_letter.headers[0] == kafka.Header("h", b"1")
    assert first.dead_letter.header("humus.dlt.original.topic") == b"orders"
    assert first.dead_letter.header("humus.dlt.attempts") == b"1"
    assert first.dead_letter.header("humus.dlt.exception.message") == b"no good"
    assert first.dead_letter.header("no such header") is None
    assert (second.result, second.dead_letter) == ("handled", None)


@both
def test_a_retry_without_an_end_ends_the_test(kind: Callable[..., Any]) -> None:
    """What the runtime would try for ever is an error that says so, and no test that hangs."""

    def never(_msg: kafka.Message) -> None:
        raise RuntimeError("not ever")

    with pytest.raises(HumusError, match=r"test\[0\]@7.*failed 100 times.*max_attempts.*RuntimeError: not ever"):
        run(kind(never), message(offset=7), retry=kafka.Retry())


@both
def test_a_retry_without_an_end_may_succeed(kind: Callable[..., Any]) -> None:
    """Fewer than a hundred failures are no reason to give up."""

    def late(_msg: kafka.Message) -> None:
        if kafka.current().attempt < 100:
            raise RuntimeError("not yet")

    [outcome] = run(kind(late), message(), retry=kafka.Retry())
    assert (outcome.result, outcome.attempts) == ("handled", 100)


def test_a_delivery_that_is_cancelled_cancels_the_processor() -> None:
    """A test's own time-out around `deliver` leaves no task of an `async def` processor behind."""
    cancelled = []

    async def hang(_msg: kafka.Message) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def main() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(deliver(hang, message()), 0.05)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1, "the test's own task alone"
    assert cancelled == [True]


def test_a_delivery_that_is_cancelled_does_not_try_again_on_its_thread() -> None:
    """A `def` processor cannot be cut short; it is not run a second time either."""
    began, go_on, attempts = threading.Event(), threading.Event(), []

    def hang(_msg: kafka.Message) -> None:
        attempts.append(threading.current_thread())
        began.set()
        go_on.wait()
        raise RuntimeError("late")

    async def main() -> None:
        task = asyncio.create_task(deliver(hang, message()))
        await asyncio.to_thread(began.wait)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(main())
    go_on.set()
    attempts[0].join(5)
    assert len(attempts) == 1
