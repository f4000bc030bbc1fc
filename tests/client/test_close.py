"""What `close()` does (D60, D61)."""

from confluent_kafka import TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, poll_until
from tests.kafka.access import Kafka, MakeTopic


def test_it_runs_on_revoke_and_leaves_the_group(
    kafka: Kafka, group: str, topic: MakeTopic, join: Join, protocol: str
) -> None:
    """`on_revoke` runs inside `close()`, with everything; the member is out at once, and the other one has it all."""
    name = topic(4)
    first, second = join(name), join(name)

    def settled() -> bool:
        if not len(first.assigned()) == len(second.assigned()) == 2:
            return False
        # Under the classic protocol who gave partitions back is told at the end that it gets nothing new.
        return protocol == "consumer" or first.kinds()[-1] == "assign"

    poll_until(settled, first, second)
    had = first.assigned()
    first.events.clear()
    first.close()
    assert first.events == [("revoke", had)]
    assert len(kafka.admin.members(group)) == 1
    assert poll_until(lambda: len(second.assigned()) == 4, second) < 5


def _put_off(member: Member, _given: list[TopicPartition]) -> None:
    member.consumer.incremental_assign([])


def test_putting_the_unassign_off_inside_it_is_harmless(kafka: Kafka, group: str, topic: MakeTopic, join: Join) -> None:
    """A callback that puts the unassign off does not hang `close()`: the member leaves all the same."""
    name = topic(2)
    member = join(name, on_revoke=_put_off)
    poll_until(lambda: len(member.assigned()) == 2, member)
    member.close()
    assert member.kinds() == ["assign", "revoke"]
    assert len(kafka.admin.members(group)) == 0


def test_it_ends_a_revoke_whose_unassign_was_put_off(topic: MakeTopic, join: Join) -> None:
    """Closed with an unassign still owed, a member revokes the rest, leaves, and the other one has everything."""
    name = topic(4)
    first = join(name, on_revoke=_put_off)
    poll_until(lambda: len(first.assigned()) == 4, first)
    second = join(name)
    poll_until(lambda: "revoke" in first.kinds(), first, second)
    first.close()
    revoked = [given for kind, given in first.events if kind == "revoke"]
    assert sorted(number for given in revoked for number in given) == [0, 1, 2, 3]
    poll_until(lambda: len(second.assigned()) == 4, second)
