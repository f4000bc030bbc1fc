"""The client's translation of what happened in one call, without a broker."""
# ruff: noqa: SLF001 - what happens within one call shows from the inside alone

import pytest
from confluent_kafka import Message as Record
from confluent_kafka import TopicPartition as ClientTopicPartition
from tests.pieces import tp_of

from humus.queue.kafka._client import Assigned, Client, Event, Lost, Revoked, Statistics, _came_back

A, B = tp_of(0), tp_of(1)


@pytest.mark.parametrize(
    ("events", "back"),
    [
        ([], set()),
        ([Assigned([A, B])], set()),
        ([Lost([A, B]), Assigned([A])], {A}),
        ([Assigned([A, B]), Revoked([B])], set()),
        ([Assigned([A, B]), Lost([A, B])], set()),
        ([Assigned([A]), Lost([A]), Statistics("{}"), Assigned([A, B])], {A}),
        ([Lost([A, B]), Assigned([A, B]), Revoked([B])], {A}),
    ],
)
def test_only_what_came_again_is_fetched_afresh(events: list[Event], back: set[object]) -> None:
    """D40: a partition that came and left again within one call is another member's, and is not assigned again."""
    assert _came_back(events) == back


class Delivering:
    """A consumer whose next call delivers these records; all else is the real one's."""

    def __init__(self, client: Client, records: list[Record]) -> None:
        self._real = client._consumer
        self._records = records
        self.incremental_assign = self._real.incremental_assign
        self.incremental_unassign = self._real.incremental_unassign

    def consume(self, _most: int, _timeout: float) -> list[Record]:
        """Deliver them."""
        return self._records


def test_what_came_again_begins_at_its_committed_offset() -> None:
    """D10: what left and came back in one call may have records of either epoch: they go, and are fetched again."""
    client = Client({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log.connection.close": False}, ["orders"])
    real = client._consumer
    try:
        real.incremental_assign([ClientTopicPartition("orders", number, 7) for number in (0, 1)])
        client._consumer = Delivering(client, [Record("orders", number, 7) for number in (0, 1)])  # type: ignore[assignment]
        client._events.extend([Lost([A]), Assigned([A])])
        [record] = client._consume(10, 0.0)
        assert (record.partition(), record.offset()) == (1, 7)
        begins = {held.partition: held.offset for held in real.assignment()}
        assert begins[1] == 7
        assert begins[0] < 0, "from the committed offset, which the client asks for"
    finally:
        client._consumer = real
        client.close()
