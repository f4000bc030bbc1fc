"""The whole core in a simulated world: its guarantees hold in every run, and every run comes to rest."""

from collections import Counter

import pytest

from tests.simulation.storm import Storm, run
from tests.simulation.world import Rules

WORLDS = {
    "mixed": Rules(),
    "at least once": Rules(at_least_once=4, at_most_once=0),
    "at most once": Rules(at_least_once=0, at_most_once=3),
    "turns": Rules(max_fetches=1),
    "tight": Rules(buffer_max_bytes=2_000, drain_timeout=0.5, rebalance_timeout=1.5, commit_interval=0.1),
}


@pytest.mark.parametrize("name", WORLDS)
def test_guarantees_hold_in_a_storm(name: str) -> None:
    """D1 D10 D20 D21 D23 D40-D44 D46 D50 D60 D61: they hold at every step, and calm follows on the storm."""
    seen: Counter[str] = Counter()
    for seed in range(60):
        seen += run(seed, WORLDS[name], Storm())
    for what in ("assigned", "revoked", "lost", "removed", "stop", "kill", "cancel", "commit silence", "fatal"):
        assert seen[what], f"no run came through this: {what}"
