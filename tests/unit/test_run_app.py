"""`humus.testing.run_app`: a service runs until a condition holds, and stops as it would by a signal."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from humus import queue
from humus.errors import ConfigError, ProcessingFailed
from humus.queue import kafka
from humus.testing import KafkaBroker, kafka_broker, run_app


class Counting:
    """A runtime that counts, ten times a second; it ends at `last`, fails at `broken`, or when it is stopped."""

    def __init__(self, last: int | None = None, broken: int | None = None) -> None:
        self.count = 0
        self.ended = False
        self._last = last
        self._broken = broken
        self._stop = asyncio.Event()

    async def process_queue(self) -> None:
        """Count."""
        while not self._stop.is_set() and self.count != self._last:
            self.count += 1
            if self.count == self._broken:
                raise RuntimeError("broken")
            await asyncio.sleep(0.001)
        self.ended = True

    def stop(self) -> None:
        """Stop at the next number."""
        self._stop.set()


class Stubborn(Counting):
    """Does not stop when it is asked to."""

    def stop(self) -> None:
        """Do nothing."""


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    """One broker with the topic `orders` of 2 partitions."""
    with kafka_broker(topics={"orders": 2}) as running:
        yield running


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run in a loop of its own; whatever is left of the service is an error."""

    async def main() -> None:
        try:
            await coroutine
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_it_runs_until_the_condition_holds_and_stops() -> None:
    """The service runs while the condition is false, and has ended gracefully when `run_app` returns."""
    runtime = Counting()
    run(run_app(queue.App(runtime), until=lambda: runtime.count >= 5))
    assert runtime.count >= 5
    assert runtime.ended


def test_a_runtime_is_a_service_too() -> None:
    """One runtime needs no App around it; the condition may be a coroutine."""
    runtime = Counting()

    async def counted() -> bool:
        await asyncio.sleep(0)
        return runtime.count >= 5

    run(run_app(runtime, until=counted))
    assert runtime.ended


def test_what_the_service_raises_is_raised() -> None:
    """A service that fails ends the wait with its own error."""
    with pytest.raises(RuntimeError, match="broken"):
        run(run_app(Counting(broken=3), until=lambda: False))


def test_an_error_at_the_stop_is_raised_although_the_condition_held() -> None:
    """What fails on the way out is no success."""

    def fail() -> None:
        raise RuntimeError("at the end")

    with pytest.raises(RuntimeError, match="at the end"):
        run(run_app(queue.App(Counting(), on_shutdown=[fail]), until=lambda: True))


def test_what_the_condition_raises_is_raised() -> None:
    """A condition that fails stops the service, and is told with what the service ended with."""
    runtime = Counting()

    def fail() -> None:
        raise LookupError("in the service")

    def until() -> bool:
        if runtime.count >= 2:
            raise ZeroDivisionError("in the test")
        return False

    with pytest.raises(ZeroDivisionError, match="in the test") as error:
        run(run_app(queue.App(runtime, on_shutdown=[fail]), until=until))
    assert error.value.__notes__ == ["run_app: and the service ended with LookupError: in the service"]
    assert runtime.ended


def test_a_condition_that_does_not_hold_is_an_error_in_time() -> None:
    """The wait has an end, and the service is stopped."""
    runtime = Counting()
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"within 0\.2 s; its state:\n  Counting: says nothing of its state"):
        run(run_app(runtime, until=lambda: False, within=0.2))
    assert 0.2 <= time.monotonic() - began < 5
    assert runtime.ended


def test_a_condition_that_hangs_is_an_error_in_time() -> None:
    """An `async def` condition is part of the bounded wait."""

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(AssertionError, match="did not hold within"):
        run(run_app(Counting(), until=hang, within=0.1))


def test_a_service_that_ends_by_itself_is_no_success() -> None:
    """A queue that ends before the condition holds ends the wait; what it did last counts."""
    began = time.monotonic()
    with pytest.raises(AssertionError, match="when the service ended by itself"):
        run(run_app(Counting(last=3), until=lambda: False))
    assert time.monotonic() - began < 5, "not the 10 s that the condition might have taken"
    short = Counting(last=3)
    run(run_app(short, until=lambda: short.ended))


def test_a_service_that_does_not_stop_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time the stop is cut short, and the test goes on."""
    monkeypatch.setattr("humus.testing._run_app._STOPS_WITHIN", 0.1)
    runtime = Stubborn()
    with pytest.raises(AssertionError, match=r"not stopped within 0\.1 s"):
        run(run_app(runtime, until=lambda: runtime.count >= 2))


def test_cancelling_it_stops_the_service() -> None:
    """The test's own time-out leaves no service behind."""
    runtime = Counting()
    with pytest.raises(TimeoutError):
        run(asyncio.wait_for(run_app(runtime, until=lambda: False), 0.1))
    assert runtime.ended


