"""The whole core in a simulated world: its guarantees hold in every run, and every run comes to rest."""

import pytest
from tests.simulation import report
from tests.simulation.search import Found, search
from tests.simulation.world import WORLDS

pytestmark = pytest.mark.timeout(400)  # half a minute on two free cores; others may be at work on them

STORMY_SEEDS = 8_000
GENTLE_SEEDS = 2_000

OFTEN = 50
GENTLE = (
    *("commit: in force", "commit: REBALANCE_IN_PROGRESS", "commit: ILLEGAL_GENERATION"),
    *("handler: letter", "a dead letter is there", "a record waits"),
    *("handler: ok", "handler: retry", "handler: skip", "pause", "resume", "start", "stop", "stopped"),
    *(
        "revoked while a commit is in flight",
        "revoked while a handler runs",
        "revoked while a record is tried again or waits",
    ),
    *("revoked while stopping", "stop during a revoke"),
    *("a record of the past", "nobody says where a partition begins"),
)
STORMY = (
    *GENTLE,
    *("commit: _TIMED_OUT", "commit: UNKNOWN_MEMBER_ID", "told to be gone"),
    *("told to be gone during a revoke", "handler: halt", "handler: fatal", "handler: long", "cancel", "unreadable"),
    *("kill", "freeze", "thaw", "thaw after the session", "removed", "lost", "given back late", "assigned too late"),
    *("a removed member goes on", "two members at one partition, one of them removed"),
    *("assigned while an earlier worker lives", "records come again", "records are lost"),
    *("lost while a commit is in flight", "lost while a handler runs", "lost while halted", "lost while stopping"),
    *("lost while a record is tried again or waits", "revoked while halted"),
    *(
        "killed while a commit is in flight",
        "killed while a handler runs",
        "killed while a record is tried again or waits",
    ),
    *("killed while halted", "killed while stopping"),
    "a wait for a dead letter is cut off",
    *("a worker of an earlier epoch says: WorkerDone", "an answer for an earlier epoch: refused"),
    "says: a handler was not done when the drain ended",
    "says: a handler was running when the partition was lost",
    "says: waits for a handler of an earlier epoch",
    "says: the handler of an earlier epoch has ended",
    "says: committed records are not handled and lost",
    "says: given back with commits outstanding",
    "says: lost with commits outstanding",
)
"""What must have happened often over all runs, so that the storm cannot become tame without a word."""
SELDOM = (
    *("revoked while held back", "an answer for an earlier epoch: in force", "says: left with commits outstanding"),
    *("a worker of an earlier epoch says: Failing", "a worker of an earlier epoch says: Halted"),
    *("a worker of an earlier epoch says: Fatal", "a worker of an earlier epoch says: Waits"),
    "a dead letter comes twice",
)


def _all_hold(storm: str, seeds: int) -> Found:
    found = search(storm, 0, seeds)
    if found.seed is not None and found.failure is not None:
        pytest.fail(report.of_seed(storm, found.seed, found.failure), pytrace=False)
    assert found.done == seeds
    return found


def test_guarantees_hold_in_a_storm() -> None:
    """D1 D10-D12 D20 D21 D23 D40-D44 D46 D50 D60 D61 D72: they hold at every step, and calm follows on the storm."""
    seen = _all_hold("stormy", STORMY_SEEDS).seen
    worlds = [f"world: {name}" for name, rules in WORLDS.items() if not rules.graceful]
    rare = {what: seen[what] for what in (*STORMY, *worlds) if seen[what] < OFTEN}
    assert not rare, f"hardly a run came through this: {rare}"
    never = [what for what in SELDOM if not seen[what]]
    assert not never, f"no run came through this: {never}"


def test_a_graceful_life_handles_every_record_exactly_once() -> None:
    """D40 D44 D61: rebalances, refused commits and stops with handlers that finish in time: 0 lost, 0 twice."""
    seen = _all_hold("gentle", GENTLE_SEEDS).seen
    worlds = [f"world: {name}" for name, rules in WORLDS.items() if rules.graceful]
    rare = {what: seen[what] for what in (*GENTLE, *worlds) if seen[what] < OFTEN}
    assert not rare, f"hardly a run came through this: {rare}"
    unwanted = [what for what in STORMY if what not in GENTLE and seen[what]]
    assert not unwanted, f"a graceful life has none of this: {unwanted}"
