"""What the bench makes of the notes of several members: where partitions stood still, what they did side by side."""

import pytest
from bench.modes import MODES
from bench.modes.rebalance import Handled, interruptions
from bench.modes.scaling import Sample, together
from bench.work import MeasurementFailed

JOINED, UNTIL = 100.0, 108.0


def steadily(partition: int, member: int, first: int, begin: float, end: float, step: float = 0.5) -> list[Handled]:
    """Return a record every `step` seconds."""
    number = round((end - begin) / step)
    return [Handled(partition, first + at, begin + at * step, member) for at in range(number)]


STAYED = [*steadily(0, 0, 0, 98.0, 103.0), *steadily(0, 0, 10, 104.0, 110.0)]
"""Its last record before the pause is at 102.5, and the next one at 104."""
MOVED = [*steadily(1, 0, 0, 98.0, 102.0), *steadily(1, 1, 8, 105.0, 110.0)]
"""Its last one at the first member is at 101.5, the first one at the second at 105."""


def test_partitions_that_stay_and_that_move_are_told_apart() -> None:
    """The longest time without progress is that of each kind of partition, and what was normal before is told too."""
    figures = interruptions([*STAYED, *MOVED], JOINED, UNTIL)
    assert figures["stay_max_ms"] == figures["stay_p50_ms"] == pytest.approx(1500)
    assert figures["move_max_ms"] == figures["move_p50_ms"] == pytest.approx(3500)
    assert figures["before_ms"] == pytest.approx(500)
    assert (figures["moved"], figures["twice"]) == (1, 0)


def test_what_happens_at_the_end_of_a_run_does_not_count() -> None:
    """The first member leaves at the end of the run: what it leaves behind then has not moved by the join."""
    late = [*STAYED, *steadily(0, 1, 22, 112.0, 114.0)]
    figures = interruptions([*late, *MOVED], JOINED, UNTIL)
    assert figures["stay_max_ms"] == pytest.approx(1500)
    assert figures["moved"] == 1


def test_records_that_came_twice_are_counted() -> None:
    """A record that both members have handled is one that came twice."""
    figures = interruptions([*STAYED, *MOVED, Handled(1, 7, 104.9, 1)], JOINED, UNTIL)
    assert figures["twice"] == 1


def test_a_record_that_nobody_handled_fails_the_run() -> None:
    """A hole in the offsets is no figure but a fault."""
    with pytest.raises(MeasurementFailed, match="1 records of partition 1 were not handled"):
        interruptions([*STAYED, *(one for one in MOVED if one.offset != 7)], JOINED, UNTIL)


def test_a_join_that_moves_nothing_fails_the_run() -> None:
    """If the second member got nothing, there was nothing to measure."""
    with pytest.raises(MeasurementFailed, match="1 partitions stayed and 0 moved"):
        interruptions(STAYED, JOINED, UNTIL)


def test_a_partition_that_stands_still_to_the_end_is_told() -> None:
    """A partition without a record in the whole time has stood still for all of it."""
    figures = interruptions([*steadily(0, 0, 0, 90.0, 99.0), *MOVED], JOINED, UNTIL)
    assert figures["stay_max_ms"] == pytest.approx(8000)


def test_members_are_measured_while_all_of_them_work() -> None:
    """The rate of two is the sum of what each did between the later start and the earlier end."""
    first = [Sample(100 * at, 10.0 + at, 1.0 + 0.1 * at) for at in range(11)]
    second = [Sample(50 * at, 14.0 + at, 1.0 + 0.2 * at) for at in range(11)]
    figures = together([first, second])
    assert figures["msgs_per_s"] == pytest.approx(150)
    assert figures["seconds"] == pytest.approx(6)
    assert figures["cpu_us"] == pytest.approx((0.6 + 1.2) / 900 * 1e6)


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ([], "nothing to do"),
        ([Sample(1, 30.0, 1.0), Sample(2, 31.0, 1.0)], "side by side for 0.00 s"),
        ([Sample(1, 5.0, 1.0), Sample(2, 15.0, 1.0), Sample(3, 40.0, 1.0)], "stood still"),
    ],
)
def test_members_that_did_not_work_side_by_side_are_told(second: list[Sample], fault: str) -> None:
    """Without a time in which all work there is no figure."""
    first = [Sample(100 * at, 10.0 + at, 1.0) for at in range(11)]
    with pytest.raises(MeasurementFailed, match=fault):
        together([first, second])


@pytest.mark.parametrize("name", MODES)
def test_each_mode_names_what_it_has(name: str) -> None:
    """Yardsticks, champions, calls and what is left out are candidates of the mode, and each has a description."""
    mode = MODES[name]
    named = {mode.yardstick, mode.champion, *mode.yardsticks, *mode.yardsticks.values(), *mode.calls.values()} - {None}
    assert named | mode.on_request | mode.others <= mode.candidates.keys()
    assert all(candidate.what for candidate in mode.candidates.values())
    assert mode.chosen(frozenset())
