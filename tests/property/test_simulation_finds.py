"""The simulation finds what it is there for: faults put into the core on purpose, each by the clause that it breaks."""
# ruff: noqa: SLF001 - a fault is put where the core decides

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import pytest
from tests.simulation.__main__ import main
from tests.simulation.search import search_here
from tests.simulation.shrink import attempt, from_text, shrink, story, to_text
from tests.simulation.storm import STORMS, draw

from humus.queue.kafka._assignment import Assignment
from humus.queue.kafka._commands import Commit, GiveBack, WorkerEvent
from humus.queue.kafka._commits import Commits
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._offsets import Offsets
from humus.queue.kafka._partition import Key, Partition, Piece, Start, State
from humus.queue.kafka._subscription import Semantic

MOST_SEEDS = 3000
"""Within so many seeds a fault is found; most are within a hundred."""

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]


def commits_one_too_far(patch: Patch) -> None:
    """The record in flight is committed with the ones before it."""
    right = Partition.commit_wanted

    def wrong(partition: Partition) -> int | None:
        offset = right(partition)
        return offset if offset is None or partition.semantic is Semantic.AT_MOST_ONCE else offset + bool(partition.fed)

    patch.setattr(Partition, "commit_wanted", wrong)


def commits_what_was_received(patch: Patch) -> None:
    """Received is taken for handled."""
    patch.setattr(Offsets, "handled_below", lambda self, _position: self.handled(self.watermark, self.end))


def forgets_the_epoch_of_a_completion(patch: Patch) -> None:
    """What a worker of an earlier epoch says counts for the partition as it is now."""
    patch.setattr(Assignment, "_current", lambda self, key: self._partitions.get(key.tp))


def forgets_the_epoch_of_an_answer(patch: Patch) -> None:
    """The answer to a commit of an earlier epoch counts for the next one."""
    right = Assignment.commit_confirmed

    def wrong(core: Assignment, tp: TopicPartition, offset: int, now: float) -> None:
        right(core, tp, offset, now)
        partition = core._partitions.get(tp)
        if partition is not None:
            partition.committed = offset

    patch.setattr(Assignment, "commit_confirmed", wrong)


def commits_on_lost(patch: Patch) -> None:
    """A lost partition is committed once more."""
    right = Assignment.lost

    def wrong(core: Assignment, tps: Iterable[TopicPartition], now: float) -> None:
        tps = list(tps)
        positions = {tp: core._partitions[tp].position for tp in tps if core.owns(tp)}
        right(core, tps, now)
        moved = {tp: (position, -1) for tp, position in positions.items() if position}
        if moved:
            core._do(Commit(moved))

    patch.setattr(Assignment, "lost", wrong)


def never_ends_a_drain(patch: Patch) -> None:
    """A revoke waits for its handlers for ever."""
    patch.setattr(Assignment, "_drain_by", lambda _self, _tp: float("inf"))
    patch.setattr("humus.queue.kafka._assignment._GIVE_BACK_AT", 1e9)


def gives_back_before_the_commit(patch: Patch) -> None:
    """A partition is given back while its last commit is on its way."""
    patch.setattr(Partition, "settled", property(lambda self: not self.has_worker))


def hires_beside_a_left_behind_handler(patch: Patch) -> None:
    """A new epoch does not wait for a handler that an earlier one left behind."""
    patch.setattr(Partition, "hands_over", property(lambda self: self.state in (State.RUNNING, State.HALTED)))


def waits_for_a_ghost_for_ever(patch: Patch) -> None:
    """A new epoch that waited for a left-behind handler does not go on when that has ended."""

    def wrong(core: Assignment, key: Any, position: int) -> None:
        ghost = core._ghosts.pop(key, None)
        if ghost is not None:
            core._settle(ghost.partition, position)

    patch.setattr(Assignment, "_ghost_ended", wrong)


def handles_before_the_commit(patch: Patch) -> None:
    """At most once: records are handed over when they arrive."""

    def wrong(partition: Partition) -> list[Piece]:
        return partition._feed(partition._take_held()) if partition.hands_over else []

    patch.setattr(Partition, "next_pieces", wrong)


def commits_three_chunks_ahead(patch: Patch) -> None:
    """At most once: a crash may lose three chunks."""
    patch.setattr("humus.queue.kafka._partition._CHUNKS_AHEAD", 3)


def hands_over_a_refused_chunk(patch: Patch) -> None:
    """At most once: a refused commit is taken for one in force."""

    def wrong(core: Assignment, tp: TopicPartition, offset: int, now: float, **_: bool) -> bool:
        core.commit_confirmed(tp, offset, now)
        return core.owns(tp)

    patch.setattr(Assignment, "commit_refused", wrong)


