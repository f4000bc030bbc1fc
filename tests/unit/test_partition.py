"""One partition in one epoch: every change of its state, what it commits, what it hands out, how it ends."""

import pytest
from tests.pieces import begun, offsets_of, piece

from humus.queue.kafka._partition import MAX_CHUNK, Failure, Partition, State
from humus.queue.kafka._subscription import Semantic


def at_least_once() -> Partition:
    """Make a running partition, at least once."""
    return begun(Semantic.AT_LEAST_ONCE)


def at_most_once() -> Partition:
    """Make a running partition, at most once."""
    return begun(Semantic.AT_MOST_ONCE)


def commit(partition: Partition, *, now: float = 0.0) -> list[int]:
    """Send the next chunk's commit and confirm it; return the offsets that the worker gets by it."""
    partition.committing = partition.take_chunk()
    return offsets_of(*partition.commit_confirmed(now))


FAILURE = Failure(2, 1, "ValueError", "no", 0.0)

# -- records come in ----------------------------------------------------------------------------------------------


def test_a_stale_record_is_dropped_and_counted() -> None:
    """D1: what was received before is cut off a piece that overlaps it, and counted."""
    partition = at_least_once()
    partition.receive(piece([0, 1, 2]))
    fresh = partition.receive(piece([1, 2, 3, 5]))
    assert fresh is not None
    assert (offsets_of(fresh), fresh.first, fresh.end, fresh.size) == ([3, 5], 3, 6, 200)
    assert partition.receive(piece([4, 5])) is None
    assert (partition.counts.consumed, partition.counts.stale) == (5, 4)


def test_at_least_once_hands_records_over_as_they_come() -> None:
    """At least once a record goes to the worker when it arrives, and only once."""
    partition = at_least_once()
    partition.receive(piece([0, 1]))
    assert offsets_of(*partition.next_pieces()) == [0, 1]
    assert partition.next_pieces() == []
    assert partition.has_worker


def test_a_partition_that_waits_for_an_earlier_handler_hands_nothing_over() -> None:
    """D42: while a handler of an earlier epoch runs, records wait, in both semantics."""
    for partition in (at_least_once(), at_most_once()):
        partition.held_back = True
        partition.receive(piece([0, 1]))
        assert partition.next_pieces() == []
        assert not partition.chunk_wanted
        partition.held_back = False
    assert partition.chunk_wanted


@pytest.mark.parametrize("state", [State.HALTED, State.DRAINING, State.GONE])
def test_only_a_running_partition_takes_records(state: State) -> None:
    """D31 D40 D43: records for a partition that is halted, drained or gone are dropped."""
    partition = at_least_once()
    partition.state = state
    assert partition.receive(piece([0])) is None
    assert partition.counts.consumed == 0


# -- positions and commits ----------------------------------------------------------------------------------------


def test_a_partition_without_records_wants_no_commit() -> None:
    """D12: no commit when nothing moved."""
    partition = at_least_once()
    assert partition.commit_wanted() is None
    partition.receive(piece([7]))
    assert partition.commit_wanted() is None
    assert partition.settled


def test_a_gap_is_committed_with_the_record_behind_it() -> None:
    """D4: the position behind a record is the end of what it was handed over with."""
    partition = at_least_once()
    partition.receive(piece([3, 9]))
    partition.next_pieces()
    assert partition.moved(9, 0.0) == (0, 0)
    assert partition.commit_wanted() == 9
    assert partition.moved(10, 0.0) == (2, 200)
    assert partition.commit_wanted() == 10


def test_control_records_at_the_start_of_an_epoch_are_committed() -> None:
    """D4: where the client passed control records and nothing else, that is committed, once."""
    partition = at_least_once()
    partition.client_at(5)
    assert partition.commit_wanted() == 5
    assert not partition.settled
    partition.committing = 5
    partition.commit_confirmed(0.0)
    assert partition.commit_wanted() is None
    assert partition.settled


@pytest.mark.parametrize("committed_first", [True, False])
def test_records_behind_control_records_are_committed(committed_first: bool) -> None:
    """D4 D40: an epoch that began behind control records commits its records like any other."""
    partition = at_least_once()
    partition.client_at(5)
    if committed_first:
        partition.committing = partition.commit_wanted()
        partition.commit_confirmed(0.0)
    partition.receive(piece([6, 7]))
    partition.next_pieces()
    partition.moved(8, 0.0)
    partition.worker_ended(8, 0.0)
    assert partition.commit_wanted() == 8
    assert not partition.settled


def test_the_clients_position_counts_only_while_nothing_is_buffered() -> None:
    """D10: the client's position is ahead of records that are not handled."""
    partition = at_least_once()
    partition.receive(piece([0, 1]))
    partition.client_at(9)
    assert partition.position == 0
    partition.next_pieces()
    partition.client_at(9)
    assert partition.position == 0
    partition.moved(2, 0.0)
    partition.client_at(9)
    assert partition.position == 9


