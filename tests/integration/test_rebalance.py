"""Partitions that are given back: the record in flight finishes and is committed, then the other member begins."""

import asyncio
import threading
import time
from typing import Self

import pytest

from humus.queue.kafka import Delivery, Message, Runtime, at_least_once, at_most_once, current
from tests.integration.conftest import MakeRuntime
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio

PARTITIONS = 2
EACH = 40
STOP_AT = 10


class Gate:
    """Work that stands still at one offset of every partition until the test lets it go on, asynchronously or not.

    A context manager, at whose end it is open, so that a test that fails need not wait for it.
    """

    def __init__(self, kind: Kind, at: int) -> None:
        self.deliveries: dict[int, Delivery] = {}
        self.cancelled: list[int] = []
        self.ended: list[int] = []
        self._kind = kind
        self._at = at
        self._open = {partition: threading.Event() for partition in range(PARTITIONS)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.open(*self._open)

    def __call__(self, message: Message) -> "asyncio.Future[None] | None":
        """Do nothing, or wait."""
        if message.offset != self._at:
            return None
        self.deliveries[message.partition] = current()
        if self._kind == "async":
            return asyncio.ensure_future(self._wait(message.partition))
        self._open[message.partition].wait()
        self.ended.append(message.partition)
        return None

    async def _wait(self, partition: int) -> None:
        try:
            while not self._open[partition].is_set():  # noqa: ASYNC110 - opened for both kinds alike
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled.append(partition)
            raise
        self.ended.append(partition)

    def open(self, *which: int) -> None:
        """Let these partitions go on."""
        for partition in which:
            self._open[partition].set()

    def stopping(self) -> list[int]:
        """Return the partitions whose waiting processor is told to come to an end."""
        return [partition for partition, delivery in self.deliveries.items() if delivery.stopping]


def states(member: Runtime) -> dict[int, str]:
    """Return the state of each of the member's partitions."""
    return {partition: status.state for partition, status in partitions(member).items()}


async def all_waiting(member: Runtime, gate: Gate) -> None:
    """Wait until every partition has a record in flight, and all of its records buffered."""
    await eventually(lambda: len(gate.deliveries) == PARTITIONS)
    await eventually(
        lambda: partitions(member), lambda at: all(status.in_flight >= EACH - STOP_AT for status in at.values())
    )


async def test_the_record_in_flight_finishes_before_its_partition_moves(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """The other member starts exactly behind the record that was in flight; retained partitions go on (D40, D44)."""
    name = topic(PARTITIONS)
    await asyncio.to_thread(produce, name, *(Record(b"", partition=at % PARTITIONS) for at in range(PARTITIONS * EACH)))
    gate, old, new = Gate(kind, STOP_AT), Recorder(), Recorder()
    # No regular commit comes in between: what is committed, the revoke has committed.
    patient = {"drain_timeout": 60, "rebalance_timeout": 150, "commit_interval": 600}
    staying = runtime(at_least_once(name, old.processor(kind, gate)), **patient)
    joining = runtime(at_least_once(name, new.processor(kind)))
    async with running(staying):
        with gate:
            await all_waiting(staying, gate)
            async with running(joining):
                (moving,) = await eventually(gate.stopping)
                retained = 1 - moving
                await eventually(lambda: states(staying).get(moving) == "draining")

                gate.open(retained)
                await eventually(lambda: len(old.handled[retained]) == EACH)
                assert states(staying).get(moving) == "draining"
                assert new.started == {}

                gate.open(moving)
                await eventually(lambda: len(new.handled[moving]) == EACH - STOP_AT - 1)
                await asyncio.to_thread(produce, name, *[b""] * 5, partition=retained)
                await eventually(lambda: len(old.handled[retained]) == EACH + 5)
                assert not gate.deliveries[retained].stopping
    assert old.handled[moving] == list(range(STOP_AT + 1))
    assert new.started == {moving: list(range(STOP_AT + 1, EACH))}
    assert old.started[retained] == list(range(EACH + 5))
    assert gate.cancelled == []
    if kind == "def":  # one thread an epoch, so it is still the same epoch
        assert len(old.threads[retained]) == 1
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {moving: EACH, retained: EACH + 5}


async def test_a_slow_handler_delays_a_rebalance_by_the_drain_timeout(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """At the deadline an async handler is cancelled, a def left behind; its record comes again (D2, D40, D41)."""
    name = topic(PARTITIONS)
    await asyncio.to_thread(produce, name, *(Record(b"", partition=at % PARTITIONS) for at in range(PARTITIONS * EACH)))
    gate, old, new = Gate(kind, STOP_AT), Recorder(), Recorder()
    staying = runtime(at_least_once(name, old.processor(kind, gate)), drain_timeout=1, rebalance_timeout=100)
    joining = runtime(at_least_once(name, new.processor(kind)))
    async with running(staying):
        with gate:
            await all_waiting(staying, gate)
            async with running(joining):
                (moving,) = await eventually(gate.stopping)
                told = time.monotonic()
                await eventually(lambda: len(new.handled[moving]) == EACH - STOP_AT)
                taken = time.monotonic() - told
                assert 0.9 < taken < 30, taken  # far from the rebalance time-out

                # What was left behind ends now: nobody counts on it any more.
                gate.open(moving, 1 - moving)
                await eventually(lambda: len(old.handled[1 - moving]) == EACH)
                await eventually(lambda: gate.cancelled if kind == "async" else moving in gate.ended)
    assert gate.cancelled == ([moving] if kind == "async" else [])
    assert old.started[moving] == list(range(STOP_AT + 1))
    assert new.started == {moving: list(range(STOP_AT, EACH))}
    assert old.started[1 - moving] == list(range(EACH))
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == dict.fromkeys(range(PARTITIONS), EACH)


@pytest.mark.parametrize("protocol", ["consumer"], indirect=True)
async def test_at_most_once_what_a_revoke_cuts_off_does_not_come_again(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """Committed records that a drain leaves unhandled are counted and named, and do not come again (D23)."""
    name = topic(PARTITIONS)
    await asyncio.to_thread(produce, name, *(Record(b"", partition=at % PARTITIONS) for at in range(PARTITIONS * EACH)))
    gate, old, new = Gate(kind, STOP_AT), Recorder(), Recorder()
    staying = runtime(at_most_once(name, old.processor(kind, gate)), drain_timeout=0.5, rebalance_timeout=100)
    joining = runtime(at_most_once(name, new.processor(kind)))
    async with running(staying):
        with gate:
            await all_waiting(staying, gate)
            async with running(joining):
                (moving,) = await eventually(gate.stopping)
                await eventually(lambda: EACH - 1 in new.handled[moving])
                gate.open(moving, 1 - moving)
                await eventually(lambda: len(old.handled[1 - moving]) == EACH)
                first = new.started[moving][0]
                # The record that a def was left behind with is handled in the end.
                cut_off = list(range(STOP_AT + (kind == "def"), first))
                await eventually(lambda: staying.status().totals.lost, len(cut_off).__eq__)
    assert cut_off
    assert old.started[moving] == list(range(STOP_AT + 1))
    assert new.started == {moving: list(range(first, EACH))}
    assert old.started[1 - moving] == list(range(EACH))
    offsets = f"{cut_off[0]}-{cut_off[-1]}" if len(cut_off) > 1 else str(cut_off[0])
    assert f"{len(cut_off)} committed records are not handled and lost: offsets {offsets}" in caplog.text
