"""Commits whose answer does not come: what the client does by itself, and when it says so (D12, D20, D72)."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic
from tests.kafka.proxy import OFFSET_COMMIT, Proxy


@pytest.fixture
def proxy(kafka: Kafka) -> Iterator[Proxy]:
    """Stand between the test's members and the broker."""
    (broker,) = kafka.cluster.brokers
    with Proxy(broker.place) as standing:
        yield standing


def _joined(join: Join, proxy: Proxy, name: str, **config: Any) -> Member:
    quiet = {"bootstrap.servers": proxy.address, "log_level": 0, "reconnect.backoff.max.ms": 200}
    member = join(name, config={**quiet, **config})
    poll_until(lambda: member.assigned() == (0,), member)
    return member


def _codes(member: Member) -> list[str | None]:
    return [None if error is None else error.name() for error, _ in member.commits]


def test_an_answer_lost_with_its_connection_is_asked_for_again(
    kafka: Kafka, proxy: Proxy, topic: MakeTopic, group: str, join: Join
) -> None:
    """The client sends the commit again by itself, over the next connection, and reports the second answer alone."""
    name = topic()
    member = _joined(join, proxy, name)
    proxy.swallow(OFFSET_COMMIT)
    member.commit(name, {0: 5})
    poll_until(lambda: proxy.swallowed, member)
    assert kafka.admin.committed(group, name) == {0: 5}
    assert member.commits == []
    proxy.pass_on()
    proxy.cut()
    poll_until(lambda: member.commits, member)
    assert _codes(member) == [None]
    assert proxy.seen[OFFSET_COMMIT] == 2


@pytest.mark.parametrize("protocol", ["classic"], indirect=True)
def test_an_answer_that_never_comes_is_a_time_out_after_three_tries(
    kafka: Kafka, proxy: Proxy, topic: MakeTopic, group: str, join: Join
) -> None:
    """Each try waits `socket.timeout.ms`, by default a minute: not before the third one the client says _TIMED_OUT."""
    name = topic()
    member = _joined(join, proxy, name, **{"socket.timeout.ms": 1200, "fetch.wait.max.ms": 100})
    proxy.swallow(OFFSET_COMMIT)
    member.commit(name, {0: 5})
    waited = poll_until(lambda: member.commits, member)
    assert _codes(member) == ["_TIMED_OUT"]
    assert kafka.admin.committed(group, name) == {0: 5}, "in force all the same"
    assert proxy.seen[OFFSET_COMMIT] == 3
    assert waited > 3 * 1.2
    assert member.kinds() == ["assign"], "it is a member all the time"
    proxy.pass_on()
    member.commit(name, {0: 6})
    poll_until(lambda: len(member.commits) == 2, member)
    assert _codes(member) == ["_TIMED_OUT", None]


def test_a_commit_of_one_cut_off_is_refused_when_it_is_back(
    kafka: Kafka, proxy: Proxy, topic: MakeTopic, group: str, join: Join, protocol: str
) -> None:
    """What was committed before the session ended comes late and changes nothing; no answer comes before (D43).

    A classic member finds out by itself that its session is over, one of the consumer protocol not before it is back.
    """
    name = topic()
    member = _joined(join, proxy, name)
    proxy.stand_still()
    member.commit(name, {0: 5})
    poll_until(lambda: not kafka.admin.members(group), member)
    if protocol == "classic":
        poll_until(lambda: "lost" in member.kinds(), member)
    else:
        assert member.kinds() == ["assign"]
    heir = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    heir.commit(offsets=[TopicPartition(name, 0, 9)], asynchronous=False)
    heir.close()
    assert member.commits == []
    proxy.pass_on()
    poll_until(lambda: member.commits, member)
    assert _codes(member) == ["UNKNOWN_MEMBER_ID"]
    poll_until(lambda: member.kinds() == ["assign", "lost", "assign"], member)
    assert kafka.admin.committed(group, name) == {0: 9}
