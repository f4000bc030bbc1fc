"""Members that come and go under load: nothing is lost, nothing comes twice, everything in order (D40, D44)."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import chain, cycle
from typing import Any

import pytest

from humus.queue.kafka import Runtime, at_least_once, at_most_once
from tests.integration.conftest import MakeRuntime
from tests.integration.load import load
from tests.integration.service import Kind, Protocol, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic

pytestmark = pytest.mark.asyncio

PARTITIONS = 8
KINDS: tuple[Kind, ...] = ("async", "def")


class Members:
    """The group's members, each with its way out."""

    def __init__(self, make: Callable[[Kind], Runtime]) -> None:
        self._make = make
        self._kinds = cycle(KINDS)
        self._members: list[tuple[Runtime, AsyncExitStack]] = []

    async def change(self, step: str) -> None:
        """Let members join (j) and the oldest ones leave (l), all at once; wait until everybody has its partitions."""
        leaving = [self._members.pop(0) for _ in range(step.count("l"))]
        for member, _ in leaving:
            member.stop()
        for _ in range(step.count("j")):
            stack = AsyncExitStack()
            member = self._make(next(self._kinds))
            await stack.enter_async_context(running(member, stops_within=60))
            self._members.append((member, stack))
        for _, stack in leaving:
            await stack.aclose()
        await self._steady()

    async def all_leave(self) -> None:
        """Let all members leave at once."""
        for member, _ in self._members:
            member.stop()
        while self._members:
            await self._members.pop()[1].aclose()

    async def _steady(self) -> None:
        await eventually(
            lambda: [[at.partition for at in member.status().partitions] for member, _ in self._members],
            lambda shares: all(shares) and sorted(chain(*shares)) == list(range(PARTITIONS)),
            within=60,
        )

    @property
    def lost(self) -> int:
        """How many times partitions of members still there were taken away, not given back."""
        return sum(member.status().totals.lost_partitions for member, _ in self._members)


STORMS = [
    pytest.param(at_least_once, 25_000, "jj j l jj ll jl j l", id="at_least_once"),
    pytest.param(at_most_once, 2_000, "j jj l jl", id="at_most_once"),
]


@pytest.mark.parametrize(("factory", "rate", "steps"), STORMS)
async def test_members_come_and_go_under_load(
    factory: Callable[..., Any],
    rate: int,
    steps: str,
    kafka: Kafka,
    topic: MakeTopic,
    protocol: Protocol,
    group: str,
    runtime: MakeRuntime,
) -> None:
    """Every record is handled exactly once, in order, whoever had its partition; all is committed (D40, D44, D23)."""
    name = topic(PARTITIONS)
    everybody = Recorder()
    # Kafka tells a member of a rebalance with the answer to its heartbeat: at a third of the session time-out.
    soon = {"session_timeout": 4} if protocol == "classic" else {}
    members = Members(lambda kind: runtime(factory(name, everybody.processor(kind)), **soon))
    with load(kafka.bootstrap, name, PARTITIONS, rate=rate) as records:
        for step in steps.split():
            await members.change(step)
            handled = everybody.count()
            await eventually(everybody.count, handled.__lt__)  # it goes on
        assert members.lost == 0
        await asyncio.to_thread(records.stop)
        await eventually(everybody.count, lambda count: count >= records.count, within=60)
    await members.all_leave()
    assert everybody.handled == records.offsets
    assert everybody.overlaps == []
    assert await asyncio.to_thread(kafka.admin.lag, group, name) == 0
