"""A group partition by partition."""

from hypothesis import given
from hypothesis import strategies as st

from humus.cli._group_lag import Lag, Member, lag_rows, total_lag
from humus.queue.kafka._message import TopicPartition

partitions = st.builds(TopicPartition, st.sampled_from(["a", "b"]), st.integers(0, 3))
offsets = st.dictionaries(partitions, st.integers(0, 20))


def test_a_row_says_who_has_it_and_how_far_behind_it_is() -> None:
    """Lag is from the committed offset to the end; a partition that is held and not committed has none."""
    here, there = TopicPartition("orders", 0), TopicPartition("orders", 1)
    member = Member("id", "client", "/10.0.0.1", None, frozenset({there}))
    assert lag_rows({here: 3}, {here: 10, there: 5}, [member]) == [
        Lag("orders", 0, 3, 10, 7, None),
        Lag("orders", 1, None, 5, None, member),
    ]
    assert str(member) == "client at 10.0.0.1"
    assert member._replace(instance_id="worker-1").name == "worker-1"


def test_more_committed_than_there_is_is_no_lag() -> None:
    """A topic that was made anew gives no negative lag, and it shows."""
    at = TopicPartition("orders", 0)
    [row] = lag_rows({at: 11}, {at: 10}, [])
    assert row.lag is None
    assert row.past_end


@given(offsets, offsets)
def test_every_partition_has_a_row_and_the_total_is_theirs(
    committed: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> None:
    """Rows are in order, one a partition, and the total is the sum of what is known, never negative."""
    rows = lag_rows(committed, ends, [])
    assert [row.at for row in rows] == sorted(committed)
    assert total_lag(rows) == sum(max(0, ends[at] - done) for at, done in committed.items() if at in ends)
    assert all(row.as_json()["host"] is None for row in rows)
