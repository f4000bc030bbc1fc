"""`make mutants`: every fault of the list, and whether its test notices it."""
# ruff: noqa: T201 - it talks to who runs it

import argparse
import difflib
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from tests.kafka.access import VARIABLE
from tests.kafka.distribution import KafkaUnavailable, distribution
from tests.mutants.faults import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.trial import TIMEOUT, Result, Verdict, on_unchanged, stop_all, try_out

_EXAMPLES = """examples:
  make mutants                                       all of them
  make mutants ARGS=--fast                           those that need no Kafka
  make mutants ARGS="--only commits-one-too-far"     one of them
  make mutants ARGS=--list                           what there is
"""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make mutants",
        description="Puts faults into a copy of the source, one at a time, and runs for each the test that must notice "
        "it. Exit code 1 if one is not noticed or does not fit the source any more; 2 if the tests fail without it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this mutant; may be given repeatedly")
    parser.add_argument("--fast", action="store_true", help="leave out those whose test needs a Kafka")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="say what each of them breaks, and run nothing")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None, *, mutants: Sequence[Mutant] = MUTANTS) -> int:
    """Run, and return the exit code."""
    arguments = _arguments(given)
    for name in arguments.only or ():
        if all(mutant.name != name for mutant in mutants):
            near = difflib.get_close_matches(name, [mutant.name for mutant in mutants], 3)
            hint = f": did you mean {' or '.join(near)}?" if near else ": --list names them all"
            print(f"error: --only: there is no mutant {name!r}{hint}", file=sys.stderr)
            return 2
    chosen = [
        mutant
        for mutant in mutants
        if (not arguments.only or mutant.name in arguments.only) and not (arguments.fast and mutant.slow)
    ]
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant.name} ({mutant.clause}): {mutant.breaks}")
        return 0
    if not chosen:
        print("error: nothing is left to run: --fast leaves out the mutant of --only", file=sys.stderr)
        return 2
    try:
        if any(mutant.slow for mutant in chosen) and not os.environ.get(VARIABLE):
            distribution()  # the time of a test is not for the download
        return _run(chosen, max(1, arguments.jobs))
    except KafkaUnavailable as error:
        print(f"error: {error}\n--fast leaves out the mutants that need a Kafka", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(chosen: list[Mutant], jobs: int) -> int:
    began = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            if not _all_pass(pool, chosen):
                return 2
            results = _try_all(pool, chosen)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise
    print(_table(results))
    killed = sum(result.verdict is Verdict.KILLED for result in results)
    print(f"\n{killed} of {len(results)} mutants killed, {time.monotonic() - began:.0f} s")
    return int(killed != len(results))


def _all_pass(pool: ThreadPoolExecutor, chosen: list[Mutant]) -> bool:
    """Tell whether the named tests pass on the source as it is: else that they fail says nothing."""
    kinds = [[mutant for mutant in chosen if mutant.slow is slow] for slow in (False, True)]
    _say(f"{len(chosen)} mutants: first their tests on the unchanged source ...")
    runs = [pool.submit(on_unchanged, some, timeout=TIMEOUT * 2) for some in kinds if some]
    faults = [fault for run in runs for fault in run.result()]
    for fault in faults:
        print(f"error: on the unchanged source: {fault}", file=sys.stderr)
    return not faults


def _try_all(pool: ThreadPoolExecutor, chosen: list[Mutant]) -> list[Result]:
    slow_first = sorted(chosen, key=lambda mutant: not mutant.slow)  # so that none is left alone at the end
    trials: dict[Future[Result], Mutant] = {pool.submit(try_out, mutant): mutant for mutant in slow_first}
    results: dict[str, Result] = {}
    for at, trial in enumerate(as_completed(trials), start=1):
        result = trial.result()
        results[result.mutant.name] = result
        why = "" if result.verdict is Verdict.KILLED else f": {result.why}"
        _say(f"{at:3} of {len(chosen)}  {result.verdict.value:9} {result.mutant.name}, {result.seconds:.1f} s{why}")
    return [results[mutant.name] for mutant in chosen]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _table(results: list[Result]) -> str:
    rows = [("mutant", "clause", "", "test", "seconds")]
    rows += [
        (
            result.mutant.name,
            result.mutant.clause,
            result.verdict.value,
            result.mutant.killed_by.removeprefix(f"tests{os.sep}"),
            f"{result.seconds:.1f}",
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


if __name__ == "__main__":
    sys.exit(main())
