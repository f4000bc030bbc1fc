"""When a partition counts as stuck: whom to ask, when, and what follows from the answer (D72). Times are given."""

from collections.abc import Iterable

import pytest
from tests.pieces import tp_of

from humus.queue.kafka._partition import Key
from humus.queue.kafka._stalls import Ends, Look, Seen, Stalls

TIMEOUT = 60.0
A, B = Key(tp_of(0), 1), Key(tp_of(1), 1)


def seen(
    key: Key = A, position: int | None = 5, *, excused: bool = False, paused: bool = False, received: int | None = None
) -> Seen:
    """Make a partition as it is."""
    return Seen(key, position, position if received is None else received, excused, paused)


class Watched(Stalls):
    """The watch, with a cluster that answers at once."""

    def __init__(self, *, from_the_beginning: bool = True) -> None:
        super().__init__(TIMEOUT, from_the_beginning=from_the_beginning)
        self.ends: dict[Key, Ends] = {}
        self.asked: list[tuple[float, list[Key]]] = []
        self.began: list[tuple[float, int, int]] = []
        self.ended: list[float] = []

    def at(self, now: float, *partitions: Seen) -> Look:
        """Look, and let the cluster answer what it knows."""
        found = self.look(now, partitions)
        self.began += [(now, stall.position, stall.end) for stall in found.began]
        self.ended += [now for _ in found.ended]
        if found.ask:
            keys = [asked.key for asked in found.ask]
            self.asked.append((now, keys))
            self.told(keys, {key.tp: self.ends[key] for key in keys if key in self.ends}, now)
        return found

    def through(self, times: Iterable[int], *partitions: Seen) -> None:
        """Look once a second."""
        for now in times:
            self.at(float(now), *partitions)


def test_records_and_no_movement_for_the_time_out_is_a_stall() -> None:
    """D72: found behind twice, the time-out apart; it is reported once, with where it stands and where the log ends."""
    watched = Watched()
    watched.ends[A] = Ends(0, 9, None)
    watched.through(range(91), seen())
    assert watched.began == []
    watched.through(range(91, 1000), seen())
    assert watched.began == [(92, 5, 9)]
    assert watched.total == 1
    assert watched.stall(A.tp) is not None


def test_a_stall_ends_when_it_moves() -> None:
    """D72: the first record that comes ends it; a later one is another stall."""
    watched = Watched()
    watched.ends[A] = Ends(0, 9, None)
    watched.through(range(100), seen())
    watched.at(100, seen(received=6))
    assert watched.ended == [100]
    assert watched.stall(A.tp) is None
    watched.through(range(101, 300), seen(received=6))
    assert watched.total == 2


@pytest.mark.parametrize("how", ["excused", "gone", "new epoch", "caught up"])
def test_a_stall_ends_with_its_reason(how: str) -> None:
    """D72: also when a handler has work, when the partition leaves, and when its records are no longer there."""
    watched = Watched()
    watched.ends[A] = Ends(0, 9, None)
    watched.through(range(100), seen())
    assert watched.total == 1
    match how:
        case "excused":
            watched.at(100, seen(excused=True))
        case "gone":
            watched.at(100)
        case "new epoch":
            watched.at(100, seen(Key(A.tp, 2)))
        case _:
            watched.ends[A] = Ends(9, 9, None)
            watched.through(range(100, 160), seen())
    assert len(watched.ended) == 1
    assert watched.stall(A.tp) is None