def test_a_refused_commit_is_wanted_again() -> None:
    """D12: a commit that was refused is never dropped."""
    partition = at_least_once()
    partition.receive(piece([0]))
    partition.next_pieces()
    partition.moved(1, 0.0)
    partition.committing = 1
    assert partition.commit_wanted() is None
    partition.commit_refused(3.0)
    assert (partition.commit_wanted(), partition.retry_commit_at) == (1, 3.0)


# -- at most once: chunks -----------------------------------------------------------------------------------------


def test_at_most_once_hands_over_what_a_confirmed_commit_covers() -> None:
    """D20: nothing goes to the worker before a commit past it is confirmed."""
    partition = at_most_once()
    partition.receive(piece([0, 1, 2]))
    assert partition.next_pieces() == []
    partition.committing = partition.take_chunk()
    assert partition.committing == 1
    assert not partition.has_worker
    assert offsets_of(*partition.commit_confirmed(0.0)) == [0]
    assert partition.has_worker


def test_at_most_once_is_never_more_than_two_chunks_ahead() -> None:
    """D21: two chunks may be committed and unhandled, a third one waits."""
    partition = at_most_once()
    partition.receive(piece(range(10)))
    assert commit(partition) == [0]
    assert commit(partition) == [1]
    assert not partition.chunk_wanted
    partition.moved(1, 0.0)
    assert partition.chunk_wanted


def test_a_chunk_grows_at_most_twofold_and_to_its_limit() -> None:
    """D20: a chunk covers 1 to 500 records, however quick the handler is."""
    partition = at_most_once()
    partition.receive(piece(range(5000)))
    sizes = []
    for _ in range(12):
        chunk = commit(partition)
        sizes.append(len(chunk))
        partition.moved(chunk[-1] + 1, 0.0)
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128, 256, MAX_CHUNK, MAX_CHUNK, MAX_CHUNK]


def test_a_chunk_is_what_a_tenth_of_a_second_handles() -> None:
    """D20: a slow handler gets chunks of about 100 ms, and never less than one record."""
    partition = at_most_once()
    partition.receive(piece(range(5000)))
    now = 0.0
    for _ in range(10):
        chunk = commit(partition, now=now)
        now += 0.01 * len(chunk)
        partition.moved(chunk[-1] + 1, now)
    assert partition.chunk_size == 10
    chunk = commit(partition, now=now)
    partition.moved(chunk[-1] + 1, now + 60)
    assert partition.chunk_size == 1


def test_a_chunk_that_was_short_of_records_does_not_grow() -> None:
    """D20: that few records were handled quickly tells nothing about many."""
    partition = at_most_once()
    for offset in range(4):
        partition.receive(piece([offset]))
        assert commit(partition) == [offset]
        partition.moved(offset + 1, 0.0)
    assert partition.chunk_size == 2


def test_a_refused_chunk_is_neither_handed_over_nor_dropped() -> None:
    """D20: while its commit fails, a record is neither processed nor dropped, and its order is kept."""
    partition = at_most_once()
    partition.receive(piece(range(3)))
    partition.committing = partition.take_chunk()
    assert partition.commit_refused(1.0) == (0, 0)
    assert commit(partition) == [0]
    assert commit(partition) == [1]
    assert partition.counts.lost == 0


def test_a_drained_chunk_that_is_refused_is_set_free() -> None:
    """D23: no further commits after a revoke; what a refused one covered leaves the buffer."""
    partition = at_most_once()
    partition.receive(piece(range(3)))
    partition.committing = partition.take_chunk()
    assert partition.drain() == (2, 200)
    assert partition.commit_refused(1.0) == (1, 100)
    assert partition.settled
    assert partition.commit_wanted() is None
    assert not partition.chunk_wanted


def test_a_drained_chunk_that_is_confirmed_is_handled() -> None:
    """D23: records already committed are handled during a drain."""
    partition = at_most_once()
    partition.receive(piece(range(3)))
    partition.committing = partition.take_chunk()
    partition.drain()
    assert offsets_of(*partition.commit_confirmed(0.0)) == [0]
    assert not partition.settled


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_closed_partition_sets_nothing_free_twice(confirmed: bool) -> None:
    """D50: what was on its way when the worker was given up left the buffer then, whatever the answer is."""
    partition = at_most_once()
    partition.receive(piece(range(3)))
    partition.committing = partition.take_chunk()
    partition.drain()
    assert partition.close() == (1, 100)
    if confirmed:
        assert partition.commit_confirmed(0.0) == []
        assert partition.settle(0) == [0]
    else:
        assert partition.commit_refused(1.0) == (0, 0)
        assert partition.settle(0) == []
    assert partition.buffered() == (0, 0)


# -- failures -----------------------------------------------------------------------------------------------------


def test_a_retried_record_is_shown_until_it_is_passed() -> None:
    """D30: the failure belongs to its offset, and goes with it."""
    partition = at_least_once()
    partition.receive(piece(range(5)))
    partition.next_pieces()
    partition.failing(FAILURE)
    assert (partition.failure, partition.counts.retries) == (FAILURE, 1)
    partition.moved(2, 0.0)
    assert partition.failure is FAILURE
    partition.moved(3, 0.0)
    assert partition.failure is None


