"""A partition that comes back while a handler that the drain left behind still runs on it (D41, D42)."""

import asyncio
import logging
import threading
from itertools import pairwise

import pytest

from humus.queue.kafka import Message, at_least_once
from tests.integration.commit_log import commits
from tests.integration.conftest import MakeRuntime
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio

PARTITIONS, EACH, STOP_AT, MORE = 2, 20, 5, 4


class Stubborn:
    """Work that stands still at one offset until the gate opens, whoever asks it to end."""

    def __init__(self, kind: Kind) -> None:
        self.gate = threading.Event()
        self.waiting: set[int] = set()
        self.cancelled = 0
        self._kind = kind

    def __call__(self, message: Message) -> "asyncio.Future[None] | None":
        """Do nothing, or wait."""
        if message.offset != STOP_AT:
            return None
        self.waiting.add(message.partition)
        if self._kind == "async":
            return asyncio.ensure_future(self._wait())
        self.gate.wait()
        return None

    async def _wait(self) -> None:
        while not self.gate.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                self.cancelled += 1


@pytest.mark.parametrize(("kind", "protocol"), [("async", "consumer"), ("def", "classic")], indirect=True)
async def test_the_new_epoch_waits_for_the_handler_left_behind(
    kafka: Kafka,
    topic: MakeTopic,
    produce: Produce,
    group: str,
    runtime: MakeRuntime,
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It holds its partition alone back, and its end neither commits nor moves what came after it (D41, D42)."""
    caplog.set_level(logging.INFO, "humus.kafka.runtime")
    name = topic(PARTITIONS)
    await asyncio.to_thread(produce, name, *(Record(b"", partition=at % PARTITIONS) for at in range(PARTITIONS * EACH)))
    stubborn, old, new = Stubborn(kind), Recorder(), Recorder()
    staying = runtime(at_least_once(name, old.processor(kind, stubborn)), drain_timeout=0.5, rebalance_timeout=100)
    joining = runtime(at_least_once(name, new.processor(kind)))
    try:
        async with running(staying):
            await eventually(lambda: stubborn.waiting == set(range(PARTITIONS)))
            async with running(joining):
                await eventually(lambda: [at for at, offsets in new.handled.items() if len(offsets) == EACH - STOP_AT])
                await eventually(lambda: EACH in kafka.admin.committed(group, name).values())
            (moved,) = new.handled
            await asyncio.to_thread(produce, name, *[b""] * MORE, partition=moved)
            waiting = await eventually(
                lambda: partitions(staying).get(moved), lambda at: at is not None and at.in_flight == MORE
            )
            assert waiting is not None
            assert (waiting.state, waiting.position) == ("waiting", EACH)
            assert old.started[moved] == list(range(STOP_AT + 1))
            assert old.running() == {0, 1}

            stubborn.gate.set()
            await eventually(lambda: old.handled[moved][-1:] == [EACH + MORE - 1])
            await eventually(lambda: len(old.handled[1 - moved]) == EACH)
    finally:
        stubborn.gate.set()
    assert old.started[moved] == [*range(STOP_AT + 1), *range(EACH, EACH + MORE)]
    assert new.started == {moved: list(range(STOP_AT, EACH))}
    assert old.started[1 - moved] == list(range(EACH))
    assert old.overlaps == []
    assert stubborn.cancelled == (kind == "async")
    written = [commit.offset for commit in commits(kafka, group, name) if commit.partition == moved]
    assert all(earlier < later for earlier, later in pairwise(written)), written
    assert written[-1] == EACH + MORE
    for line in (
        "waits for a handler of an earlier epoch that still runs",
        "the handler of an earlier epoch has ended",
    ):
        assert f"{name}[{moved}]: {line}" in caplog.text
