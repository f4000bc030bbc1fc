"""What `position()` says: by it the committed offset reaches the end of a log that ends in control records (D4)."""

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record


def _reaches(member: Member, name: str, offset: int) -> None:
    poll_until(lambda: member.position(name) == offset, member, within=10)


def test_there_is_none_before_the_first_record(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """Before the first delivery it is OFFSET_INVALID, whatever is queued; then one past the record."""
    name = topic()
    produce(name, b"x", b"x", b"x")
    member = join(name)
    while not member.received:
        assert member.position(name) == OFFSET_INVALID
        member.poll(most=1)
    assert member.position(name) == 1  # the other two are queued in the client
    _reaches(member, name, 3)


def test_a_new_epoch_starts_without_one(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """Assigning a partition anew forgets the position of its earlier epoch, at the committed offset or not."""
    name = topic()
    produce(name, b"x", b"x", b"x")
    member = join(name)
    _reaches(member, name, 3)
    assert member.commit_and_wait(name, {0: 3}) is None
    member.consumer.incremental_unassign([TopicPartition(name, 0)])
    member.consumer.incremental_assign([TopicPartition(name, 0)])
    for _ in range(25):
        member.poll()
    assert member.position(name) == OFFSET_INVALID
    produce(name, b"x")
    _reaches(member, name, 4)
    assert member.offsets(0) == [0, 1, 2, 3]


@pytest.mark.parametrize("ending", ["committed", "aborted"])
def test_it_passes_control_records_behind_the_last_record(
    kafka: Kafka, topic: MakeTopic, produce: Produce, join: Join, ending: str
) -> None:
    """After a transaction, committed or aborted, the position reaches the end of the log."""
    name = topic()
    produce(name, b"plain")
    member = join(name)
    _reaches(member, name, 1)
    transaction = kafka.records.transaction()
    transaction.produce(name, b"1", b"2")
    if ending == "committed":
        transaction.commit()
    else:
        transaction.abort()
    _reaches(member, name, 4)
    assert kafka.admin.end_offsets(name) == {0: 4}
    assert member.offsets(0) == ([0, 1, 2] if ending == "committed" else [0])


def test_it_passes_a_log_of_nothing_but_control_records(kafka: Kafka, topic: MakeTopic, join: Join) -> None:
    """A partition that holds only an aborted transaction has a position at its end, without any record delivered."""
    name = topic()
    transaction = kafka.records.transaction()
    transaction.produce(name, b"1", b"2")
    transaction.abort()
    member = join(name)
    _reaches(member, name, 3)
    assert member.received == []


def test_it_stays_before_an_open_transaction(kafka: Kafka, topic: MakeTopic, produce: Produce, join: Join) -> None:
    """Position and records stop before an open transaction, and go on at its end (D72)."""
    name = topic()
    produce(name, b"plain")
    transaction = kafka.records.transaction()
    transaction.produce(name, b"open")
    produce(name, b"behind it")
    member = join(name)
    _reaches(member, name, 1)
    assert kafka.admin.end_offsets(name, committed_only=True) == {0: 1}
    assert kafka.admin.end_offsets(name) == {0: 3}
    for _ in range(10):
        member.poll()
    assert member.position(name) == 1
    transaction.commit()
    _reaches(member, name, 4)
    assert member.offsets(0) == [0, 1, 2]


def test_it_follows_records_that_retention_took_away(
    kafka: Kafka, topic: MakeTopic, produce: Produce, join: Join
) -> None:
    """Where the log starts later than 0 the first position is behind its first record: no record, no position."""
    name = topic()
    produce(name, *[Record(b"x")] * 10)
    kafka.admin.delete_records(name, 0, 10)
    member = join(name)
    poll_until(member.assigned, member)
    for _ in range(25):
        member.poll()
    assert member.position(name) == OFFSET_INVALID
    produce(name, b"x")
    _reaches(member, name, 11)
    assert member.received == [(0, 10)]
