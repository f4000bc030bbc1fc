"""Replays of a topic, with any filters and any interruptions, against a broker that is a few lines long."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humus.cli._letters import Origin
from humus.cli._progress import Progress
from humus.cli._replay_plan import Found, Plan, Range, Rules, Step, Target, after, faults_of, make_plan

TOPICS = {"orders": 2, "other": 1, "orders.dlt": 2}
RULES = Rules("orders.dlt", skip_foreign=True)

letters = st.lists(
    st.tuples(
        st.integers(0, 1),  # the partition of the letter
        st.integers(1, 3),  # how far its offset is from the one before: transactions leave gaps
        st.integers(0, 12),  # which record it is of; the same one twice is a copy
        st.booleans(),  # whether it is foreign
    ),
    max_size=20,
)
runs = st.lists(
    st.tuples(
        st.sets(st.integers(0, 12)),  # which records the filters choose
        st.none() | st.integers(1, 5),  # the limit
        st.integers(0, 20),  # after how many letters it is killed
        st.integers(1, 4),  # letters a batch
        st.booleans(),  # whether the progress is written and read again
    ),
    max_size=6,
)


def found_in(written: list[tuple[int, int, int, bool]]) -> tuple[dict[int, list[Found]], dict[int, Range]]:
    """Return the letters of both partitions and where these end."""
    found: dict[int, list[Found]] = {0: [], 1: []}
    ends = {0: 10, 1: 0}
    for partition, step, record, foreign in written:
        offset = ends[partition] + step - 1
        ends[partition] = offset + 1
        origin = None if foreign else Origin("orders", record % 2, record, None)
        identity = None if foreign else b"%d" % record
        found[partition].append(Found(partition, offset, 0, origin, identity, chosen=True, replays=0))
    return found, {0: Range(10, 10, ends[0] + 2), 1: Range(0, 0, ends[1])}


@given(letters, runs)
def test_no_record_is_replayed_twice_and_none_is_lost(
    written: list[tuple[int, int, int, bool]],
    replays: list[tuple[set[int], int | None, int, int, bool]],
) -> None:
    """Whatever was chosen, and wherever it was killed: at the end each record went out once, and all is done."""
    found, ranges = found_in(written)
    progress: dict[int, Progress] = {}
    sent: Counter[int] = Counter()
    everything = set(range(13))
    for chosen, limit, killed_after, size, stored in [*replays, (everything, None, 99, 3, True)]:
        view = {
            partition: [
                each._replace(chosen=each.origin is not None and each.origin.offset in chosen) for each in each_of
            ]
            for partition, each_of in found.items()
        }
        plan = make_plan(view, ranges, progress, TOPICS, Rules("orders.dlt", skip_foreign=True, limit=limit))
        assert faults_of(plan, RULES, "g") == []
        assert limit is None or plan.to_send <= limit
        steps = plan.steps[:killed_after]
        whole = steps if killed_after >= len(plan.steps) else steps[: len(steps) - len(steps) % size]
        for start in range(0, len(whole), size):  # a transaction: both, or neither
            batch = whole[start : start + size]
            sent.update(record_at(found, step) for step in batch if step.target is not None)
            progress = after(batch, ranges, progress)
        if stored:
            progress = {at: Progress.read(each.below, each.metadata()) for at, each in progress.items()}
    records = {each.origin.offset for each_of in found.values() for each in each_of if each.origin is not None}
    assert sent == Counter(dict.fromkeys(records, 1))
    if not any(foreign for *_, foreign in written):
        assert {at: each for at, each in progress.items() if found[at]} == {
            at: Progress(ranges[at].end) for at in found if found[at]
        }


def record_at(found: dict[int, list[Found]], step: Step) -> int:
    """Return which record a step sends."""
    [origin] = [each.origin for each in found[step.partition] if each.offset == step.offset]
    assert origin is not None
    return origin.offset


def one(origin: Origin | None, **changes: Any) -> Found:
    """Return a letter."""
    return Found(0, 3, 1000, origin, None, chosen=True, replays=0)._replace(**changes)


def plan_of(*letters: Found, progress: dict[int, Progress] | None = None, **rules: Any) -> tuple[Plan, list[str]]:
    """Plan letters of one partition, and say what is wrong with it."""
    given_rules = Rules("orders.dlt", **rules)
    plan = make_plan({0: letters}, {0: Range(0, 0, 9)}, progress or {}, TOPICS, given_rules)
    return plan, faults_of(plan, given_rules, "g")


HERE = Origin("orders", 1, 5, None)


def test_a_letter_goes_where_it_came_from() -> None:
    """To its partition; where that is not there any more, as the key says; elsewhere only where that is asked."""
    assert plan_of(one(HERE))[0].steps == [Step(0, 3, (0, 9), Target("orders", 1))]
    assert plan_of(one(HERE._replace(partition=2)))[0].steps == [Step(0, 3, (0, 9), Target("orders", None))]
    assert plan_of(one(HERE), to="other")[0].steps == [Step(0, 3, (0, 9), Target("other", None))]


@pytest.mark.parametrize(
    ("letter", "rules", "fault"),
    [
        (one(None), {}, "orders.dlt[0]@3 is no dead letter of ours: no header says which topic it came from"),
        (one(Origin("orders.dlt", 0, 0, None)), {}, "orders.dlt[0]@3 is from the dead-letter topic itself"),
        (one(HERE), {"to": "orders.dlt"}, "orders.dlt[0]@3 is from the dead-letter topic itself"),
        (one(Origin("gone", 0, 0, None)), {}, "the topic gone does not exist, and 1 letter came from there"),
        (one(HERE), {"to": "gone"}, "the topic gone does not exist: create it first"),
        (one(HERE), {"forgotten_before": 1001}, "orders.dlt[0]@3 is older than the broker remembers"),
        (one(HERE, timestamp=None), {"forgotten_before": 1}, "orders.dlt[0]@3 is older than the broker remembers"),
    ],
)
def test_what_cannot_be_replayed_is_named(letter: Found, rules: dict[str, Any], fault: str) -> None:
    """Before anything is sent, with the letter's place and what to do."""
    _, faults = plan_of(letter, **rules)
    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_what_the_user_says_settles_it() -> None:
    """`--skip-foreign` passes over, `--to` gives a target, `--first-time` and known progress settle the doubt."""
    assert plan_of(one(None), skip_foreign=True)[0].passed_over == 1
    assert plan_of(one(None), to="other") == plan_of(one(HERE), to="other")
    assert plan_of(one(HERE), forgotten_before=1001, first_time=True)[1] == []
    assert plan_of(one(HERE), forgotten_before=1001, progress={0: Progress(0)})[1] == []
    assert plan_of(one(HERE), forgotten_before=1000)[1] == []
    assert plan_of(one(HERE, chosen=False), forgotten_before=1001)[1] == []


