"""The command: `python -m tests.chaos`."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.conductor import Conductor
from tests.chaos.plan import draw
from tests.chaos.report import report
from tests.kafka.access import Kafka
from tests.kafka.broker import BrokerDied
from tests.kafka.cluster import Cluster
from tests.kafka.distribution import KafkaUnavailable

OK, FAILED, WRONG_ARGUMENTS, NO_KAFKA, INTERRUPTED = 0, 1, 2, 3, 130
_A_LINE_EVERY = 10.0
_CLEAR = "\r\x1b[K"
_PROLOGUE = """\
Three chained consumer groups on a cluster of three brokers that is started here (needs Java and Maven): each record of
Kafka's own VerifiableProducer goes through all of them, while members join, leave, are killed and frozen, and brokers
restart, are killed and frozen. Then everything is checked: each record handled, in order, by every group; nothing twice
where every leave is graceful; where not, no more handled again than the guarantees say; all committed. What happens
goes to stderr, the table to stdout.
"""
_EPILOGUE = """\
examples:
  make chaos                                             the long form
  make chaos ARGS="--records 100000 --minutes 3"         less of it
  make chaos ARGS="--seed 7 --plan"                      show what seed 7 would do, and do nothing

exit codes:
  0  all is as guaranteed       1  it is not: the output says what, and where the logs are
  2  wrong arguments            3  there is no Kafka: the output says what is missing        130  interrupted
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.chaos",
        description=_PROLOGUE,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    records = "records through all three groups (default: 500,000)"
    parser.add_argument("--records", type=_at_least(int, 1000), default=500_000, metavar="N", help=records)
    seed = "of the plan: what happens to whom, and when (default: 1)"
    parser.add_argument("--seed", type=int, default=1, metavar="S", help=seed)
    minutes = "that the records are spread over, and the faults with them (default: 10)"
    parser.add_argument("--minutes", type=_at_least(float, 0.5), default=10.0, metavar="M", help=minutes)
    parser.add_argument("--plan", action="store_true", help="print the plan only")
    parser.add_argument("--keep", action="store_true", help="keep the logs also when all is well")
    return parser


def _at_least(kind: Callable[[str], float], least: float) -> Callable[[str], float]:
    def number(given: str) -> float:
        value = kind(given)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least:g}")
        return value

    return number


class _Screen:
    """Lines to stderr: what happens as it does; how far it is in place on a terminal, else every 10 s."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next = 0.0
        self._live = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        clear = _CLEAR if self._live else ""
        self._write(f"{clear}{time.monotonic() - self._began:4.0f} s: {text}\n")

    def progress(self, text: str) -> None:
        """Print a line that the next one replaces."""
        if self._live:
            self._write(f"{_CLEAR}{text}")
        elif (now := time.monotonic()) >= self._next:
            self._next = now + _A_LINE_EVERY
            self._write(f"{text}\n")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def main() -> int:
    """Do what the command line asks; return the exit code."""
    given = _parser().parse_args()
    seconds = given.minutes * 60
    plan = draw(given.seed, seconds)
    sys.stderr.write(f"seed {given.seed}: {given.records:,} records in {given.minutes:g} minutes, {len(plan)} steps:\n")
    sys.stderr.writelines(f"  {step}\n" for step in plan)
    if given.plan:
        return OK
    screen = _Screen()
    folder = Path(tempfile.mkdtemp(prefix="humus-chaos-"))
    code = FAILED
    try:
        screen.say("starting three brokers")
        with Cluster(3, long=True) as cluster:
            kafka = Kafka(cluster.bootstrap, cluster)
            rate = max(1, int(given.records / seconds))
            conductor = Conductor(
                kafka, folder, records=given.records, rate=rate, say=screen.say, progress=screen.progress
            )
            verdict = conductor.run(plan)
            kafka.disconnect()
        sys.stdout.write(f"{report(verdict)}\n")
        code = FAILED if verdict.failures else OK
    except AssertionError as error:
        screen.say(f"FAILED: {error}")
    except (KafkaUnavailable, BrokerDied) as error:
        screen.say(f"error: {error}")
        code = NO_KAFKA
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        screen.say(f"it broke: the logs are in {folder}")
        raise
    if code == OK and not given.keep:
        shutil.rmtree(folder)
    else:
        screen.say(f"the logs are in {folder}")
    return code


if __name__ == "__main__":
    sys.exit(main())