def test_a_late_word_of_failure_is_not_shown() -> None:
    """D30: what was passed already does not fail any more, though it is counted."""
    partition = at_least_once()
    partition.receive(piece(range(5)))
    partition.next_pieces()
    partition.moved(4, 0.0)
    partition.failing(FAILURE)
    assert (partition.failure, partition.counts.retries) == (None, 1)


def test_a_retry_does_not_hide_why_a_partition_is_halted() -> None:
    """D31: where the log cannot be read on, a record before that place may be retried; the halt's reason stays."""
    partition = at_least_once()
    partition.receive(piece(range(5)))
    partition.next_pieces()
    unreadable = Failure(5, 0, "_BAD_MSG", "broken", 0.0)
    partition.state, partition.failure = State.HALTED, unreadable
    partition.failing(FAILURE)
    partition.moved(5, 0.0)
    assert (partition.failure, partition.counts.retries) == (unreadable, 1)


def test_a_halt_keeps_what_is_below_and_drops_what_is_above() -> None:
    """D31: what was handled before the failed record is committed, nothing behind it is kept."""
    partition = at_least_once()
    partition.receive(piece(range(5)))
    partition.next_pieces()
    partition.receive(piece([5, 6]))
    assert partition.halt(FAILURE, 0.0) == (7, 700)
    assert partition.settle(2) == []
    assert (partition.state, partition.position, partition.failure) == (State.HALTED, 2, FAILURE)
    assert (partition.counts.handled, partition.counts.consumed) == (2, 7)
    assert partition.commit_wanted() == 2
    assert partition.next_pieces() == []


@pytest.mark.parametrize(("semantic", "name"), [(Semantic.AT_LEAST_ONCE, "skipped"), (Semantic.AT_MOST_ONCE, "failed")])
def test_a_record_given_up_is_counted(semantic: Semantic, name: str) -> None:
    """D21 D31: at least once it is skipped, at most once it failed."""
    partition = begun(semantic)
    partition.failed()
    assert getattr(partition.counts, name) == 1


# -- the end ------------------------------------------------------------------------------------------------------


def test_a_drain_drops_what_the_worker_does_not_have() -> None:
    """D40: feeding stops at once; what is with the worker stays with it."""
    partition = at_least_once()
    partition.receive(piece([0, 1]))
    partition.next_pieces()
    partition.receive(piece([2]))
    assert partition.drain() == (1, 100)
    assert partition.state is State.DRAINING
    assert partition.buffered() == (2, 200)


def test_a_halted_partition_can_be_drained() -> None:
    """D40: a halted partition is given back like any other, with what it handled before committed."""
    partition = at_least_once()
    partition.receive(piece(range(5)))
    partition.next_pieces()
    partition.halt(FAILURE, 0.0)
    partition.drain()
    assert partition.state is State.DRAINING
    assert not partition.settled
    partition.committing = partition.commit_wanted()
    partition.commit_confirmed(0.0)
    assert partition.settled


def test_a_worker_that_ends_sets_everything_free() -> None:
    """D40: what the worker leaves undone is not handled and leaves the buffer; only what it did counts."""
    partition = at_least_once()
    partition.receive(piece(range(5)))
    partition.next_pieces()
    partition.drain()
    assert partition.worker_ended(3, 0.0) == (5, 500)
    partition.settle(3)
    assert (partition.counts.handled, partition.counts.consumed, partition.commit_wanted()) == (3, 5, 3)


def test_what_is_committed_and_not_handled_is_lost_by_offset() -> None:
    """D23: what a drain leaves undone at most once is named by offset and counted."""
    partition = at_most_once()
    partition.receive(piece([0, 1, 5, 9]))
    commit(partition)
    partition.moved(1, 0.0)
    assert commit(partition) == [1, 5]
    partition.drain()
    partition.close()
    assert partition.settle(2) == [5]
    assert (partition.counts.handled, partition.counts.lost) == (2, 1)


def test_settling_twice_counts_once() -> None:
    """D23: closing the books again changes nothing."""
    partition = at_most_once()
    partition.receive(piece([0, 1]))
    commit(partition)
    partition.close()
    assert partition.settle(0) == [0]
    assert partition.settle(0) == []
    assert partition.counts.lost == 1


def test_a_gone_partition_wants_no_commit() -> None:
    """D43: nothing is committed for an epoch that is over."""
    partition = at_least_once()
    partition.receive(piece([0]))
    partition.next_pieces()
    partition.moved(1, 0.0)
    partition.state = State.GONE
    assert partition.commit_wanted() is None


def test_the_leader_epoch_is_that_of_the_last_record_below_the_position() -> None:
    """D12: a commit carries the leader epoch of what it covers, or of a record before it, never of one behind it."""
    partition = at_least_once()
    partition.receive(piece([0, 1], leader_epoch=3))
    partition.receive(piece([2, 3], leader_epoch=4))
    partition.next_pieces()
    partition.moved(1, 0.0)
    assert partition.leader_epoch == 3
    partition.moved(2, 0.0)
    assert partition.leader_epoch == 3
    partition.moved(3, 0.0)
    assert partition.leader_epoch == 4
