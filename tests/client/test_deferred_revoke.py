"""Giving partitions back later than in `on_revoke`: the undocumented way that draining stands on (D40, D44).

`incremental_assign([])` inside the callback makes the binding leave out its own unassign; librdkafka then waits for
ours, however long it takes, and the loop goes on polling.
"""

from confluent_kafka import KafkaError, TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.wire import remove_member

_PARTITIONS = 4


class _Deferring:
    """A revoke callback that puts the unassign off, and what it was asked to give back."""

    def __init__(self) -> None:
        self.pending: list[TopicPartition] = []

    def on_revoke(self, member: Member, given: list[TopicPartition]) -> None:
        self.pending = list(given)
        member.consumer.incremental_assign([])

    def give_back(self, member: Member) -> tuple[int, ...]:
        given, self.pending = self.pending, []
        member.consumer.incremental_unassign(given)
        return tuple(at.partition for at in given)


def _fill(produce: Produce, name: str, each: int) -> None:
    for partition in range(_PARTITIONS):
        produce(name, *[b"x" * 100] * each, partition=partition)


def test_partitions_change_hands_only_at_our_unassign(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """A revoke whose unassign is put off holds the rebalance up: commits pass, the other member gets nothing (D40)."""
    name, late = topic(_PARTITIONS), _Deferring()
    _fill(produce, name, 10)
    first = join(name, on_revoke=late.on_revoke)
    poll_until(lambda: len(first.received) == 10 * _PARTITIONS, first)
    second = join(name)
    poll_until(lambda: late.pending, first, second)
    revoked = {at.partition for at in late.pending}
    assert first.assigned() == (0, 1, 2, 3)

    first.commit(name, dict.fromkeys(range(_PARTITIONS), 10))
    poll_until(lambda: first.commits, first, second)
    (error, offsets) = first.commits[0]
    assert error is None
    assert [at.error for at in offsets] == [None] * _PARTITIONS
    assert kafka.admin.committed(group, name) == dict.fromkeys(range(_PARTITIONS), 10)
    for _ in range(20):
        first.poll()
        second.poll()
    assert second.assigned() == ()

    late.give_back(first)
    poll_until(lambda: set(second.assigned()) == revoked, first, second)
    poll_until(lambda: set(first.assigned()) == set(range(_PARTITIONS)) - revoked, first, second)
    produce(name, b"to the new owner", partition=min(revoked))
    poll_until(lambda: second.received, first, second)
    assert second.received == [(min(revoked), 10)]
    assert first.kinds().count("revoke") == 1


def test_nothing_is_delivered_while_the_unassign_is_put_off(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """Retained partitions stand still too, with what is queued in the client; then no gap, no repeat (D44)."""
    name, late, each = topic(_PARTITIONS), _Deferring(), 2000
    _fill(produce, name, each)
    first = join(name, on_revoke=late.on_revoke)
    poll_until(lambda: first.received, first)
    second = join(name)
    while not late.pending:
        first.poll(most=1)  # one at a time, so that thousands stay queued in the client
        second.poll()
    received = len(first.received)
    assert received < each * _PARTITIONS
    for _ in range(20):
        first.poll()
        second.poll()
    assert len(first.received) == received

    # The position stands right behind the last record delivered, so it can be committed meanwhile.
    positions = {at: first.position(name, at) for at in range(_PARTITIONS)}
    assert positions == {at: _after_last(first.offsets(at)) for at in range(_PARTITIONS)}
    begun = {at: offset for at, offset in positions.items() if offset >= 0}
    assert first.commit_and_wait(name, begun) is None
    late.give_back(first)
    poll_until(lambda: len(first.received) + len(second.received) >= each * _PARTITIONS, first, second)
    for partition in range(_PARTITIONS):
        assert first.offsets(partition) + second.offsets(partition) == list(range(each))


def test_a_member_that_is_gone_learns_it_from_a_commit_and_must_still_unassign(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """Removed while its unassign is put off, a member sees UNKNOWN_MEMBER_ID, and on_lost only after it (D43)."""
    name, late = topic(_PARTITIONS), _Deferring()
    _fill(produce, name, 10)
    first = join(name, on_revoke=late.on_revoke)
    poll_until(lambda: len(first.received) == 10 * _PARTITIONS, first)
    second = join(name)
    poll_until(lambda: late.pending, first, second)
    remove_member(kafka.bootstrap, group, first.consumer.memberid() or "")
    poll_until(lambda: len(second.assigned()) == _PARTITIONS, first, second)
    assert "lost" not in first.kinds()
    first.commit(name, {0: 5})
    poll_until(lambda: first.commits, first, second)
    error = first.commits[0][0]
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_MEMBER_ID
    assert "lost" not in first.kinds()

    revoked = late.give_back(first)
    poll_until(lambda: "lost" in first.kinds(), first, second)
    lost = next(given for kind, given in first.events if kind == "lost")
    assert sorted([*lost, *revoked]) == list(range(_PARTITIONS))
    poll_until(lambda: late.pending or first.assigned(), first, second)


def test_an_empty_unassign_instead_lets_two_members_have_the_partitions(
    topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """`incremental_unassign([])` is no way to put it off: the rebalance completes and both members consume."""
    name = topic(_PARTITIONS)
    first = join(name, on_revoke=lambda member, _given: member.consumer.incremental_unassign([]))
    poll_until(lambda: len(first.assigned()) == _PARTITIONS, first)
    second = join(name)
    poll_until(second.assigned, first, second)
    assert set(second.assigned()) <= set(first.assigned())
    _fill(produce, name, 1)
    shared = second.assigned()[0]
    poll_until(lambda: first.offsets(shared) and second.offsets(shared), first, second)


def _after_last(offsets: list[int]) -> int:
    return offsets[-1] + 1 if offsets else -1001
