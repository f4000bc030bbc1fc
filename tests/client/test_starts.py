"""Where a partition begins: what the client's own search for a start does, and how to do without (D1)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, partitions, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.proxy import LIST_OFFSETS, Proxy

_PARTITIONS, _EACH, _COMMITTED = 4, 10, 5


@pytest.fixture
def proxy(kafka: Kafka) -> Iterator[Proxy]:
    """Stand between the test's members and the broker."""
    (broker,) = kafka.cluster.brokers
    with Proxy(broker.place) as standing:
        yield standing


# -- what the client's own search for a start does: its answer comes when the partition has left --------------------


def _left_while_searching(proxy: Proxy, join: Join, name: str, **config: Any) -> Member:
    """Return a client whose partition left while it searched, and came to be handled elsewhere meanwhile."""
    proxy.hold_back(LIST_OFFSETS)
    member = join(name, config={"bootstrap.servers": proxy.address, **config})
    poll_until(lambda: proxy.seen[LIST_OFFSETS], member)
    member.consumer.incremental_unassign([TopicPartition(name, 0)])
    assert member.commit_and_wait(name, {0: _COMMITTED}) is None
    proxy.pass_on()
    return member


def test_a_late_answer_makes_a_new_start_begin_again(
    proxy: Proxy, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """Begun anew at the committed offset, the partition is fetched from its beginning again half a second later."""
    name = topic()
    produce(name, *[b"x"] * _EACH)
    member = _left_while_searching(proxy, join, name)
    member.consumer.incremental_assign([TopicPartition(name, 0)])
    poll_until(lambda: len(member.received) >= 2 * _EACH - _COMMITTED, member)
    assert member.offsets(0) == [*range(_COMMITTED, _EACH), *range(_EACH)]


def test_a_late_answer_makes_it_fetch_what_is_not_assigned(
    proxy: Proxy, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """A partition that left is fetched all the same; the next start may let a first record of that through."""
    name = topic()
    told: list[str] = []
    produce(name, *[b"x"] * _EACH)
    member = _left_while_searching(proxy, join, name, **{"statistics.interval.ms": 200, "stats_cb": told.append})

    def fetched() -> bool:
        at = json.loads(told[-1])["topics"].get(name, {}).get("partitions", {}).get("0", {}) if told else {}
        return (at.get("fetch_state"), at.get("rxmsgs")) == ("active", _EACH)

    poll_until(fetched, member)
    assert member.assigned() == ()
    assert member.received == []


# -- how to do without: nothing is assigned in the callback, and each partition later, at an offset ------------------


def _not_yet(member: Member, _given: list[TopicPartition]) -> None:
    member.consumer.incremental_assign([])


def _begin(member: Member, name: str, *numbers: int) -> None:
    member.consumer.incremental_assign([TopicPartition(name, at, _COMMITTED) for at in numbers])


def _all(produce: Produce, name: str) -> None:
    for at in range(_PARTITIONS):
        produce(name, *[b"x"] * _EACH, partition=at)


def test_what_is_begun_later_begins_at_the_offset_that_is_given(
    proxy: Proxy, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """Nothing comes before; then all from there, and nobody looks for an offset (D1)."""
    name = topic(_PARTITIONS)
    _all(produce, name)
    member = join(name, on_assign=_not_yet, config={"bootstrap.servers": proxy.address})
    poll_until(lambda: "assign" in member.kinds(), member)
    for _ in range(30):
        member.poll()
    assert member.received == []
    assert member.assigned() == ()
    _begin(member, name, *range(_PARTITIONS))
    poll_until(lambda: len(member.received) >= _PARTITIONS * (_EACH - _COMMITTED), member)
    for at in range(_PARTITIONS):
        assert member.offsets(at) == list(range(_COMMITTED, _EACH))
    assert member.kinds() == ["assign"]
    assert proxy.seen[LIST_OFFSETS] == 0


@pytest.mark.parametrize("begun", [(), (0,), (0, 1, 2, 3)])
def test_what_is_not_begun_is_given_back_too(
    topic: MakeTopic, produce: Produce, join: Join, begun: tuple[int, ...]
) -> None:
    """A revoke ends with what is begun of it unassigned, if only with nothing; the other one gets the rest (D40)."""
    name, pending = topic(_PARTITIONS), []

    def not_yet(member: Member, given: list[TopicPartition]) -> None:
        member.consumer.incremental_assign([])
        pending.append(partitions(given))

    _all(produce, name)
    first = join(name, on_assign=_not_yet, on_revoke=not_yet)
    poll_until(lambda: "assign" in first.kinds(), first)
    if begun:
        _begin(first, name, *begun)
    second = join(name)
    poll_until(lambda: pending, first, second)
    for _ in range(30):
        first.poll()
        second.poll()
    assert second.received == []
    (revoked,) = pending
    late = [at for at in range(_PARTITIONS) if at not in begun]
    if late:
        _begin(first, name, *late)  # while the revoke is pending: it changes nothing about that
        for _ in range(30):
            first.poll()
            second.poll()
        assert second.received == []
    first.consumer.incremental_unassign([TopicPartition(name, at) for at in revoked])
    poll_until(lambda: {at for at, _ in second.received} == set(revoked), first, second)
    kept = set(range(_PARTITIONS)) - set(revoked)
    poll_until(lambda: all(first.offsets(at)[-1:] == [_EACH - 1] for at in kept), first, second)
    assert all(first.offsets(at) == list(range(_COMMITTED, _EACH)) for at in kept)


def test_a_revoke_of_what_is_not_begun_ends_with_nothing_unassigned(topic: MakeTopic, join: Join) -> None:
    """With nothing of it assigned, `incremental_unassign([])` gives it back (D40)."""
    name = topic(_PARTITIONS)
    first = join(name, on_assign=_not_yet, on_revoke=lambda member, _given: member.consumer.incremental_unassign([]))
    poll_until(lambda: "assign" in first.kinds(), first)
    second = join(name)
    poll_until(lambda: len(second.assigned()) == _PARTITIONS // 2, first, second)
    assert first.assigned() == ()
