"""What the client's callbacks do with partitions, without a broker."""
# ruff: noqa: SLF001 - a callback is called as the real client calls it

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest
from confluent_kafka import TopicPartition as ClientTopicPartition
from tests.pieces import tp_of

from humus.queue.kafka._client import Assigned, Client, Lost, Revoked

A, B = tp_of(0), tp_of(1)


@dataclass
class Noting:
    """A consumer that notes what it is asked for; as the real one it refuses to unassign what is not assigned."""

    said: list[tuple[str, list[tuple[int, int]]]] = field(default_factory=list)
    begun: set[int] = field(default_factory=set)

    def incremental_assign(self, tps: list[ClientTopicPartition]) -> None:
        """Assign."""
        self.said.append(("assign", [(at.partition, at.offset) for at in tps]))
        self.begun.update(at.partition for at in tps)

    def incremental_unassign(self, tps: list[ClientTopicPartition]) -> None:
        """Unassign."""
        self.said.append(("unassign", sorted((at.partition, at.offset) for at in tps)))
        assert self.begun.issuperset(at.partition for at in tps)
        self.begun.difference_update(at.partition for at in tps)

    def assignment(self) -> list[ClientTopicPartition]:
        """Return what is assigned."""
        return given(*self.begun)


NONE = -1001


def given(*numbers: int) -> list[ClientTopicPartition]:
    """Name partitions as the client does."""
    return [ClientTopicPartition("orders", number) for number in numbers]


def noting(client: Client) -> Noting:
    """Put a consumer that notes in the real one's place."""
    consumer = Noting()
    client._consumer = consumer  # type: ignore[assignment]
    return consumer


@pytest.fixture
def client() -> Iterator[Client]:
    """Make a client that reaches nobody."""
    made = Client({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log.connection.close": False}, ["orders"])
    real = made._consumer
    yield made
    real.close()


def _assign(client: Client, numbers: Iterable[int]) -> None:
    client._on_assign(client._consumer, given(*numbers))


def test_an_assignment_is_put_off(client: Client) -> None:
    """D1: nothing is assigned in the callback, each partition later, where it is told to begin."""
    consumer = noting(client)
    _assign(client, [0, 1])
    assert consumer.said == [("assign", [])]
    assert client.assigned() == {A, B}
    client.begin({B: (88, 3)})
    assert consumer.said[1:] == [("assign", [(1, 88)])]
    assert client._happened() == [Assigned([A, B])]


@pytest.mark.parametrize("begun", [{A, B}, {A}, set()])
def test_what_is_begun_is_given_back_with_what_is_not(client: Client, begun: set[object]) -> None:
    """D40: a revoke is put off, and completed with those partitions that the client has; it refuses any other."""
    consumer = noting(client)
    _assign(client, [0, 1, 2])
    client.begin({tp: (5, -1) for tp in (A, B, tp_of(2)) if tp in begun or tp == tp_of(2)})
    consumer.said.clear()
    client._on_revoke(client._consumer, given(0, 1))
    assert consumer.said == [("assign", [])]
    client.unassign([A, B])
    assert consumer.said[1:] == [("unassign", [(tp.partition, NONE) for tp in (A, B) if tp in begun])]
    assert client.assigned() == {tp_of(2)}
    assert client._happened()[1:] == [Revoked([A, B])]
    client.unassign([])
    assert len(consumer.said) == 2, "with nothing it would let two members have the partitions"


def test_what_is_lost_is_unassigned_in_the_callback(client: Client) -> None:
    """D43: fetching stops at once, also where a part was not begun."""
    consumer = noting(client)
    _assign(client, [0, 1])
    client.begin({A: (5, -1)})
    client._on_lost(client._consumer, given(0, 1))
    assert consumer.said[-1] == ("unassign", [(0, NONE)])
    assert client.assigned() == set()
    assert client._happened()[-1] == Lost([A, B])


def test_what_rests_is_kept(client: Client) -> None:
    """D72: a partition that is to begin anew is not fetched meanwhile, and still the member's."""
    consumer = noting(client)
    _assign(client, [0])
    client.begin({A: (5, -1)})
    client.rest({A})
    assert consumer.said[-1] == ("unassign", [(0, NONE)])
    assert client.assigned() == {A}
