"""Alive, started, ready: what each probe says of what is known."""

import dataclasses

import pytest

from humus.health._facts import Facts, Phase, RuntimeFacts
from humus.health._verdicts import STARTS_WITHIN, TURNS_WITHIN, Verdict, liveness, readiness, startup

NOW = 1000.0
RUNNING = RuntimeFacts("orders", "running", made_at=NOW)


def facts(*runtimes: RuntimeFacts, phase: Phase = "running", loop_silent: float = 0.0) -> Facts:
    """Make the facts of an application."""
    return Facts(phase, NOW, loop_silent, runtimes or (RUNNING,))


def test_all_is_well() -> None:
    """A runtime that has joined and has nothing wrong, with or without partitions, passes all three."""
    assert [probe(facts()) for probe in (liveness, readiness, startup)] == [Verdict()] * 3


def test_a_runtime_that_tells_nothing_is_ready() -> None:
    """Of a runtime without a status nothing is known but that it runs."""
    silent = facts(RuntimeFacts("Other"))
    assert liveness(silent).passes
    assert readiness(silent).passes
    assert startup(silent).passes


def test_before_init_has_returned_it_is_alive_and_nothing_else() -> None:
    """While starting up it is alive, also while `init` blocks the loop."""
    starting = Facts("starting", NOW, 1000.0, ())
    assert liveness(starting).passes
    assert readiness(starting).problems == startup(starting).problems == ("starting: init has not returned yet",)


def test_started_is_not_joined() -> None:
    """Brokers that are away keep it from being ready, and neither from being alive nor from having started (D70)."""
    new = facts(dataclasses.replace(RUNNING, state="new"))
    joining = facts(dataclasses.replace(RUNNING, state="starting"))
    assert startup(new).problems == ("starting: it has not been started yet",)
    assert startup(joining).passes
    assert liveness(joining).passes
    assert readiness(new).problems == readiness(joining).problems == ("starting: the group has not been joined yet",)


def test_a_stop_is_unready_from_its_first_moment() -> None:
    """From the start of a shutdown it is not ready, whatever the runtimes still say, and alive to its end."""
    for state in ("running", "stopping", "stopped", "new"):
        stopping = facts(dataclasses.replace(RUNNING, state=state), phase="stopping")
        assert readiness(stopping).problems[0] == "stopping"
        assert liveness(stopping).passes
        assert startup(stopping).passes


@pytest.mark.parametrize("state", ["stopping", "stopped"])
def test_a_runtime_that_stops_by_itself_is_not_ready(state: str) -> None:
    """A runtime that was stopped while the application goes on handles nothing any more."""
    assert not readiness(facts(dataclasses.replace(RUNNING, state=state))).passes


def test_problems_make_it_unready_and_warnings_do_not() -> None:
    """Each problem is a line, as is each warning; a problem of a record does not call for a restart (D30, D31)."""
    line = "orders[3]@17: halted: no such customer"
    found = facts(dataclasses.replace(RUNNING, problems=(line,), warnings=("one broker away",)))
    assert readiness(found) == Verdict((line,), ("one broker away",))
    assert liveness(found).passes
    assert readiness(facts(dataclasses.replace(RUNNING, warnings=("one broker away",)))).passes


def test_a_stalled_partition_fails_liveness_by_name() -> None:
    """D72: a partition that has records and does not move fails liveness with its name."""
    stalled = facts(dataclasses.replace(RUNNING, stalled=("orders[3]@17: stalled for 61 s",)))
    assert liveness(stalled).problems == ("orders[3]@17: stalled for 61 s",)


@pytest.mark.parametrize(
    ("state", "silent", "passes"),
    [
        ("running", TURNS_WITHIN, True),
        ("running", TURNS_WITHIN + 1, False),
        ("stopping", TURNS_WITHIN + 1, False),
        ("starting", STARTS_WITHIN, True),
        ("starting", STARTS_WITHIN + 1, False),
        ("new", 1e6, True),
        ("stopped", 1e6, True),
    ],
)
def test_a_thread_that_does_not_turn_fails_liveness(state: str, silent: float, passes: bool) -> None:
    """Every runtime's own thread has to turn while there is one; at the start it may wait for the user's token."""
    found = facts(dataclasses.replace(RUNNING, state=state, made_at=NOW - silent))
    assert liveness(found).passes == passes
    if not passes:
        assert liveness(found).problems == (f"the runtime's own thread has not turned for {silent:.0f} s",)
        assert set(liveness(found).problems) <= set(readiness(found).problems)


def test_a_loop_that_does_not_turn_fails_liveness_and_readiness() -> None:
    """A blocked application loop shows as unhealthy."""
    assert liveness(facts(loop_silent=TURNS_WITHIN)).passes
    blocked = facts(loop_silent=TURNS_WITHIN + 1)
    [problem] = liveness(blocked).problems
    assert "the application's event loop has not turned for 11 s" in problem
    assert readiness(blocked).problems == (problem,)


def test_own_checks_count_for_readiness() -> None:
    """API: the user's own checks give the reason why not; a restart would not mend them."""
    assert readiness(facts(), ["database: connection refused"]).problems == ("database: connection refused",)


def test_with_several_runtimes_each_line_names_its_own() -> None:
    """Two groups in one process are told apart."""
    other = RuntimeFacts("audit", "running", problems=("a",), warnings=("b",), stalled=("c",), made_at=NOW)
    assert readiness(facts(RUNNING, other)) == Verdict(("audit: a",), ("audit: b",))
    assert liveness(facts(RUNNING, other)).problems == ("audit: c",)
