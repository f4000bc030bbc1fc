"""The buffer in a small world of its own: polls that obey it, partitions that are stuck, slow or quick."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pieces import tp_of

from humus.queue.kafka._flow import PATIENCE, TURN, Flow
from humus.queue.kafka._message import TopicPartition

POLL = 0.01
"""Seconds between two polls."""


@dataclass
class Shell:
    """Does what the loop does with a `Flow`: takes no more than it may, of none that is paused; accounts for all."""

    flow: Flow
    tps: list[TopicPartition]
    record: int
    now: float = 0.0
    paused: dict[TopicPartition, bool] = field(default_factory=dict)
    held: Counter[TopicPartition] = field(default_factory=Counter)  # records, by the model
    got: Counter[TopicPartition] = field(default_factory=Counter)
    pauses: int = 0
    batch: int = 0

    def __post_init__(self) -> None:
        for tp in self.tps:
            self.flow.add(tp)
            self.paused[tp] = True
        self.plan()

    def poll(self, order: list[TopicPartition], have: dict[TopicPartition, int] | None = None) -> None:
        """Take as much as is allowed, from the partitions in this order, of which each has plenty (or `have`)."""
        self.now += POLL
        room = self.flow.take()
        assert room >= 1
        room = min(room, max(1, self.flow.max_bytes // 4 // self.record))  # the client's own queue holds no more (D50)
        for tp in order:
            some = min(room, 10**9 if have is None else have[tp])
            if room and some and not self.paused[tp]:
                room -= some
                self.held[tp] += some
                self.got[tp] += some
                self.batch = max(self.batch, some * self.record)
                self.flow.took(tp, some, some * self.record)
                if have is not None:
                    have[tp] -= some
        self.plan()

    def plan(self) -> None:
        """Pause and resume as told."""
        plan = self.flow.plan(self.now)
        for tp in plan.pause:
            self.paused[tp] = True
            self.pauses += 1
        for tp in plan.resume:
            assert self.paused[tp], "resumed and not paused"
            self.paused[tp] = False
        assert not set(plan.pause) & set(plan.resume)

    def free(self, tp: TopicPartition, records: int | None = None) -> None:
        """Handle records of a partition, all of them by default."""
        some = self.held[tp] if records is None else min(records, self.held[tp])
        self.held[tp] -= some
        self.flow.freed(tp, some, some * self.record)

    def check(self) -> None:
        """Hold the books and the bound."""
        assert self.flow.records == sum(self.held.values())
        assert self.flow.size == sum(self.held.values()) * self.record
        assert self.flow.size < self.flow.max_bytes + self.batch


def shell(partitions: int, record: int = 100, max_bytes: int = 1_000_000, max_fetches: int | None = None) -> Shell:
    """Make a flow with so many partitions, and all of it that is around."""
    return Shell(Flow(max_bytes, max_fetches), [tp_of(number) for number in range(partitions)], record)


def flow_closed(world: Shell) -> bool:
    """Look at the gate."""
    return world.flow.closed


moves = st.lists(
    st.tuples(st.sampled_from(["poll", "free some", "free all", "hold", "again", "remove"]), st.integers(0, 11)),
    max_size=60,
)


@given(st.integers(1, 12), st.integers(1, 200_000), moves)
def test_the_books_are_a_models_and_the_bound_holds(partitions: int, record: int, moves: list[tuple[str, int]]) -> None:
    """D50: whatever happens, the sums are those of the model, and stay below the buffer plus one batch."""
    world = shell(partitions, record)
    gone: set[TopicPartition] = set()
    for what, number in moves:
        tp = world.tps[number % partitions]
        match what:
            case "poll":
                world.poll([one for one in [tp, *world.tps] if one not in gone])
            case "free some":
                world.free(tp, number)
            case "free all":
                world.free(tp)
            case "hold" if tp not in gone:
                world.flow.hold(tp)
            case "again":
                world.held[tp] = 0
                world.flow.add(tp)
                world.paused[tp] = True
                gone.discard(tp)
            case "remove":
                world.held[tp] = 0
                world.flow.remove(tp)
                gone.add(tp)
        world.plan()
        world.check()
    for tp in world.tps:
        world.free(tp)
    assert (world.flow.size, world.flow.records) == (0, 0)


@settings(max_examples=60)
@given(st.integers(2, 16), st.data())
def test_no_number_of_stuck_partitions_starves_the_last_one(partitions: int, data: st.DataObject) -> None:
    """D2 D50: with any of them stuck, and their records always first in line, the others go on at full batches."""
    max_bytes = data.draw(st.sampled_from([1_000_000, 64 * 1024 * 1024]))
    largest = max_bytes // (16 * partitions)
    world = shell(partitions, data.draw(st.integers(1, largest)), max_bytes)
    free = data.draw(st.sets(st.sampled_from(world.tps), min_size=1, max_size=partitions - 1))
    order = [tp for tp in world.tps if tp not in free] + sorted(free)
    for _ in range(200):  # 2 s
        world.poll(order)
        for tp in free:
            world.free(tp)
        world.check()
    before = Counter(world.got)
    closed = 0
    for _ in range(100):
        world.poll(order)
        for tp in free:
            world.free(tp)
        closed += world.flow.closed
    assert closed < 50, "the gate is closed more often than not, for partitions that are never handled"
    assert sum(world.got[tp] - before[tp] for tp in free) > 100
    if len(free) == 1:
        assert all(world.got[tp] > before[tp] for tp in free)


@given(st.integers(2, 12), st.integers(1, 5), st.integers(1, 5))
def test_turns_let_so_many_fetch_and_everyone_in_turn(partitions: int, limit: int, brokers: int) -> None:
    """D51: below the number of brokers at most `max_concurrent_fetches` partitions fetch, and each gets its turn."""
    world = shell(partitions, max_fetches=limit)
    world.flow.brokers(brokers)
    world.plan()
    served: set[TopicPartition] = set()
    rounds = -(-partitions // limit)
    while world.now < TURN * (rounds + 1):
        world.now += POLL
        world.plan()
        fetching = {tp for tp in world.tps if not world.paused[tp]}
        assert len(fetching) == (min(limit, partitions) if limit < brokers else partitions)
        served |= fetching
    assert served == set(world.tps)


def test_a_turn_lasts_a_second() -> None:
    """D51: turns change every second, not at every plan, for a change throws away what was prefetched."""
    world = shell(4, max_fetches=1)
    world.flow.brokers(3)
    world.plan()
    before = world.pauses
    for _ in range(1000):  # 10 s
        world.now += POLL
        world.plan()
    assert 9 <= world.pauses - before <= 11


def test_a_full_partition_gives_up_its_turn() -> None:
    """D51: a turn is not wasted on a partition that may not fetch."""
    world = shell(3, max_fetches=1)
    world.flow.brokers(3)
    world.plan()
    for _ in range(500):
        world.poll(world.tps)
        for tp in world.tps[1:]:
            world.free(tp)
        world.check()
    assert world.got[world.tps[1]] > 0
    assert world.got[world.tps[2]] > 0


@pytest.mark.parametrize("partitions", [2, 3, 4, 6, 8, 24])
def test_while_all_are_busy_nothing_is_paused(partitions: int) -> None:
    """D50: while everything is full nothing is purged: less is taken, and nobody is paused."""
    world = shell(partitions)
    before = world.pauses
    most = 0
    for number in range(2000):
        world.poll(world.tps[number % partitions :] + world.tps[: number % partitions], dict.fromkeys(world.tps, 40))
        for tp in world.tps:
            world.free(tp, 2)
        most = max(most, world.flow.size)
        world.check()
    assert world.flow.closed or most > world.flow.max_bytes / 4
    assert world.pauses == before


def test_everything_is_paused_at_the_end_of_the_buffer_and_resumed_with_a_quarter_free() -> None:
    """D50: the bound holds whatever it costs, and does not flutter."""
    world = shell(1)
    [tp] = world.tps
    while not world.paused[tp] and world.flow.size < world.flow.max_bytes * 2:
        world.poll([tp])
    assert world.flow.max_bytes <= world.flow.size < world.flow.max_bytes + world.batch
    world.free(tp, 2000)
    world.plan()
    assert world.paused[tp]
    world.free(tp, 600)
    world.plan()
    assert not world.paused[tp]


def test_a_slow_partition_is_paused_alone_and_resumed() -> None:
    """D2 D50: what fills its share is paused, the others are not; room makes it come back."""
    world = shell(4, 1000, 64 * 1024 * 1024)
    slow, *quick = world.tps
    for _ in range(300):
        world.poll([slow, *quick])
        for tp in quick:
            world.free(tp)
    assert world.paused[slow]
    assert not any(world.paused[tp] for tp in quick)
    assert world.flow.any_paused
    world.free(slow)
    world.plan()
    assert not world.paused[slow]
    assert not world.flow.any_paused


def test_patience_ends_when_one_starves_behind_a_closed_gate() -> None:
    """D2: evenly filled, none is above its share, and yet the gate is closed for the one that has nothing to do."""
    world = shell(8)
    *stuck, starving = world.tps
    number = 0
    while not flow_closed(world):
        number += 1
        world.poll([stuck[number % 7]], dict.fromkeys(stuck, 30))
    assert not any(world.paused.values())
    begun = world.now
    while world.now < begun + 3 * PATIENCE:
        world.poll(stuck)
    assert [tp for tp in world.tps if not world.paused[tp]] == [starving]
    assert not flow_closed(world)
    world.poll(world.tps)
    assert world.held[starving] > 10


def test_an_epoch_is_told_its_pause_or_resume_from_the_start() -> None:
    """D44: a pause survives in the client, so each new epoch is told where it stands."""
    flow = Flow(1000)
    flow.add(tp_of())
    assert flow.plan(0.0).resume == [tp_of()]
    assert flow.plan(0.0).resume == []
    flow.add(tp_of())
    assert flow.plan(0.0).resume == [tp_of()]


def test_a_held_partition_stays_paused() -> None:
    """D40: what drains or is halted fetches nothing more in its epoch, however much room there is."""
    flow = Flow(1000)
    flow.add(tp_of())
    flow.plan(0.0)
    flow.hold(tp_of())
    assert flow.plan(0.0).pause == [tp_of()]
    assert flow.plan(9.0).resume == []
    assert flow.paused(tp_of())


def test_large_records_are_taken_one_by_one_at_first() -> None:
    """D50: before the size of records is known, and where they are as large as the buffer, a take is small."""
    flow = Flow(1_000_000)
    flow.add(tp_of())
    assert flow.take() < 40
    flow.took(tp_of(), 1, 900_000)
    assert flow.take() == 1