def test_many_of_a_kind_are_counted() -> None:
    """An error names the first of them."""
    _, [fault] = plan_of(*(one(None, offset=offset) for offset in range(8)))
    assert fault.startswith("orders.dlt[0]@0, orders.dlt[0]@1, orders.dlt[0]@2, orders.dlt[0]@3, orders.dlt[0]@4 and 3")


def test_progress_of_an_earlier_topic_is_no_progress() -> None:
    """Offsets past the end are those of a topic that was deleted: nothing is passed over in silence."""
    _, faults = plan_of(one(HERE), progress={0: Progress(10)})
    assert faults[0].startswith("the progress of the group g is past the end of partition 0 of orders.dlt")


def test_progress_that_does_not_fit_is_known_before() -> None:
    """A choice so scattered that the broker could not keep it is refused before anything is sent."""
    scattered = [one(HERE, offset=offset) for offset in range(60_000)]
    luck = 1
    chosen = []
    for letter in scattered:
        luck = luck * 1103515245 % 2**31 + 12345
        chosen.append(letter._replace(chosen=luck & 0x10000 > 0))
    given_rules = Rules("orders.dlt")
    plan = make_plan({0: chosen}, {0: Range(0, 0, 60_000)}, {}, TOPICS, given_rules)
    [fault] = faults_of(plan, given_rules, "g")
    assert "the progress does not fit into a committed offset" in fault


def test_progress_of_a_partition_nobody_looked_at_stays_unknown() -> None:
    """A replay commits for the partitions that it knows, so that those without progress stay in doubt."""
    ranges = {0: Range(0, 0, 9), 1: Range(0, 0, 9)}
    assert after([Step(0, 3, (0, 4), None)], ranges, {}) == {0: Progress(4)}
    assert after([], ranges, {1: Progress(2)}) == {1: Progress(2)}


def test_letters_that_were_deleted_do_not_hold_progress_back() -> None:
    """What retention took is done with: the committed offset goes past it."""
    assert after([Step(0, 7, (5, 8), None)], {0: Range(5, 5, 8)}, {0: Progress(2)}) == {0: Progress(8)}
