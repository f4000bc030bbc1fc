"""Members of groups of every kind inside a test, all by way of one proxy or broker, and what they handled.

What disturbs the connection disturbs all of them: each combination of protocol, kind of processor and semantic comes
through the same fault in one test.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from typing import Any, Final, get_args

from humus.queue.kafka import Runtime, RuntimeStatus, at_least_once, at_most_once
from tests.integration.conftest import defaults
from tests.integration.service import Kind, Protocol, Recorder, Work, eventually, running
from tests.kafka.access import Kafka
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

__all__ = ["Fleet", "Ship"]

_FACTORIES: Final = {"at-least-once": at_least_once, "at-most-once": at_most_once}


class Ship:
    """One member, alone in its group, with a topic of the group's name."""

    def __init__(
        self, bootstrap: str, protocol: Protocol, kind: Kind, semantic: str, work: Work | None, **options: Any
    ) -> None:
        self.name = fresh(f"{semantic}-{kind}-{protocol}")
        self.semantic = semantic
        self.recorder = Recorder()
        subscription = _FACTORIES[semantic](self.name, self.recorder.processor(kind, work))
        self.member = Runtime(bootstrap, self.name, subscription, **{**defaults(protocol), **options})

    def status(self) -> RuntimeStatus:
        """Return the member's status."""
        return self.member.status()


class Fleet:
    """All of them; `kafka` is who the test itself talks to, and may be changed."""

    def __init__(self, kafka: Kafka, bootstrap: str, partitions: int, work: Work | None, **options: Any) -> None:
        self.ships = [
            Ship(bootstrap, protocol, kind, semantic, work, **options)
            for protocol, kind, semantic in product(get_args(Protocol), get_args(Kind), _FACTORIES)
        ]
        self.each = 0
        self.kafka = kafka
        self._partitions = range(partitions)

    @classmethod
    @asynccontextmanager
    async def at_sea(
        cls, kafka: Kafka, bootstrap: str, *, partitions: int = 2, work: Work | None = None, **options: Any
    ) -> "AsyncIterator[Fleet]":
        """Run all members during the block; the test itself talks to `kafka`, they to `bootstrap`."""
        fleet = cls(kafka, bootstrap, partitions, work, **options)
        for ship in fleet.ships:
            await asyncio.to_thread(kafka.admin.create_topic, ship.name, partitions)
        async with AsyncExitStack() as stack:
            for ship in fleet.ships:
                await stack.enter_async_context(running(ship.member))
            yield fleet

    async def produce(self, each: int) -> None:
        """Put so many more records into every partition of every topic."""
        records = [Record(b"", partition=at) for _ in range(each) for at in self._partitions]
        for ship in self.ships:
            await asyncio.to_thread(self.kafka.records.produce, ship.name, *records)
        self.each += each

    async def works(self, *, within: float = 60.0) -> None:
        """Produce records, and wait until every group has handled and committed all that there is."""
        await self.produce(20)
        await self.until(lambda ship: self.kafka.admin.lag(ship.name, ship.name) == 0, within=within)
        await self.until(lambda ship: ship.recorder.running() == set())

    async def until(self, holds: Callable[[Ship], object], *, within: float = 60.0) -> None:
        """Wait until something holds for every ship."""
        await eventually(
            lambda: [(ship.name, ship.status().problems) for ship in self.ships if not holds(ship)],
            lambda left: not left,
            within=within,
        )

    async def is_well(self) -> None:
        """Wait until no member has a problem."""
        await self.until(lambda ship: not ship.status().problems)

    def assert_each_exactly_once(self) -> None:
        """Every record was begun once and handled, in order."""
        for ship in self.ships:
            expected = {at: list(range(self.each)) for at in self._partitions}
            assert ship.recorder.started == ship.recorder.handled == expected, ship.name
            assert ship.recorder.overlaps == [], ship.name

    def assert_kept(self) -> None:
        """At least once nothing is lost, at most once nothing came twice, and what was lost is counted."""
        for ship in self.ships:
            for at in self._partitions:
                handled = Counter(ship.recorder.handled[at])
                missing = set(range(self.each)) - set(handled)
                if ship.semantic == "at-least-once":
                    assert not missing, ship.name
                else:
                    assert max(Counter(ship.recorder.started[at]).values()) == 1, ship.name
            assert ship.recorder.overlaps == [], ship.name
