"""Connections that are cut, refused, slow or dead, and answers that are lost: the runtime goes on by itself (D71)."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from humus.queue.kafka import Runtime, at_least_once
from tests.integration.conftest import defaults
from tests.integration.fleet import Fleet
from tests.integration.service import Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic
from tests.kafka.proxy import CONSUMER_HEARTBEAT, OFFSET_COMMIT, Proxy
from tests.kafka.records import Record

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
    return re.sub(r"\(after \d+ms in state \w+\)|\d+/\d+ brokers|(?<=GroupCoordinator: )[\d.:]+: ", "", line)


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


async def test_a_heartbeat_that_is_answered_late(
    kafka: Kafka, proxy: Proxy, topic: MakeTopic, group: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After one heartbeat interval the client asks again with its old epoch, and is out: nothing is lost (D11, D43).

    The broker has raised the member's epoch in between, as another one has left (KIP-848): it fences the second try.
    """
    name = topic(2)
    stays, leaves = Recorder(), Recorder()
    options = defaults("consumer")
    late = Runtime(proxy.address, group, at_least_once(name, stays.processor("async")), librdkafka=SOON, **options)
    other = Runtime(kafka.bootstrap, group, at_least_once(name, leaves.processor("async")), **options)

    async def produce(count: int) -> None:
        records = [Record(b"", partition=at) for _ in range(count) for at in range(2)]
        await asyncio.to_thread(kafka.records.produce, name, *records)

    async def all_committed() -> None:
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0, within=60)

    async with running(late):
        async with running(other):
            await eventually(lambda: len(partitions(late)) == len(partitions(other)) == 1)
            await produce(20)
            await all_committed()
            await asyncio.to_thread(proxy.hold_back, CONSUMER_HEARTBEAT)
        (kept,) = partitions(late)
        await asyncio.to_thread(kafka.records.produce, name, *[Record(b"", partition=kept)] * 10)
        await eventually(lambda: len(stays.handled[kept]) == 30)
        seen = proxy.seen[CONSUMER_HEARTBEAT]
        await eventually(lambda: proxy.seen[CONSUMER_HEARTBEAT] > seen + 2, within=30)
        await asyncio.to_thread(proxy.pass_on)
        await eventually(lambda: late.status().totals.lost_partitions == 1, within=30)
        await eventually(lambda: len(partitions(late)) == 2, within=30)
        await produce(20)
        await all_committed()
    handled = {at: Counter(stays.handled[at]) + Counter(leaves.handled[at]) for at in range(2)}
    moved = 1 - kept
    assert handled[moved] == Counter(range(40))
    assert set(handled[kept]) == set(range(50))
    again = {offset for offset, count in handled[kept].items() if count > 1}
    assert again <= set(range(20, 30)), "no more than what could not be committed in between"
    assert any(f"{name}[{kept}]" in text and text.startswith("lost: ") for text in caplog.messages)