def drops_a_refused_chunk(patch: Patch) -> None:
    """At most once: records whose commit was refused are forgotten."""
    right = Partition.commit_refused

    def wrong(partition: Partition, retry_at: float) -> tuple[int, int]:
        partition._on_the_way.clear()
        return right(partition, retry_at)

    patch.setattr(Partition, "commit_refused", wrong)


def never_tries_a_commit_again(patch: Patch) -> None:
    """A refused commit is dropped."""
    right = Partition.commit_refused

    def wrong(partition: Partition, _retry_at: float) -> tuple[int, int]:
        return right(partition, float("inf"))

    patch.setattr(Partition, "commit_refused", wrong)


def forgets_what_a_revoke_drops(patch: Patch) -> None:
    """What a draining partition drops still counts as buffered."""
    right = Partition.drain

    def wrong(partition: Partition) -> tuple[int, int]:
        right(partition)
        return 0, 0

    patch.setattr(Partition, "drain", wrong)


def takes_without_a_bound(patch: Patch) -> None:
    """The buffer's bound is forgotten."""
    patch.setattr(Flow, "closed", property(lambda _self: False))
    patch.setattr(Flow, "take", lambda _self: 1000)
    patch.setattr(Flow, "_watch_gate", lambda _self, _now: None)


def never_resumes(patch: Patch) -> None:
    """A partition paused for being full stays paused."""
    right = Flow._judge

    def wrong(flow: Flow, slot: Any, even: float) -> None:
        if not slot.full:
            right(flow, slot, even)

    patch.setattr(Flow, "_judge", wrong)


def keeps_a_member_that_is_gone(patch: Patch) -> None:
    """Nothing follows from UNKNOWN_MEMBER_ID but the loss of the partitions: the revoke is not completed."""
    right = Assignment.member_gone

    def wrong(core: Assignment, reason: str, now: float) -> None:
        right(core, reason, now)
        core._commands = [command for command in core._commands if not isinstance(command, GiveBack)]

    patch.setattr(Assignment, "member_gone", wrong)


def stops_before_the_commits(patch: Patch) -> None:
    """A stop does not wait for its commits."""
    patch.setattr("humus.queue.kafka._assignment.COMMIT_GRACE", 0.0)
    patch.setattr(Partition, "settled", property(lambda self: not self.has_worker))


def never_stops(patch: Patch) -> None:
    """A stop waits for its commits for ever."""
    patch.setattr("humus.queue.kafka._assignment.COMMIT_GRACE", 1e9)


def goes_on_behind_a_halted_record(patch: Patch) -> None:
    """A halted record is passed over."""
    right = Assignment.worker_said

    def wrong(core: Assignment, event: WorkerEvent, now: float) -> None:
        right(core, event, now)
        partition = core._current(event.key)
        if partition is not None and partition.state is State.HALTED and partition.offsets is not None:
            partition.offsets.watermark = partition.offsets.end

    patch.setattr(Assignment, "worker_said", wrong)


def delivers_stale_records(patch: Patch) -> None:
    """Records that were received before are taken again."""

    def wrong(partition: Partition, piece: Piece) -> Piece | None:
        if partition.offsets is None:
            partition.offsets = Offsets(piece.first)
            partition.base = piece.first
        partition.offsets.end = max(partition.offsets.end, piece.end)
        partition._held.extend([piece, piece])
        return piece

    patch.setattr(Partition, "receive", wrong)


def commits_in_every_round(patch: Patch) -> None:
    """Commits are not held together."""
    patch.setattr(Commits, "due", lambda _self, _now: True)


def commits_half_as_often(patch: Patch) -> None:
    """More comes again after a crash than is promised."""
    right = Commits.__init__

    def wrong(commits: Commits, interval: float) -> None:
        right(commits, interval * 2)

    patch.setattr(Commits, "__init__", wrong)


def takes_what_is_below_the_start(patch: Patch) -> None:
    """An epoch begins with whatever record comes first."""
    right = Partition.receive

    def wrong(partition: Partition, piece: Piece) -> Piece | None:
        partition.start = None if partition.start is None else 0
        return right(partition, piece)

    patch.setattr(Partition, "receive", wrong)


def trusts_the_clients_first_position(patch: Patch) -> None:
    """An epoch begins where the client says that it is, also where that is behind a record of the past."""
    right = Partition.client_at

    def wrong(partition: Partition, position: int) -> None:
        partition.start = 0
        right(partition, position)

    patch.setattr(Partition, "client_at", wrong)


def asks_once_where_it_begins(patch: Patch) -> None:
    """Where nobody answers, a partition is never begun."""
    right = Assignment.started

    def wrong(core: Assignment, asked: Iterable[Key], starts: Mapping[TopicPartition, Start], now: float) -> None:
        right(core, [key for key in asked if key.tp in starts], starts, now)

    patch.setattr(Assignment, "started", wrong)


