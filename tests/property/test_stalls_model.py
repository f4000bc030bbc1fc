"""The watch for stuck partitions against what a partition went through, step by step (D72)."""

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from tests.pieces import tp_of

from humus.queue.kafka._partition import Key
from humus.queue.kafka._stalls import Ends, Seen, Stalls

TIMEOUT = 8.0
KEY = Key(tp_of(0), 1)


@dataclass(frozen=True)
class Step:
    """A second of a partition's life, and whether the cluster answers in it."""

    moves: bool = False
    excused: bool = False
    paused: bool = False
    behind: bool = True
    answers: bool = True


def _rarely() -> st.SearchStrategy[bool]:
    return st.integers(0, 19).map(lambda one: one == 0)


steps = st.builds(
    Step, _rarely(), _rarely(), _rarely() | st.booleans(), _rarely().map(lambda rare: not rare), _rarely().map(bool)
) | st.just(Step())
lives = st.lists(st.tuples(steps, st.integers(1, 12)), max_size=25).map(
    lambda runs: [step for step, times in runs for _ in range(times)]
)


def _run(life: list[Step]) -> tuple[list[int], list[int]]:
    """Live through it; return the seconds in which a stall began, and in which something was asked."""
    stalls = Stalls(TIMEOUT)
    position = 0
    began, asked = [], []
    for now, step in enumerate(life):
        position += step.moves
        found = stalls.look(now, [Seen(KEY, position, position, step.excused, step.paused)])
        began += [now for _ in found.began]
        if found.ask:
            asked.append(now)
            end = position + step.behind
            stalls.told([KEY], {KEY.tp: Ends(0, end, None)} if step.answers else {}, now)
    assert stalls.total == len(began)
    return began, asked


@given(lives)
def test_a_stall_is_never_reported_without_cause(life: list[Step]) -> None:
    """D72: it stood still, with no excuse, for at least the time-out of its own time, and was behind all that time."""
    began, asked = _run(life)
    for now in began:
        own = 0
        since = now
        while own < TIMEOUT:
            assert since >= 0, f"reported at {now}, after {own} s of its own time"
            step = life[since]
            assert not step.excused, f"reported at {now}, excused at {since}"
            assert not step.moves or own == TIMEOUT, f"reported at {now}, moved at {since}"
            own += not life[since].paused
            since -= 1
        told = [at for at in asked if since < at <= now]
        assert told, f"reported at {now}, and nobody was asked"
        assert all(life[at].answers and life[at].behind for at in told), f"reported at {now}, against an answer"


@given(lives)
def test_a_partition_that_is_stuck_is_reported(life: list[Step]) -> None:
    """D72: whatever came before, it is reported within one and a half time-outs, and the looks between."""
    stuck = [Step()] * int(TIMEOUT * 2 + 6)
    began, _ = _run([*life, Step(moves=True), *stuck])
    assert [now for now in began if now > len(life)] != []


@given(lives)
def test_nobody_is_asked_without_need(life: list[Step]) -> None:
    """D72: at least half the time-out lies between a movement, or a question, and the next question."""
    _, asked = _run(life)
    for now in asked:
        assert not any(life[at].moves or life[at].excused for at in range(max(0, now - int(TIMEOUT / 2) + 1), now + 1))
    assert all(later - earlier >= TIMEOUT / 2 for earlier, later in itertools.pairwise(asked))
