"""The whole core in a simulated world: its guarantees hold in every run, and every run comes to rest."""

from collections import Counter

import pytest
from tests.simulation.storm import GENTLE, Storm, run
from tests.simulation.world import Rules

SEEDS = 60
WORLDS = {
    "mixed": Rules(),
    "at least once": Rules(at_least_once=4, at_most_once=0),
    "at most once": Rules(at_least_once=0, at_most_once=3),
    "turns": Rules(max_fetches=1),
    "tight": Rules(buffer_max_bytes=2_000, drain_timeout=0.5, rebalance_timeout=1.5, commit_interval=0.1),
}
TROUBLES = (
    *("revoked", "lost", "removed", "told to be gone", "unreadable", "stopped", "kill", "cancel", "halt", "fatal"),
    *("retry", "skip", "pause", "commit refused", "commit silence"),
)


@pytest.mark.parametrize("name", WORLDS)
def test_guarantees_hold_in_a_storm(name: str) -> None:
    """D1 D10 D20 D21 D23 D40-D44 D46 D50 D60 D61: they hold at every step, and calm follows on the storm."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += run(seed, WORLDS[name], Storm()).seen
    missing = [what for what in TROUBLES if not seen[what]]
    if not WORLDS[name].at_least_once:
        missing = [what for what in missing if what not in ("retry", "halt")]
    assert not missing, f"no run came through this: {missing}"


@pytest.mark.parametrize("name", ["mixed", "turns"])
def test_a_graceful_life_handles_every_record_exactly_once(name: str) -> None:
    """D40 D44 D61: rebalances, refused commits and stops with handlers that finish in time: 0 lost, 0 twice."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        world = run(seed, WORLDS[name], GENTLE)
        seen += world.seen
        for log in world.logs.values():
            wrong = {offset: log.handled[offset] for offset in log.records if log.handled[offset] != 1}
            assert not wrong, f"seed {seed}: {log.tp}: not handled exactly once: {wrong}"
            assert log.start == log.end
    assert not seen["cancel"]
    assert seen["revoked"] > SEEDS
    assert seen["stopped"] > SEEDS / 10
