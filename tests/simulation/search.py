"""Runs many seeds over all cores, until all are done or one fails."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.shrink import Failure, attempt
from tests.simulation.storm import STORMS, draw

__all__ = ["Found", "Progress", "cores", "search", "search_here"]

_CHUNK: Final = 100
"""Seeds that a process runs in one go."""


@dataclass(slots=True)
class Found:
    """What the runs came to: what they have come through, and the first seed that failed."""

    done: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    seed: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is."""

    done: int
    of: int
    seconds: float

    def __str__(self) -> str:
        rate = self.done / max(self.seconds, 1e-3)
        left = (self.of - self.done) / max(rate, 1e-3)
        return f"{self.done:,} of {self.of:,} seeds, {rate:,.0f} a second, {left // 60:.0f} min {left % 60:.0f} s left"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def search_here(storm: str, first: int, seeds: int) -> Found:
    """Run seeds in this process, one after the other."""
    found = Found()
    for seed in range(first, first + seeds):
        world, failure = attempt(draw(seed, STORMS[storm]))
        if failure is not None:
            found.seed, found.failure = seed, failure
            return found
        found.done += 1
        found.seen.update(world.seen)
        found.seen[f"world: {world.name}"] += 1
    return found


def search(
    storm: str, first: int, seeds: int, *, jobs: int | None = None, progress: Callable[[Progress], None] | None = None
) -> Found:
    """Run seeds over the cores; return when all are done or one has failed."""
    total, began = Found(), time.monotonic()
    chunks = iter([(at, min(_CHUNK, first + seeds - at)) for at in range(first, first + seeds, _CHUNK)])
    jobs = jobs or cores()
    if jobs == 1:
        for chunk in chunks:
            _add(total, search_here(storm, *chunk))
            if progress is not None:
                progress(Progress(total.done, seeds, time.monotonic() - began))
            if total.seed is not None:
                break
        return total
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running: set[Future[Found]] = set()
        while True:
            while len(running) < jobs * 2 and total.seed is None and (some := next(chunks, None)) is not None:
                running.add(pool.submit(search_here, storm, *some))
            if not running:
                return total
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for one in ended:
                _add(total, one.result())
            if progress is not None:
                progress(Progress(total.done, seeds, time.monotonic() - began))


def _add(total: Found, found: Found) -> None:
    total.done += found.done
    total.seen.update(found.seen)
    if found.seed is not None and (total.seed is None or found.seed < total.seed):
        total.seed, total.failure = found.seed, found.failure
