"""Connections that are cut, refused, slow or dead, and answers that are lost: the runtime goes on by itself (D71)."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration.fleet import Fleet
from tests.kafka.access import Kafka
from tests.kafka.proxy import OFFSET_COMMIT, Proxy

pytestmark = pytest.mark.asyncio

SOON = {"reconnect.backoff.max.ms": 500}
"""The client waits up to 10 s before it connects again: longer than a test likes to."""


@pytest.fixture
def proxy(kafka: Kafka) -> Iterator[Proxy]:
    """Stand between the members and the broker."""
    (broker,) = kafka.cluster.brokers
    with Proxy(broker.place) as standing:
        yield standing


def state_of(line: str) -> str:
    """Return which state a line tells of: the client puts how long it took, and how many brokers, into the words."""
    return re.sub(r"\(after \d+ms in state \w+\)|\d+/\d+ brokers", "", line)


async def test_connections_that_are_cut_refused_and_slow(
    kafka: Kafka, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Shorter than a session they cost nothing: every record exactly once, a line a change of state (D70, D71)."""
    async with Fleet.at_sea(kafka, proxy.address, librdkafka=SOON) as fleet:
        await fleet.works()
        for _ in range(3):
            await fleet.produce(20)
            await asyncio.to_thread(proxy.cut)
        await fleet.works()
        await asyncio.to_thread(proxy.slow_down, 20_000)
        await fleet.works()
        await asyncio.to_thread(proxy.pass_on)
        await fleet.is_well()
        with caplog.at_level(logging.INFO, "humus.kafka.runtime"):
            caplog.clear()
            await asyncio.to_thread(proxy.refuse)
            await fleet.until(lambda ship: ship.status().problems)
            await asyncio.to_thread(proxy.pass_on)
            await fleet.works()
            await fleet.is_well()
        fleet.assert_each_exactly_once()
        assert {ship.status().totals.lost_partitions for ship in fleet.ships} == {0}
    lines = Counter(state_of(record.getMessage()) for record in caplog.records)
    lines = Counter({state: count for state, count in lines.items() if not state.startswith("commit refused")})
    assert max(lines.values()) <= len(fleet.ships), "a line a member and change of state, not a try"
    assert len(lines) <= 2 * 4, "the broker's two names, its coordinator, and all brokers: gone and back"


async def test_connections_that_are_dead_for_longer_than_a_session(kafka: Kafka, proxy: Proxy) -> None:
    """The members are out of their groups, say what is wrong, and take part again by themselves (D43, D70, D71)."""
    async with Fleet.at_sea(kafka, proxy.address, librdkafka=SOON) as fleet:
        await fleet.works()
        await fleet.produce(200)
        await fleet.until(lambda ship: ship.recorder.count() > 50)
        await asyncio.to_thread(proxy.stand_still)
        await fleet.until(lambda ship: ship.status().problems)
        await fleet.until(lambda ship: not kafka.admin.members(ship.name))
        await asyncio.to_thread(proxy.pass_on)
        await fleet.works()
        await fleet.is_well()
        fleet.assert_kept()


async def test_the_answers_to_commits_are_lost(kafka: Kafka, proxy: Proxy) -> None:
    """They are in force and nobody says so: no record is repeated or left out, and commits go on (D12, D20)."""
    impatient = {"socket.timeout.ms": 1200, "fetch.wait.max.ms": 100}
    async with Fleet.at_sea(kafka, proxy.address, librdkafka=impatient) as fleet:
        await fleet.works()
        await asyncio.to_thread(proxy.swallow, OFFSET_COMMIT)
        await fleet.produce(20)
        await fleet.until(lambda ship: ship.status().totals.commits_refused)
        await asyncio.to_thread(proxy.pass_on)
        await fleet.works()
        await asyncio.to_thread(proxy.swallow, OFFSET_COMMIT)
        swallowed = proxy.swallowed
        await fleet.produce(20)
        await fleet.until(lambda _ship: proxy.swallowed >= swallowed + len(fleet.ships))
        await asyncio.to_thread(proxy.pass_on)
        await asyncio.to_thread(proxy.cut)
        await fleet.works()
        await fleet.is_well()
        fleet.assert_each_exactly_once()
        assert {ship.status().totals.lost for ship in fleet.ships} == {0}
