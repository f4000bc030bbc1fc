"""A run from a seed: a storm of everything that can happen, then calm, after which nothing may be left undone."""

import math
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.simulation.world import Handlers, Rules, World

__all__ = ["Storm", "run"]

CALM_SECONDS = 300.0
"""Simulated seconds after which everything must be handled and committed."""


@dataclass(frozen=True, slots=True)
class Storm:
    """How often what happens, as weights, and how handlers behave meanwhile."""

    steps: int = 250
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "nothing": 20,
            "produce": 4,
            "assign": 4,
            "revoke": 2,
            "lose": 0.4,
            "remove": 0.4,
            "other member": 2,
            "answer": 12,
            "refuse": 2,
            "silence": 0.4,
            "stop": 0.3,
            "kill": 0.3,
            "unreadable": 0.2,
            "let go": 1,
            "brokers": 0.5,
        }
    )
    handlers: Handlers = field(
        default_factory=lambda: Handlers(
            seconds={(0.0, 0.002): 50, (0.0, 0.05): 10, (0.1, 2.0): 2, (3.0, 30.0): 0.3, (math.inf, math.inf): 0.1},
            ends={"ok": 100, "retry": 3, "skip": 2, "halt": 0.3, "fatal": 0.05},
            swallow=0.5,
        )
    )


def run(seed: int, rules: Rules, storm: Storm) -> Counter[str]:
    """Run one seed to its end; return what it came through.

    Raises:
        AssertionError: a guarantee does not hold; its text has the seed and all that happened.
    """
    random = Random(seed)
    world = World(rules, random)
    try:
        world.handlers = storm.handlers
        for _ in range(storm.steps):
            _step(world, storm)
        _calm(world)
    except Exception as error:
        history = "\n".join(world.history[-400:])
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{history}") from error
    return world.seen


def _step(world: World, storm: Storm) -> None:
    [what] = world.random.choices(list(storm.weights), list(storm.weights.values()))
    _happen(world, what)
    # Rounds of the real loop are never further apart than its longest wait.
    world.pass_time(world.random.choice((0.0, 0.001, 0.002, 0.02, 0.1, 0.2)))
    if world.random.random() < 0.9:
        world.round()
    if world.stopped:
        world.after_stop()
    if world.removed and not _rebalancing(world) and world.random.random() < 0.1:
        _lose_all(world)


def _rebalancing(world: World) -> bool:
    return world.client.revoking is not None or any(isinstance(event[0], str) for event in world.events)


def _lose_all(world: World) -> None:
    if world.client.assigned:
        world.happen("lost", world.client.assigned)
    else:
        world.removed = False


def _some(world: World, among: list) -> list:
    return world.random.sample(among, world.random.randint(1, len(among))) if among else []


def _happen(world: World, what: str) -> None:
    random = world.random
    mine = list(world.client.assigned)
    free = world.free()
    steady = not _rebalancing(world) and not world.removed
    match what:
        case "produce":
            log = random.choice(list(world.logs.values()))
            gap, records, control = random.choice((0, 0, 1, 5)), random.randint(0, 60), random.choice((0, 0, 1, 2))
            log.append(gap, records, control)
            world.note(f"{log.tp} has {len(log.records)} records, its end is {log.end}")
        case "assign" if steady:
            world.happen("assigned", _some(world, free))
        case "revoke" if steady and mine:
            world.happen("revoked", _some(world, mine))
        case "lose" if steady and mine:
            world.happen("lost", mine)
            if random.random() < 0.5:  # and everything comes back within the same call
                world.happen("assigned", _some(world, mine))
        case "remove" if not world.removed and mine and not any(isinstance(e[0], str) for e in world.events):
            world.remove_member()
        case "other member":
            theirs = [*free, *(mine if world.removed else ())]
            if theirs:
                world.other_member(random.choice(theirs), random.randint(0, 20))
        case "answer" | "refuse" | "silence" if world.requests:
            world.answer_commit({"answer": "ok", "refuse": "refused"}.get(what, what))
        case "stop" if not world.core.stopping:
            world.stop()
        case "kill":
            world.kill()
        case "unreadable" if mine and steady:
            world.happen("unreadable", [random.choice(mine)])
        case "let go":
            for worker in world.workers.values():
                worker.let_go(world.now)
        case "brokers":
            world.core.flow.brokers(random.randint(1, 3))


def _calm(world: World) -> None:
    """Nothing goes wrong any more: everything must come to an end by itself."""
    world.note("calm")
    world.handlers = Handlers()
    until = world.now + CALM_SECONDS
    while not world.quiet():
        assert world.now < until, f"stuck: {world.core.views()}"
        for worker in world.workers.values():
            if worker.ends_at > world.now + 1:
                worker.let_go(world.now)
        while world.requests:
            world.answer_commit("ok")
        steady = not _rebalancing(world)
        halted = [view.tp for view in world.core.views() if view.state == "halted"]
        if world.removed and steady:
            _lose_all(world)
        elif steady and halted and not world.core.stopping:
            world.happen("revoked", halted)
        elif steady and world.free() and not world.core.stopping:
            world.happen("assigned", world.free())
        world.pass_time(0.02)
        world.round()
        if world.stopped:
            world.after_stop()