def test_nobody_is_asked_about_while_it_moves() -> None:
    """D72: a partition that handles a record now and then costs no request."""
    watched = Watched()
    for now in range(1000):
        watched.at(now, seen(position=now // 20))
    assert watched.asked == []


def test_at_its_end_it_is_asked_about_twice_a_time_out_all_together() -> None:
    """D72: idle partitions cost one request for all of them, and are no stall."""
    watched = Watched()
    watched.ends = {A: Ends(0, 5, None), B: Ends(0, 5, None)}
    watched.through(range(600), seen(A), seen(B))
    assert [keys for _, keys in watched.asked] == [[A, B]] * 19
    assert watched.total == 0


def test_a_record_that_has_just_come_is_no_stall() -> None:
    """D72: the position stood still for hours at the log's end; the time-out counts from when it was seen behind."""
    watched = Watched()
    watched.ends[A] = Ends(0, 5, None)
    watched.through(range(3600), seen())
    watched.ends[A] = Ends(0, 6, None)
    watched.through(range(3600, 3650), seen())
    assert watched.total == 0


def test_without_an_answer_there_is_no_stall() -> None:
    """D72: while brokers are away nothing is known; they are asked again after half the time-out."""
    watched = Watched()
    watched.through(range(1000), seen())
    assert watched.total == 0
    assert [now for now, _ in watched.asked] == [*range(30, 1000, 30)]


def test_an_unanswered_question_begins_the_watch_anew() -> None:
    """D72: behind, then not answered: brokers were away for part of the time that it stood still."""
    watched = Watched()
    watched.ends[A] = Ends(0, 9, None)
    watched.through(range(60), seen())
    watched.ends.clear()
    watched.through(range(60, 92), seen())
    watched.ends[A] = Ends(0, 9, None)
    watched.through(range(92, 150), seen())
    assert watched.total == 0
    watched.through(range(150, 200), seen())
    assert watched.total == 1


def test_what_is_excused_is_never_asked_about() -> None:
    """D72: a handler at work, a retry, a halt, a drain and a handler left behind are reasons, however long."""
    watched = Watched()
    watched.ends[A] = Ends(0, 9, None)
    watched.through(range(3600), seen(excused=True))
    assert watched.asked == []
    assert watched.total == 0


def test_the_clock_stands_still_while_it_is_paused() -> None:
    """D72: a partition that fetches in turns stands still most of the time; its own turns count together."""
    watched = Watched()
    watched.ends[A] = Ends(0, 9, None)
    for now in range(2000):
        watched.at(now, seen(paused=now % 10 != 0))
    # 92 s of its own time, and the looks that a pause begins between.
    assert [900 <= now <= 960 for now, *_ in watched.began] == [True]


@pytest.mark.parametrize(
    ("position", "ends", "from_the_beginning", "stalled"),
    [
        (None, Ends(0, 9, 5), True, True),  # it begins at the committed offset
        (None, Ends(0, 9, 9), True, False),
        (None, Ends(0, 9, None), True, True),  # nothing is committed: it begins at the beginning
        (None, Ends(9, 9, None), True, False),
        (None, Ends(0, 9, None), False, False),  # or at an end that nobody knows
        (5, Ends(9, 9, None), True, False),  # all that it had to read was deleted
        (5, Ends(7, 9, None), True, True),
        (12, Ends(0, 9, None), True, False),
    ],
)
def test_where_it_goes_on(position: int | None, ends: Ends, from_the_beginning: bool, stalled: bool) -> None:
    """D72: before its first record a partition's position is what is committed, or what the reset policy says."""
    watched = Watched(from_the_beginning=from_the_beginning)
    watched.ends[A] = ends
    watched.through(range(200), seen(position=position))
    assert watched.total == stalled


def test_a_late_answer_counts_for_nothing() -> None:
    """D72: what was asked about an earlier epoch, or before it moved, says nothing of it now."""
    watched = Watched()
    watched.look(0.0, [seen()])
    assert watched.look(30.0, [seen()]).ask
    watched.look(31.0, [seen(position=6)])
    watched.told([A], {A.tp: Ends(0, 9, None)}, 32.0)
    watched.look(33.0, [seen(position=6)])
    watched.told([A], {A.tp: Ends(0, 9, None)}, 34.0)
    assert watched.look(60.0, [seen(position=6)]).ask == []
    assert watched.look(62.0, [seen(position=6)]).ask, "its own question comes when its own time is over"


def test_looks_are_due_often_enough() -> None:
    """D72: twenty looks a time-out, at most one a second."""
    for timeout, gap in ((60.0, 1.0), (2.0, 0.1)):
        stalls = Stalls(timeout)
        assert stalls.due(100.0)
        stalls.look(100.0, [])
        assert not stalls.due(100.0 + gap * 0.99)
        assert stalls.due(100.0 + gap * 1.01)
