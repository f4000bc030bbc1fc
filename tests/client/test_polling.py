"""What `consume()` does with records, callbacks and the exceptions of callbacks."""

import time
from typing import Any

import pytest

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.wire import remove_member


def _first_record(join: Join, name: str, **config: Any) -> Member:
    member = join(name, config=config)
    poll_until(lambda: member.received, member)
    return member


@pytest.mark.parametrize("protocol", ["classic"], indirect=True)
def test_asking_for_one_returns_at_the_first_and_for_more_at_the_timeout(
    topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """`consume(1, t)` returns with the first record, `consume(n, t)` waits for n or t."""
    name = topic()
    produce(name, b"x")
    member = _first_record(join, name)
    produce(name, b"x", b"x")
    started = time.monotonic()
    assert len(member.consumer.consume(1, 10)) == 1
    assert time.monotonic() - started < 5
    started = time.monotonic()
    assert len(member.consumer.consume(3, 1.5)) == 1
    assert time.monotonic() - started >= 1.4


@pytest.mark.parametrize("protocol", ["classic"], indirect=True)
def test_an_exception_in_a_callback_loses_the_records(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """What a call had collected when a callback raised is gone: no callback of ours may raise."""
    name, count = topic(), 10
    produce(name, b"first")
    raising = False

    def on_statistics(_text: str) -> None:
        if raising:
            raise ZeroDivisionError

    member = _first_record(join, name, **{"stats_cb": on_statistics, "statistics.interval.ms": 500})
    produce(name, *[b"x"] * count)
    raising = True
    with pytest.raises(ZeroDivisionError):
        member.consumer.consume(1000, 1.5)
    raising = False
    assert member.position(name) == 1 + count
    produce(name, b"last")
    poll_until(lambda: len(member.received) > 1, member)
    assert member.offsets(0) == [0, 1 + count]


def test_a_rebalance_is_served_before_a_full_queue(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """Taking one record a poll from a full queue serves callbacks without delay (D50)."""
    name, count = topic(2), 3000
    for partition in (0, 1):
        produce(name, *[b"x" * 100] * count, partition=partition)
    first = join(name)
    poll_until(lambda: first.received, first)
    second = join(name)
    taken = len(first.received)
    while "revoke" not in first.kinds():
        first.poll(0.02, most=1)
        second.poll(0)
        time.sleep(0.01)  # a busy application
    assert len(first.received) - taken < count


def test_after_a_loss_nothing_of_the_old_epoch_comes(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """A call that runs on_lost and on_assign gives records of the new epoch alone (D43)."""
    name, count = topic(), 1000
    produce(name, *[b"x" * 100] * count)
    member = join(name)
    while len(member.received) < 10:
        member.poll(most=1)
    assert member.commit_and_wait(name, {0: 5}) is None
    remove_member(kafka.bootstrap, group, member.consumer.memberid() or "")
    time.sleep(2)  # the client's own threads find out by a heartbeat; nothing tells the application before it polls
    member.received.clear()
    poll_until(lambda: ("lost", (0,)) in member.events, member)
    poll_until(lambda: member.offsets(0)[-1:] == [count - 1], member)
    assert member.offsets(0) == list(range(5, count))