class Config(queue.Config):
    """A configuration with one key of its own."""

    start: int


async def _generator(cfg: Config, seen: list[object]) -> AsyncIterator[queue.App]:
    seen.append(cfg.start)
    yield queue.App(Counting(last=3))
    seen.append("closed")


def test_init_is_called_as_by_run(tmp_path: Path) -> None:
    """An `init` gets its configuration out of the file, and what follows its `yield` runs at the end."""
    (tmp_path / "config.yaml").write_text("start: 7")
    seen: list[object] = []

    def init(cfg: Config) -> AsyncIterator[queue.App]:
        return _generator(cfg, seen)

    run(run_app(init, queue.yaml_source(tmp_path / "config.yaml"), until=lambda: seen == [7]))
    run(run_app(init, Config(start=8), until=lambda: True))
    assert seen == [7, "closed", 8, "closed"]


def test_what_follows_the_yield_runs_after_a_failure() -> None:
    """A service that fails is closed as one that does not."""
    seen = []

    def init() -> Iterator[queue.App]:
        yield queue.App(Counting(broken=1))
        seen.append("closed")

    with pytest.raises(RuntimeError, match="broken"):
        run(run_app(init, until=lambda: False))
    assert seen == ["closed"]


def test_an_init_that_hangs_is_an_error_in_time() -> None:
    """`init` is part of the bounded wait."""

    async def init() -> queue.App:
        await asyncio.Event().wait()
        return queue.App(Counting())

    with pytest.raises(AssertionError, match="init has not returned"):
        run(run_app(init, until=lambda: True, within=0.1))


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (lambda: run_app(Counting(), until=True), "until must be a function"),  # type: ignore[arg-type]
        (lambda: run_app(Counting(), until=bool, within=0), "within must be above 0"),
        (lambda: run_app(Counting(), Config(start=1), until=bool), "config is what init is called with"),
        (lambda: run_app(lambda cfg: queue.App(), until=bool), "annotate its parameter"),  # noqa: ARG005
        (lambda: run_app(3, until=bool), "init must be a function"),  # type: ignore[arg-type]
    ],
)
def test_arguments_that_cannot_work_are_refused(start: Callable[[], Coroutine[Any, Any, None]], says: str) -> None:
    """Each is a `ConfigError` that says what is wanted."""

    async def main() -> None:
        await start()

    with pytest.raises(ConfigError, match=says):
        run(main())


def test_an_init_without_its_configuration_is_refused() -> None:
    """The error names the configuration that is missing."""

    def init(cfg: Config) -> queue.App:
        raise AssertionError(cfg)

    with pytest.raises(ConfigError, match="give a Config"):
        run(run_app(init, until=lambda: True))


def test_a_service_on_the_broker_commits_what_it_handled(broker: KafkaBroker) -> None:
    """D60: when `run_app` returns, all that the condition saw is committed, and the member has left."""
    seen: list[bytes | None] = []

    async def process(msg: kafka.Message) -> None:
        seen.append(msg.value)

    broker.produce("orders", *map(str, range(10)), partition=1)
    runtime = kafka.Runtime(broker.brokers, "g", kafka.at_least_once("orders", process))
    run(run_app(runtime, until=lambda: len(seen) == 10))
    assert broker.committed("g", "orders") == {1: 10}
    assert runtime.status().state == "stopped"


def test_the_error_names_the_state_of_the_partitions(broker: KafkaBroker) -> None:
    """Which partition stands where, and why: the test's reader needs no log."""

    async def process(msg: kafka.Message) -> None:
        if msg.offset == 1:
            raise kafka.Reject("no such customer")

    broker.produce("orders", "a", "b", "c", partition=0)
    runtime = kafka.Runtime(broker.brokers, "g", kafka.at_least_once("orders", process))
    with pytest.raises(AssertionError) as error:
        run(run_app(runtime, until=lambda: False, within=3))
    said = str(error.value)
    assert "run_app: the condition did not hold within 3 s; its state:\n  group g: running, 1 handled of " in said
    assert "orders[0]: halted, position 1, committed 1, lag 2" in said
    assert "record 1 failed 1 times, last with humus.queue.kafka.Reject: no such customer" in said
    assert "orders[1]: running, " in said
    assert "problem: orders[0]@1: halted: no such customer" in said


def test_a_record_that_shuts_the_service_down_is_raised(broker: KafkaBroker) -> None:
    """D31: what `shut_down()` ends the runtime with ends the wait."""

    def process(_msg: kafka.Message) -> None:
        raise kafka.Reject("no such customer")

    broker.produce("orders", "a")
    orders = kafka.at_least_once("orders", process, on_failure=kafka.shut_down())
    with pytest.raises(ProcessingFailed, match="no such customer"):
        run(run_app(kafka.Runtime(broker.brokers, "g", orders), until=lambda: False))
