"""What pausing does: the back-pressure of last resort (D50)."""

from confluent_kafka import TopicPartition

from tests.client.conftest import Join
from tests.client.members import poll_until
from tests.kafka.access import MakeTopic, Produce


def test_a_pause_survives_unassign_and_assign(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """A partition that was paused is still paused in its next epoch, until somebody resumes it."""
    name = topic(2)
    member = join(name)
    poll_until(member.assigned, member)
    paused = [TopicPartition(name, 0)]
    member.consumer.pause(paused)
    member.consumer.incremental_unassign(paused)
    member.consumer.incremental_assign([TopicPartition(name, 0, 0)])
    for partition in (0, 1):
        produce(name, b"x", partition=partition)
    poll_until(lambda: member.offsets(1) == [0], member)
    for _ in range(25):
        member.poll()
    assert member.offsets(0) == []
    member.consumer.resume(paused)
    poll_until(lambda: member.offsets(0) == [0], member)


def test_resume_goes_on_at_the_next_record_undelivered(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """A pause throws away what was prefetched; resume without a seek fetches it again: no gap, no repeat."""
    name, count = topic(), 2000
    produce(name, *[b"x" * 100] * count)
    member = join(name)
    poll_until(lambda: len(member.received) >= 10, member)
    at = [TopicPartition(name, 0)]
    for _ in range(5):
        before = len(member.received)
        member.consumer.pause(at)
        for _ in range(5):
            member.poll()
        assert len(member.received) == before  # though more was queued in the client
        member.consumer.resume(at)
        while len(member.received) == before:
            member.poll(most=10)
    poll_until(lambda: len(member.received) >= count, member)
    assert member.offsets(0) == list(range(count))


def test_a_paused_partition_does_not_hold_up_another_one(topic: MakeTopic, produce: Produce, join: Join) -> None:
    """Partitions share one queue in the client; pausing one takes its records out of the others' way (D2)."""
    name = topic(2)
    produce(name, *[b"x" * 100] * 2000, partition=0)
    member = join(name)
    poll_until(lambda: member.received, member)
    member.consumer.pause([TopicPartition(name, 0)])
    taken = len(member.offsets(0))
    produce(name, b"x", partition=1)
    poll_until(lambda: member.offsets(1) == [0], member)
    assert len(member.offsets(0)) == taken