FAULTS: dict[Fault, set[str]] = {
    commits_one_too_far: {"D10"},
    commits_what_was_received: {"D10"},
    forgets_the_epoch_of_a_completion: {"D41"},
    forgets_the_epoch_of_an_answer: {"D41"},
    commits_on_lost: {"D43"},
    never_ends_a_drain: {"D46", "D60"},
    gives_back_before_the_commit: {"D40", "D60"},
    hires_beside_a_left_behind_handler: {"D42"},
    waits_for_a_ghost_for_ever: {"D72"},
    handles_before_the_commit: {"D20"},
    commits_three_chunks_ahead: {"D21"},
    hands_over_a_refused_chunk: {"D11", "D20", "D40"},
    drops_a_refused_chunk: {"D50", "D72"},
    never_tries_a_commit_again: {"D11", "D72"},
    forgets_what_a_revoke_drops: {"D50"},
    takes_without_a_bound: {"D50"},
    never_resumes: {"D72"},
    keeps_a_member_that_is_gone: {"D46"},
    stops_before_the_commits: {"D40", "D60"},
    never_stops: {"D60"},
    goes_on_behind_a_halted_record: {"D10"},
    delivers_stale_records: {"D1"},
    takes_what_is_below_the_start: {"D21", "D43"},
    trusts_the_clients_first_position: {"D21", "D43"},
    asks_once_where_it_begins: {"D72"},
    commits_in_every_round: {"D12"},
    commits_half_as_often: {"D11"},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_found_by_its_clause(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """D1-D72: the simulation can fail: a fault in the core is found, and what it breaks is named."""
    fault(monkeypatch)
    failure = search_here("stormy", 0, MOST_SEEDS).failure
    assert failure is not None, "not found"
    assert failure.clause in FAULTS[fault], failure.text


def test_a_failing_run_is_told_by_its_shortest_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """D41: of a failing run those steps are left without which the clause would hold, and they can be played again."""
    forgets_the_epoch_of_a_completion(monkeypatch)
    found = search_here("stormy", 0, MOST_SEEDS)
    assert found.seed is not None
    whole = draw(found.seed, STORMS["stormy"])
    shortest = shrink(whole, "D41")
    assert len(shortest.steps) <= 12 < len(whole.steps)
    again = from_text(to_text(shortest))
    assert again == shortest
    _, failure = attempt(again)
    assert failure is not None
    assert failure.clause == "D41"
    for at in range(len(shortest.steps)):
        _, without = attempt(replace(shortest, steps=shortest.steps[:at] + shortest.steps[at + 1 :]))
        assert without is None or without.clause != "D41", f"step {at} is not needed"


def test_a_failing_seed_ends_the_command_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """D10: `make simulate` names the seed, the clause, the steps, what happens, and the command that plays it again."""
    monkeypatch.setattr("sys.argv", ["simulate", "--seeds", "300", "--start", "7", "--jobs", "1"])
    assert main() == 0
    told = capsys.readouterr()
    assert "300 seeds of the stormy storm: every guarantee held" in told.out
    assert re.search(r"300 of 300 seeds, [\d,]+ a second, 0 min 0 s left", told.err)
    commits_one_too_far(monkeypatch)
    assert main() == 1
    told = capsys.readouterr()
    assert re.search(
        r"seed \d+ of the stormy storm fails: D10: orders\[\d\]: commit of \d+ passes the unhandled", told.out
    )
    assert re.search(r"\n {3}1 produce, then [\d.]+ s", told.out)
    assert re.search(r"has \d+ records, its end is \d+\n", told.out)
    command = re.search(r"make simulate ARGS=\"--replay '(.*)'\"", told.out)
    assert command is not None
    monkeypatch.setattr("sys.argv", ["simulate", "--replay", command[1]])
    assert main() == 1
    assert "passes the unhandled record" in capsys.readouterr().out
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere", "there is no world 'nowhere': one, two,"),
        ("one produce", "'produce' is no step: what:number:seconds"),
        ("one rain:1:0", "nothing is called 'rain': nothing, pass, produce,"),
        ("one produce:x:0", "'produce:x:0' is no step: what:number:seconds"),
    ],
)
def test_a_schedule_that_is_none_is_refused(
    text: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `--replay` cannot read is named, with what it may be."""
    monkeypatch.setattr("sys.argv", ["simulate", "--replay", text])
    assert main() == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("storm", STORMS)
def test_a_seed_is_the_same_run_each_time(storm: str) -> None:
    """A seed that fails fails again: two runs of it tell the same story, in another process too."""
    seeds = range(20)
    here = [story(draw(seed, STORMS[storm])) for seed in seeds]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = list(pool.map(story, [draw(seed, STORMS[storm]) for seed in seeds]))
    assert here == there
