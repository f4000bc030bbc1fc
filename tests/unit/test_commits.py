"""Commits: when, what, one in flight a partition, and what becomes of an answer."""

import pytest
from tests.pieces import begun, offsets_of, piece, tp_of

from humus.queue.kafka._commits import Commits
from humus.queue.kafka._partition import Partition, State
from humus.queue.kafka._subscription import Semantic


def handled(records: int, number: int = 0, epoch: int = 1) -> Partition:
    """Make a partition that has handled so many records, at least once."""
    partition = begun(Semantic.AT_LEAST_ONCE, number, epoch)
    partition.receive(piece(range(records + 5), leader_epoch=7))
    partition.next_pieces()
    partition.moved(records, 0.0)
    return partition


def test_all_partitions_share_a_request() -> None:
    """D12: one request for all that moved, with the leader epoch, and none for those that did not."""
    commits = Commits(1.0)
    partitions = [handled(3), handled(0, 1), handled(4, 2)]
    assert commits.plan(0.0, partitions, []) == {tp_of(0): (3, 7), tp_of(2): (4, 7)}
    assert commits.in_flight


def test_the_interval_is_kept() -> None:
    """D12: at most one request every `commit_interval`."""
    commits, partition = Commits(1.0), handled(3)
    assert commits.plan(0.0, [partition], [])
    commits.confirmed(tp_of(), 3, 0.1)
    partition.moved(4, 0.2)
    assert not commits.due(0.9)
    assert not commits.plan(0.9, [partition], [])
    assert commits.plan(1.0, [partition], []) == {tp_of(): (4, 7)}


def test_urgent_partitions_do_not_wait_for_the_interval() -> None:
    """D12 D40: a partition that leaves commits at once; the interval of the others is not touched by it."""
    commits = Commits(1.0)
    commits.plan(0.0, [], [])
    leaving, staying = handled(3), handled(3, 1)
    assert commits.plan(0.5, [leaving, staying], [leaving]) == {tp_of(): (3, 7)}
    assert commits.plan(1.0, [leaving, staying], []) == {tp_of(1): (3, 7)}


def test_one_commit_is_in_flight_a_partition() -> None:
    """D12: an answer is known by its partition, so the next commit waits for it."""
    commits, partition = Commits(1.0), handled(3)
    commits.plan(0.0, [partition], [])
    partition.moved(4, 0.0)
    assert not commits.plan(5.0, [partition], [partition])
    commits.confirmed(tp_of(), 3, 5.0)
    assert commits.plan(6.0, [partition], []) == {tp_of(): (4, 7)}


def test_a_refused_commit_waits_longer_each_time_and_at_most_half_a_second() -> None:
    """D12: refusals during a rebalance pass; they are retried after 50, 100, 200, 500 ms."""
    commits, partition = Commits(0.0), handled(3)
    now, waits = 0.0, []
    for _ in range(6):
        assert commits.plan(now, [partition], [])
        commits.refused(tp_of(), 3, now)
        waits.append(round(partition.retry_commit_at - now, 3))
        assert not commits.plan(partition.retry_commit_at - 0.001, [partition], [partition])
        now = partition.retry_commit_at
    assert waits == [0.05, 0.1, 0.2, 0.5, 0.5, 0.5]


def test_a_confirmed_commit_ends_the_backoff() -> None:
    """D12: the next refusal begins at the shortest wait again."""
    commits, partition = Commits(0.0), handled(3)
    for at in (0.0, 1.0, 2.0):
        commits.plan(at, [partition], [])
        commits.refused(tp_of(), 3, at)
    commits.plan(9.0, [partition], [])
    commits.confirmed(tp_of(), 3, 9.0)
    partition.moved(4, 9.0)
    commits.plan(9.0, [partition], [])
    commits.refused(tp_of(), 4, 9.0)
    assert partition.retry_commit_at == pytest.approx(9.05)


@pytest.mark.parametrize("offset", [2, 4])
def test_an_answer_to_no_commit_in_flight_counts_for_nothing(offset: int) -> None:
    """D10: only the offset that was sent can be confirmed or refused."""
    commits, partition = Commits(1.0), handled(3)
    assert commits.confirmed(tp_of(), 3, 0.0) is None
    commits.plan(0.0, [partition], [])
    assert commits.confirmed(tp_of(), offset, 0.0) is None
    assert commits.refused(tp_of(), offset, 0.0) is None
    assert partition.committing == 3
    assert commits.in_flight


def test_a_new_epoch_waits_for_the_answer_of_the_old_one() -> None:
    """D43: while an earlier epoch's answer is due it cannot be told from the new one's, so there is no new one."""
    commits, old, new = Commits(0.0), handled(3), handled(4, epoch=2)
    commits.plan(0.0, [old], [])
    old.state = State.GONE
    commits.forget(old)
    assert not commits.plan(1.0, [new], [new])
    answer = commits.confirmed(tp_of(), 3, 1.0)
    assert answer is not None
    assert answer.partition is old
    assert new.committed is None
    assert commits.plan(1.0, [new], []) == {tp_of(): (4, 7)}


def test_the_refusals_of_a_past_epoch_do_not_slow_the_next_one() -> None:
    """D44: backoff belongs to the epoch."""
    commits, old, new = Commits(0.0), handled(3), handled(3, epoch=2)
    for at in (0.0, 1.0, 2.0):
        commits.plan(at, [old], [])
        commits.refused(tp_of(), 3, at)
    old.state = State.GONE
    commits.forget(old)
    commits.plan(3.0, [new], [])
    commits.refused(tp_of(), 3, 3.0)
    assert new.retry_commit_at == pytest.approx(3.05)


def test_a_chunks_commit_feeds_the_worker() -> None:
    """D20: the answer to a chunk's commit brings its records."""
    commits = Commits(1.0)
    partition = begun(Semantic.AT_MOST_ONCE)
    partition.receive(piece([4, 8]))
    assert commits.plan(0.0, [], [partition]) == {tp_of(): (5, -1)}
    answer = commits.confirmed(tp_of(), 5, 0.0)
    assert answer is not None
    assert offsets_of(*answer.pieces) == [4]


def test_the_silence_is_that_of_the_oldest_commit() -> None:
    """D72: how long a commit has had no answer is known, and over with its answer."""
    commits, partitions = Commits(0.0), [handled(3), handled(3, 1)]
    assert commits.silence(9.0) == 0
    commits.plan(10.0, [], partitions[:1])
    commits.plan(12.0, [], partitions[1:])
    assert commits.silence(15.0) == 5
    commits.refused(tp_of(0), 3, 15.0)
    assert commits.silence(15.0) == 3
    commits.confirmed(tp_of(1), 3, 15.0)
    assert commits.silence(15.0) == 0
