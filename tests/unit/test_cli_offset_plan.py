"""Where offsets are to go: pure, against what a group and its partitions have."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humus.cli._offset_plan import Goal, Have, NotPossible, choose_partitions, parse_goal, plan_reset
from humus.errors import ConfigError
from humus.queue.kafka._message import TopicPartition

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = TopicPartition("orders", 0)
logs = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda each: (each[0], each[0] + each[1]))


def have(begin: int, end: int, committed: int | None, at_time: int | None = None) -> Have:
    """Return one partition."""
    return Have({AT: committed}, {AT: begin}, {AT: end}, {} if at_time is None else {AT: at_time})


@pytest.mark.parametrize(
    ("to", "shift", "goal"),
    [
        ("earliest", None, Goal(edge="earliest")),
        ("latest", None, Goal(edge="latest")),
        ("0", None, Goal(offset=0)),
        ("1234", None, Goal(offset=1234)),
        (None, -3, Goal(shift=-3)),
        ("2026-01-31T11:00:00Z", None, Goal(time=1_769_857_200_000)),
        ("2026-01-31T12:00:00.5+01:00", None, Goal(time=1_769_857_200_500)),
        ("1h", None, Goal(time=1_769_857_200_000)),
    ],
)
def test_a_goal_is_a_word_a_number_a_time_or_a_shift(to: str | None, shift: int | None, goal: Goal) -> None:
    """Every form of `--to` and `--shift` is understood."""
    assert parse_goal(to, shift, NOW) == goal


@pytest.mark.parametrize(
    ("to", "shift"),
    [
        *((None, None), ("latest", 1), ("", None), ("yesterday", None), ("-5", None), ("9" * 19, None)),
        *(("2026-01-31", None), ("2026-01-31T12:00:00", None), ("99999999d", None), ("٣", None)),
    ],
)
def test_what_is_no_goal_is_a_wrong_argument(to: str | None, shift: int | None) -> None:
    """Nothing is guessed: a time without its zone is refused as well."""
    with pytest.raises(ConfigError):
        parse_goal(to, shift, NOW)


@given(logs, st.none() | st.integers(0, 120), st.integers(-120, 120))
def test_a_shift_never_leaves_the_log(log: tuple[int, int], committed: int | None, by: int) -> None:
    """It ends within the log, says so where it had to stop, and needs something to shift from."""
    begin, end = log
    if committed is None:
        with pytest.raises(NotPossible, match="nothing committed to shift from"):
            plan_reset(Goal(shift=by), [AT], have(begin, end, committed))
        return
    [change] = plan_reset(Goal(shift=by), [AT], have(begin, end, committed))
    assert begin <= change.after <= end
    assert (change.after == committed + by) == (not change.note)


@given(logs, st.integers(0, 120))
def test_a_named_offset_is_in_the_log_or_refused(log: tuple[int, int], offset: int) -> None:
    """An offset that somebody named is meant: it is never moved to the nearest one."""
    begin, end = log
    if begin <= offset <= end:
        [change] = plan_reset(Goal(offset=offset), [AT], have(begin, end, None))
        assert (change.before, change.after) == (None, offset)
    else:
        with pytest.raises(NotPossible, match=f"has no offset {offset}: its log goes from {begin} to {end}"):
            plan_reset(Goal(offset=offset), [AT], have(begin, end, None))


@given(logs)
def test_edges_and_times(log: tuple[int, int]) -> None:
    """The first offset, the one past the last, the first since a time; the end where there is none since then."""
    begin, end = log
    assert plan_reset(Goal(edge="earliest"), [AT], have(begin, end, 7))[0].after == begin
    assert plan_reset(Goal(edge="latest"), [AT], have(begin, end, 7))[0].after == end
    assert plan_reset(Goal(time=1), [AT], have(begin, end, 7, at_time=begin))[0].after == begin
    [change] = plan_reset(Goal(time=1), [AT], have(begin, end, 7))
    assert change.after == end
    assert change.note


def test_one_fault_refuses_all_partitions() -> None:
    """No partition moves where another one cannot; every fault is named."""
    other = TopicPartition("orders", 1)
    both = Have({}, {AT: 0, other: 0}, {AT: 9, other: 3}, {})
    with pytest.raises(NotPossible) as refused:
        plan_reset(Goal(offset=5), [AT, other], both)
    assert str(refused.value) == "orders[1] has no offset 5: its log goes from 0 to 3\nnothing was changed"


def test_partitions_that_are_not_there_are_named() -> None:
    """A topic or a partition that does not exist is a fault, and the others are still chosen."""
    chosen, faults = choose_partitions(
        {"a": frozenset(), "b": frozenset({0, 4}), "c": frozenset({1})}, {"a": 2, "b": 1}
    )
    assert chosen == [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
    assert faults == [
        "b has no partition 4: there is only partition 0",
        "there is no topic c, or this user may not see it",
    ]


def test_how_long_ago_is_before_now() -> None:
    """A duration means that long ago."""
    assert parse_goal("1d12h", None, NOW).time == round((NOW - timedelta(hours=36)).timestamp() * 1000)
