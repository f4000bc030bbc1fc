"""Asynchronous commits and what comes of them (D10, D12)."""

from confluent_kafka import KafkaError, TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually
from tests.kafka.wire import remove_member

_GONE = {
    "classic": {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION},
    "consumer": {KafkaError.UNKNOWN_MEMBER_ID},
}


def _joined(join: Join, name: str, count: int = 1) -> Member:
    member = join(name)
    poll_until(lambda: len(member.assigned()) == count, member)
    return member


def test_each_commit_has_its_callback_in_order(topic: MakeTopic, join: Join) -> None:
    """Every asynchronous commit is answered by one callback, in order, with its own partitions and offsets."""
    name = topic(2)
    member = _joined(join, name, 2)
    asked: list[dict[int, int]] = [{0: 1}, {0: 2, 1: 7}, {1: 8}]
    for offsets in asked:
        member.commit(name, offsets)
    assert member.commits == []  # callbacks run inside a poll, nowhere else
    poll_until(lambda: len(member.commits) == 3, member)
    for (error, answered), offsets in zip(member.commits, asked, strict=True):
        assert error is None
        assert {at.partition: at.offset for at in answered} == offsets
        assert {at.topic for at in answered} == {name}
        assert [at.error for at in answered] == [None] * len(offsets)


def test_a_commit_carries_the_leader_epoch(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """A record knows the epoch of its leader; a commit with it is stored with it, and read back with it."""
    name = topic()
    produce(name, b"x")
    member = _joined(join, name)
    messages = member.poll(5)
    (epoch,) = {message.leader_epoch() for message in messages}
    assert epoch == 0
    member.consumer.commit(offsets=[TopicPartition(name, 0, 1, leader_epoch=epoch)], asynchronous=True)
    poll_until(lambda: member.commits, member)
    (_, (answered,)) = member.commits[0]
    assert (answered.offset, answered.leader_epoch) == (1, 0)
    (stored,) = member.consumer.committed([TopicPartition(name, 0)], timeout=10)
    assert (stored.offset, stored.leader_epoch) == (1, 0)
    assert kafka.admin.committed(group, name) == {0: 1}


def test_a_commit_of_the_removed_is_refused(
    kafka: Kafka, group: str, topic: MakeTopic, join: Join, protocol: str
) -> None:
    """A member that the group no longer knows is told so by its next commit, in both protocols by UNKNOWN_MEMBER_ID."""
    name = topic()
    member = _joined(join, name)
    remove_member(kafka.bootstrap, group, member.consumer.memberid() or "")
    member.commit(name, {0: 1})
    poll_until(lambda: member.commits, member)
    error, answered = member.commits[0]
    assert error is not None
    assert error.code() in _GONE[protocol]
    assert [at.error.code() for at in answered if at.error] == [error.code()]
    poll_until(lambda: ("lost", (0,)) in member.events, member)
    assert kafka.admin.committed(group, name) == {}


def test_a_commit_in_flight_at_a_revoke_is_answered(kafka: Kafka, group: str, topic: MakeTopic, join: Join) -> None:
    """What was committed as the partition went away is stored, and its callback comes after the revoke."""
    name = topic(2)

    def commit(member: Member, given: list[TopicPartition]) -> None:
        member.commit(name, {at.partition: 5 for at in given})

    first = join(name, on_revoke=commit)
    poll_until(lambda: len(first.assigned()) == 2, first)
    second = join(name)
    poll_until(lambda: first.commits and second.assigned(), first, second)
    ((error, answered),) = first.commits
    assert error is None
    (revoked,) = second.assigned()
    assert [(at.partition, at.offset) for at in answered] == [(revoked, 5)]
    assert kafka.admin.committed(group, name) == {revoked: 5}


def test_a_commit_in_flight_at_close_is_answered(kafka: Kafka, group: str, topic: MakeTopic, join: Join) -> None:
    """`close()` sends what was committed before it and runs the callback."""
    name = topic()
    member = _joined(join, name)
    member.commit(name, {0: 9})
    member.close()
    assert [(error, [at.offset for at in offsets]) for error, offsets in member.commits] == [(None, [9])]
    assert eventually(lambda: kafka.admin.committed(group, name)) == {0: 9}
