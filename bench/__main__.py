"""The command: `python -m bench`."""

import argparse
import faulthandler
import json
import sys
from collections.abc import Callable
from pathlib import Path

from bench.candidates import CANDIDATES, PRODUCER_NAME
from bench.instruments import MeasurementFailed, Order

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
_EVEN = 1000

_PROLOGUE = """\
Measures humus against the bare client on a real Apache Kafka: one that is started here (needs Java and Maven), or the
one that HUMUS_TEST_KAFKA names. Every run is a process of its own; candidates alternate; progress goes to stderr, the
tables to stdout, all of it to the results folder as Markdown and JSON. Ratios need a quiet machine: close the rest.

modes:
  all          the four below, about 16 minutes (default)
  throughput   messages a second and CPU a message, bare loops and runtimes over the same records
  latency      from produce to processor at 1,000 messages a second
  memory       peak memory with large records and slow processors
  telemetry    what metrics and traces add to the runtime, against the SDK's own calls
  topic        make the topic of the throughput mode and keep it, for runs of single candidates
"""
_EPILOGUE = """\
examples:
  make bench                                                     everything
  make bench ARGS="throughput --rounds 3"                        less of it
  python -m bench throughput --only humus-async,humus-def        some candidates, the yardstick always with them
  python -m bench topic                                          keep a broker and a topic, then in another shell:
  py-spy record -o profile.svg --native -- python -m bench --candidate humus-async --brokers HOST:PORT --topic NAME

candidates:
{candidates}

exit codes:
  0  everything was measured        1  a candidate failed (the rest was measured), or the topic could not be made
  2  wrong arguments                3  there is no Kafka: the output says what is missing        130  interrupted
"""


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {name:<20}{candidate.what}" for name, candidate in CANDIDATES.items())
    parser = argparse.ArgumentParser(
        "python -m bench",
        description=_PROLOGUE,
        epilog=_EPILOGUE.format(candidates=names),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    modes = ("all", "throughput", "latency", "memory", "telemetry", "topic")
    parser.add_argument("mode", nargs="?", default="all", choices=modes, metavar="MODE", help="see above")
    parser.add_argument("--rounds", type=_at_least(int, 1), default=5, metavar="N", help="(default: 5)")
    records = "of the throughput mode, rounded up to thousands, a tenth of it for telemetry (default: 2,000,000)"
    parser.add_argument("--records", type=_at_least(int, 1), default=2_000_000, metavar="N", help=records)
    seconds = "that a latency run counts (default: 20)"
    parser.add_argument("--seconds", type=_at_least(float, 1), default=20.0, metavar="S", help=seconds)
    parser.add_argument("--only", type=_names, default=frozenset(), metavar="A,B", help="only these candidates")
    timeout = "seconds after which a candidate counts as hanging (default: 120)"
    parser.add_argument("--timeout", type=_at_least(float, 1), metavar="S", help=timeout)
    results = Path(__file__).with_name("results")
    parser.add_argument("--out", type=Path, default=results, metavar="DIR", help="(default: bench/results)")
    single = parser.add_argument_group("one candidate, once, in this process; its figures go to stdout as JSON")
    single.add_argument("--candidate", choices=CANDIDATES, metavar="NAME")
    single.add_argument("--brokers", metavar="HOST:PORT")
    single.add_argument("--topic", metavar="NAME")
    return parser


def _at_least(kind: Callable[[str], float], least: float) -> Callable[[str], float]:
    def number(given: str) -> float:
        value = kind(given)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least:g}")
        return value

    return number


def _names(given: str) -> frozenset[str]:
    names = frozenset(given.split(","))
    known = CANDIDATES.keys() - {PRODUCER_NAME}
    unknown = sorted(names - known)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such candidate: {', '.join(unknown)} (--help lists them)")
    return names


def main() -> int:
    """Do what the command line asks; return the exit code."""
    parser = _parser()
    given = parser.parse_args()
    if given.candidate:
        if not (given.brokers and given.topic):
            parser.error("--candidate needs --brokers and --topic")
        return _run_one(given.candidate, Order(given.brokers, given.topic, given.seconds), given.timeout)
    # What follows brings the test harness, which is none of a candidate's business: its memory is measured.
    from bench.conductor import keep_topic, measure  # noqa: PLC0415
    from bench.modes import MODES, Amounts  # noqa: PLC0415

    records = -(-given.records // _EVEN) * _EVEN  # whole batches, and the same number in each partition
    amounts = Amounts(given.rounds, records, given.seconds, given.timeout or 120.0)
    try:
        if given.mode == "topic":
            return keep_topic(amounts)
        modes = [MODES[name] for name in (MODES if given.mode == "all" else (given.mode,))]
        if given.only and not any(mode.chosen(given.only) for mode in modes):
            parser.error(f"--only: none of these belongs to {given.mode}")
        return measure(modes, given.only, amounts, given.out)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run_one(name: str, order: Order, timeout: float | None) -> int:
    if timeout is not None:
        faulthandler.dump_traceback_later(timeout, exit=True)  # what hangs says where
    try:
        figures = CANDIDATES[name].run(order)
    except MeasurementFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
