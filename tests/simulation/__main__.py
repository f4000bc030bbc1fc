"""`make simulate`: seeds in any number, with progress; a failing one as its shortest schedule."""
# ruff: noqa: T201 - it talks to who runs it

import argparse
import sys
import time

from tests.simulation import report
from tests.simulation.search import Progress, search
from tests.simulation.shrink import attempt, from_text
from tests.simulation.storm import STORMS, draw

_EVERY = 10.0
"""Seconds between two lines of progress where it does not go to a terminal."""


class _Line:
    """The progress line: written over itself on a terminal, a new one now and then elsewhere."""

    def __init__(self) -> None:
        self._next = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        terminal, now = sys.stderr.isatty(), time.monotonic()
        if now >= self._next or progress.done == progress.of:
            print(
                f"\r{progress}\x1b[K" if terminal else progress,
                end="" if terminal else "\n",
                file=sys.stderr,
                flush=True,
            )
            self._next = now + (0.2 if terminal else _EVERY)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make simulate",
        description="Runs the core through simulated storms, a seed a run. Exit code 1 if a guarantee does not hold.",
    )
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds (SEEDS=...; default: 10000)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (START=...; default: 0)")
    parser.add_argument("--storm", choices=STORMS, default="stormy", help="what happens in it (default: stormy)")
    parser.add_argument("--jobs", type=int, help="processes at a time (default: one a core)")
    parser.add_argument("--coverage", action="store_true", help="say how often the runs came through what")
    parser.add_argument("--tell", type=int, metavar="SEED", help="tell what happens in the run of one seed")
    parser.add_argument("--replay", metavar="SCHEDULE", help="tell what happens in a schedule, as a failure prints it")
    return parser.parse_args()


def main() -> int:
    """Run, and return the exit code."""
    given = _arguments()
    if given.replay is not None or given.tell is not None:
        try:
            schedule = draw(given.tell, STORMS[given.storm]) if given.replay is None else from_text(given.replay)
        except ValueError as error:
            print(f"error: --replay: {error}", file=sys.stderr)
            return 2
        print(report.of_schedule(schedule))
        return int(attempt(schedule)[1] is not None)
    line = _Line()
    found = search(given.storm, given.start, given.seeds, jobs=given.jobs, progress=line)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if found.seed is not None and found.failure is not None:
        print(f"{found.failure.clause} is violated: looking for the shortest schedule ...", file=sys.stderr)
        print(report.of_seed(given.storm, found.seed, found.failure))
        return 1
    if given.coverage:
        print("\n".join(f"{times:10,} {what}" for what, times in found.seen.most_common()))
    print(f"{found.done:,} seeds of the {given.storm} storm: every guarantee held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
