"""The real poll loop and the real asynchronous worker in the simulated world: the same guarantees in every step."""
# ruff: noqa: SLF001 - faults are put where the shell acts

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.simulation.shell import ShellMember
from tests.simulation.storm import STORMS, draw, play
from tests.simulation.world import WORLDS, World

from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._loop import PollLoop

SEEDS = {"stormy": 300, "gentle": 100}
SEEN = {
    "stormy": (
        *("kill", "freeze", "thaw", "removed", "lost", "cancel", "stopped", "handler: halt", "handler: fatal"),
        *("handler: retry", "handler: long", "revoked while a handler runs", "lost while a handler runs"),
        *("killed while a handler runs", "a removed member goes on", "records come again", "records are lost"),
        *("commit: UNKNOWN_MEMBER_ID", "commit: ILLEGAL_GENERATION", "commit: _TIMED_OUT", "given back late"),
        *("says: waits for a handler of an earlier epoch", "says: the handler of an earlier epoch has ended"),
    ),
    "gentle": ("stopped", "handler: retry", "revoked while a handler runs", "commit: ILLEGAL_GENERATION", "start"),
}

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the loop logs in a storm is not read here."""
    logger = logging.getLogger("humus")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)


def _run(storm: str, seed: int) -> World:
    drawn = draw(seed, STORMS[storm])
    schedule = replace(drawn, steps=tuple(step for step in drawn.steps if step.what != "unreadable"))
    world = World(schedule.world, WORLDS[schedule.world], tracing=True, kind=ShellMember)
    try:
        play(world, schedule)
    except Exception as error:
        story = "\n".join(world.history)
        raise AssertionError(f"{error} (seed {seed})\n{story}") from error
    finally:
        for close in world.closing:
            close()
    return world


@pytest.mark.parametrize("storm", SEEDS)
def test_guarantees_hold_in_the_real_loop_and_worker(storm: str) -> None:
    """D1 D10-D12 D20 D21 D40-D46 D50 D60 D61 D72: they hold at every step of the shell over a virtual clock."""
    seen: Counter[str] = Counter()
    for seed in range(SEEDS[storm]):
        seen += _run(storm, seed).seen
    missing = [what for what in SEEN[storm] if not seen[what]]
    assert not missing, f"no run came through this: {missing}"


def says_done_too_early(patch: Patch) -> None:
    """The worker's position passes the record whose handler runs."""

    def position(worker: AsyncWorker) -> int:
        own: int = worker.__dict__.get("position", -1)
        return own + 1 if worker.message is not None else own

    def set_position(worker: AsyncWorker, value: int) -> None:
        worker.__dict__["position"] = value

    patch.setattr(AsyncWorker, "position", property(position, set_position), raising=False)


def goes_on_after_its_drain(patch: Patch) -> None:
    """A worker that is told to leave handles everything that it has."""
    patch.setattr(AsyncWorker, "drain", lambda worker, **_: worker._needs_wake.add(worker))


def is_never_woken(patch: Patch) -> None:
    """Records that come while a worker rests do not wake it."""
    right = AsyncWorker.wake

    def wake(worker: AsyncWorker) -> None:
        if worker.task is None:
            right(worker)

    patch.setattr(AsyncWorker, "wake", wake)


def forgets_the_member_is_gone(patch: Patch) -> None:
    """The answers to commits are not passed on."""
    patch.setattr(PollLoop, "_committed", lambda _loop, _answers, _now: None)


def hires_for_every_feed(patch: Patch) -> None:
    """Each batch gets a worker of its own."""

    def feed(loop: PollLoop, command: object) -> None:
        worker = loop._employ(command.key)  # type: ignore[attr-defined]
        loop._workers[command.key] = worker  # type: ignore[attr-defined]
        worker.feed(command.pieces)  # type: ignore[attr-defined]

    patch.setattr(PollLoop, "_feed", feed)


FAULTS: dict[Callable[[Patch], None], tuple[str, str]] = {
    says_done_too_early: ("stormy", "D10"),
    goes_on_after_its_drain: ("gentle", "D40"),
    is_never_woken: ("stormy", "D72"),
    forgets_the_member_is_gone: ("stormy", "D72"),
    hires_for_every_feed: ("stormy", "D10"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_in_the_shell_is_found(fault: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """D10 D40 D72: a fault in the poll loop or the worker breaks a guarantee, which is named."""
    fault(monkeypatch)
    storm, clause = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"^{clause}"):
        _run_all(storm, 100)


def _run_all(storm: str, seeds: int) -> None:
    for seed in range(seeds):
        _run(storm, seed)
