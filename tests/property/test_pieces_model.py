"""Cutting and handing over pieces: no record is lost, doubled or moved, and sizes add up."""

from hypothesis import given
from hypothesis import strategies as st
from tests.pieces import begun, offsets_of, piece

from humus.queue.kafka._partition import MAX_CHUNK, Piece
from humus.queue.kafka._subscription import Semantic

batches = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10_000)), min_size=2, max_size=40)
"""The gap before each record, and its size."""


def piece_of(batch: list[tuple[int, int]], start: int = 0) -> Piece:
    """Make a piece of a drawn batch."""
    offsets, at = [], start
    for gap, _ in batch:
        offsets.append(at + gap)
        at += gap + 1
    return piece(offsets, sum(size for _, size in batch))


@given(batches, st.data())
def test_a_split_loses_nothing(batch: list[tuple[int, int]], data: st.DataObject) -> None:
    """The two parts are the whole: records, order, ends and size."""
    whole = piece_of(batch)
    count = data.draw(st.integers(1, len(batch) - 1))
    head, tail = whole.split(count)
    assert offsets_of(head, tail) == offsets_of(whole)
    assert len(head.records) == count
    assert head.size + tail.size == whole.size
    assert head.size >= 0
    assert tail.size >= 0
    assert (head.first, tail.end) == (whole.first, whole.end)
    assert (head.end, tail.first) == (offsets_of(head)[-1] + 1, offsets_of(tail)[0])


@given(batches, st.integers(-2, 200))
def test_what_is_behind_an_offset_is_all_that_is(batch: list[tuple[int, int]], offset: int) -> None:
    """D1: exactly the records below the expected offset are cut off."""
    whole = piece_of(batch)
    kept = [one for one in offsets_of(whole) if one >= offset]
    rest = whole.behind(offset)
    assert (offsets_of(rest) if rest else []) == kept
    if rest is not None:
        assert (rest.first, rest.end) == (kept[0], whole.end)
        assert 0 <= rest.size <= whole.size


@given(st.lists(batches, min_size=1, max_size=6), st.data())
def test_at_most_once_hands_each_record_over_once_and_in_order(
    drawn: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """D20 D22: through all chunks and refusals each record reaches the worker once, in order, behind its commit."""
    partition = begun(Semantic.AT_MOST_ONCE)
    received: list[int] = []
    got: list[int] = []
    size = freed = 0
    coming = list(drawn)
    now = 0.0
    while coming or partition.chunk_wanted or partition.waits_for_commit:
        if coming and not data.draw(st.booleans()):
            one = piece_of(coming.pop(0), received[-1] + 1 if received else 0)
            received += offsets_of(one)
            size += one.size
            partition.receive(one)
        if partition.chunk_wanted:
            end = partition.take_chunk()
            partition.committing = end
            assert partition.buffered()[1] == size - freed
            if data.draw(st.integers(0, 3)) == 3:
                partition.commit_refused(now)
                continue
            pieces = partition.commit_confirmed(now)
            assert 1 <= len(offsets_of(*pieces)) <= MAX_CHUNK
            assert offsets_of(*pieces)[-1] == end - 1
            got += offsets_of(*pieces)
        now += data.draw(st.floats(0, 1))
        stuck = not (coming or partition.chunk_wanted)
        if got and (stuck or data.draw(st.booleans())):
            freed += partition.moved(got[-1] + 1, now)[1]
    assert got == received
    partition.moved(received[-1] + 1, now)
    assert partition.counts.handled == partition.counts.consumed == len(received)
    assert partition.buffered() == (0, 0)


@given(st.lists(batches, min_size=1, max_size=6), st.data())
def test_a_partition_accounts_for_every_record_and_byte(
    drawn: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """D50: what comes in is set free once, whatever way the partition ends; what is handled is counted once."""
    partition = begun(Semantic.AT_LEAST_ONCE)
    taken = freed = records = 0
    at, end = 0, 0
    for batch in drawn:
        one = piece_of(batch, end)
        end = one.end
        taken += one.size
        records += len(one.records)
        partition.receive(one)
        partition.next_pieces()
        if data.draw(st.booleans()):
            at = data.draw(st.integers(at, end))
            freed += partition.moved(at, 0.0)[1]
        assert partition.buffered()[1] == taken - freed
    handled = data.draw(st.integers(at, end))
    match data.draw(st.sampled_from(["worker ends", "drain and worker ends", "close"])):
        case "worker ends":
            freed += partition.worker_ended(handled, 0.0)[1]
            partition.settle(handled)
        case "drain and worker ends":
            freed += partition.drain()[1]
            freed += partition.worker_ended(handled, 0.0)[1]
            partition.settle(handled)
        case _:
            handled = at
            freed += partition.close()[1]
    assert freed == taken
    assert partition.buffered() == (0, 0)
    below = sum(1 for batch_offset in _all_offsets(drawn) if batch_offset < handled)
    assert partition.counts.handled == below
    assert partition.counts.consumed == records


def _all_offsets(drawn: list[list[tuple[int, int]]]) -> list[int]:
    found, end = [], 0
    for batch in drawn:
        one = piece_of(batch, end)
        found += offsets_of(one)
        end = one.end
    return found
