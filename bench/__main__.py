"""The command: `python -m bench`."""

import argparse
import faulthandler
import json
import sys
from collections.abc import Callable, Collection
from contextlib import nullcontext
from pathlib import Path

from bench.candidates import CANDIDATES
from bench.work import MeasurementFailed, Order
from humus.queue._collector import rare_collections

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
_EVEN = 1000

_PROLOGUE = """\
Measures humus against the bare client and against its peers, on a real Apache Kafka: one that is started here (needs
Java and Maven), or the one that HUMUS_TEST_KAFKA names. Every run is a process of its own; candidates alternate;
progress goes to stderr, the tables to stdout, all of it to the results folder as Markdown and JSON, and the throughput
as a plot. Ratios need a quiet machine: close the rest.

Peers get virtual environments of their own, made once from bench/peers/requirements, in your cache folder; the one in
Go needs Go. What can't be had on this machine is listed as not run, and the rest is measured.

modes:
{modes}
  all               all of them, one after the other
  topic             make the topic of the throughput mode and keep it, for runs of single candidates
"""
_EPILOGUE = """\
examples:
  make bench                                                     throughput, about 20 minutes
  make bench ARGS=all                                            everything
  make bench ARGS="throughput --rounds 1 --records 20000 --limit 2"     a quick look: does everybody run?
  make bench ARGS="throughput --only humus-async,faststream"     some candidates, the yardstick always with them
  make bench ARGS="latency --seconds 60"                         another mode
  python -m bench topic                                          keep a broker and a topic, then in another shell:
  py-spy record -o profile.svg --native -- python -m bench --candidate humus-async --brokers HOST:PORT --topic NAME

candidates:
{candidates}

exit codes:
  0  all was measured that can be run on this machine
  1  a candidate failed, hung, or did not do the work (the rest was measured), or the topic could not be made
  2  wrong arguments
  3  there is no Kafka: the output says what is missing
  130  interrupted
"""
_LONGEST = 22


def _parser() -> argparse.ArgumentParser:
    # A candidate's process does not import the modes: its memory is measured.
    from bench.modes import MODES  # noqa: PLC0415

    modes = "\n".join(f"  {name:<18}{mode.title}" for name, mode in MODES.items())
    described = {name: one.what for mode in MODES.values() for name, one in mode.candidates.items()}
    candidates = "\n".join(f"  {name:<{_LONGEST}}{what}" for name, what in described.items())
    parser = argparse.ArgumentParser(
        "python -m bench",
        description=_PROLOGUE.format(modes=modes),
        epilog=_EPILOGUE.format(candidates=candidates),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = (*MODES, "all", "topic")
    parser.add_argument("mode", nargs="?", default="throughput", choices=choices, metavar="MODE", help="(throughput)")
    parser.add_argument("--rounds", type=_at_least(int, 1), default=5, metavar="N", help="(default: 5)")
    records = "of the throughput mode, rounded up to thousands; others take a part of it (default: 2,000,000)"
    parser.add_argument("--records", type=_at_least(int, 1), default=2_000_000, metavar="N", help=records)
    seconds = "of a steady rate or of an idle group (default: 20)"
    parser.add_argument("--seconds", type=_at_least(float, 1), default=20.0, metavar="S", help=seconds)
    limit = "that a slow candidate gets from its first record on (default: 8)"
    parser.add_argument("--limit", type=_at_least(float, 0.1), default=8.0, metavar="S", help=limit)
    parser.add_argument("--only", type=_names(described), default=frozenset(), metavar="A,B", help="only these")
    timeout = "seconds after which a candidate counts as hanging (default: 120)"
    parser.add_argument("--timeout", type=_at_least(float, 1), metavar="S", default=120.0, help=timeout)
    results = Path(__file__).with_name("results")
    parser.add_argument("--out", type=Path, default=results, metavar="DIR", help="(default: bench/results)")
    return parser


def _parser_of_one() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench --candidate", description="One of humus' own candidates, once.")
    parser.add_argument("--candidate", choices=CANDIDATES, metavar="NAME", required=True)
    parser.add_argument("--brokers", metavar="HOST:PORT")
    parser.add_argument("--topic", metavar="NAME")
    parser.add_argument("--order", type=Order.from_json, metavar="JSON", help="all of it, as the conductor writes it")
    return parser


def _at_least(kind: Callable[[str], float], least: float) -> Callable[[str], float]:
    def number(given: str) -> float:
        value = kind(given)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least:g}")
        return value

    return number


def _names(known: Collection[str]) -> Callable[[str], frozenset[str]]:
    def names(given: str) -> frozenset[str]:
        asked = frozenset(given.split(","))
        unknown = sorted(asked.difference(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"no such candidate: {', '.join(unknown)} (--help lists them)")
        return asked

    return names


def main() -> int:
    """Do what the command line asks; return the exit code."""
    if any(given.split("=")[0] == "--candidate" for given in sys.argv[1:]):
        return _be_one()
    parser = _parser()
    given = parser.parse_args()
    # What follows brings the test harness, which is none of a candidate's business: its memory is measured.
    from bench.conductor import keep_topic, measure  # noqa: PLC0415
    from bench.mode import Amounts  # noqa: PLC0415
    from bench.modes import MODES  # noqa: PLC0415

    records = -(-given.records // _EVEN) * _EVEN  # whole batches, and the same number in each partition
    amounts = Amounts(given.rounds, records, given.seconds, given.timeout, given.limit)
    try:
        if given.mode == "topic":
            return keep_topic(amounts)
        modes = [MODES[name] for name in (MODES if given.mode == "all" else (given.mode,))]
        if given.only and not any(mode.chosen(given.only) for mode in modes):
            parser.error(f"--only: none of these belongs to {given.mode}")
        return measure(modes, given.only, amounts, given.out)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _be_one() -> int:
    parser = _parser_of_one()
    given = parser.parse_args()
    if given.order is None and not (given.brokers and given.topic):
        parser.error("--candidate needs --brokers and --topic")
    return _run_one(given.candidate, given.order or Order(given.brokers, given.topic))


def _run_one(name: str, order: Order) -> int:
    if order.timeout is not None:
        faulthandler.dump_traceback_later(order.timeout, exit=True)  # what hangs says where
    candidate = CANDIDATES[name]
    try:
        with nullcontext() if candidate.as_shipped else rare_collections():
            figures = candidate.run(order)
    except MeasurementFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
