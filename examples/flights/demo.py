"""The demo's conductor: an embedded broker, a year of flights, and a service of two processes that rebalance meanwhile.

The service is `app.py` with `config.yaml`. Its first member starts alone; halfway a second one joins; later the first
one is stopped and leaves. At the end everything is compared with totals taken from the data set's file directly.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from flights_check import Account, Report, account, faults, handled_once, merge
from flights_data import FLIGHTS, DataSetMissing, find_file
from flights_group import Member, MemberFailed
from flights_letters import LETTER_PARTITIONS, LETTERS, Letter, count_letters, read_letter
from flights_screen import Screen
from flights_topic import PARTITIONS, TOPIC, Writer, WritingFailed
from rich.console import Console

from humus.errors import HumusError
from humus.testing import KafkaBroker, kafka_broker

GROUP = "flight-delays"
HEARTBEAT_SECONDS = 3.0
"""The embedded broker hands partitions over too early when a busy machine answers a heartbeat later than this."""
PROGRAM = Path(__file__).with_name("member.py")

EXIT_WELL, EXIT_WRONG, EXIT_USAGE = 0, 1, 2

_PROLOGUE = "Streams the flights that left New York City in 2013 through a humus service, on an embedded broker."
_EPILOGUE = """\
examples:
  python examples/flights/demo.py                    all 336,776 flights
  python examples/flights/demo.py --records 20000    the first 20,000
  python examples/flights/demo.py | cat              plain lines instead of a live panel

exit codes:
  0  every flight was handled once, and all totals are those of the file
  1  something was lost, handled twice or added up wrongly, or a process failed: the output says what
  2  wrong arguments, or the data set is not installed
"""

_TICK_SECONDS = 0.05
_STANDSTILL_SECONDS = 20.0
_CLIENT_SECONDS = 10.0
_MOST_FAULTS = 12


class Standstill(Exception):  # noqa: N818 - reads as what happened
    """Nothing moves any more."""


class Demo:
    """One run: the broker and the writer, two members, and the acts of the play in `play`."""

    def __init__(self, screen: Screen, broker: KafkaBroker, writer: Writer, total: int, folder: Path) -> None:
        self.screen, self.broker, self.writer, self.total, self.folder = screen, broker, writer, total, folder
        self.members: list[Member] = []
        self.reports: list[Report] = []
        self._seen: object = None
        self._moved_at = time.monotonic()
        self._first_handled_at = self._last_handled_at = 0.0

    def play(self) -> None:
        """Run from the first member's start to the last one's end.

        Raises:
            MemberFailed, WritingFailed, Standstill: see there.
        """
        everything = frozenset(range(PARTITIONS))
        first = self._start("member-1")
        self._until(lambda: first.testimony.partitions == everything)
        self.screen.event(f"member-1 has all {PARTITIONS} partitions; the flights start to flow")
        self.writer.start()

        # Its interpreter takes a moment to start, so it is called before it is needed.
        self._until(lambda: self.writer.written >= self.total // 3)
        second = self._start("member-2")
        self._until(lambda: self._shared_by(first, second) and self.writer.first_half_written.is_set())
        self.screen.event(
            f"halfway member-2 joined: {len(first.testimony.partitions)} partitions stay with member-1, "
            f"{len(second.testimony.partitions)} moved to member-2"
        )
        self.writer.go_on()

        self._until(lambda: self.handled >= self.total * 3 // 4)
        self.screen.event("member-1 is asked to stop: it drains, commits and leaves")
        self._end(first)
        self._until(lambda: second.testimony.partitions == everything)
        self.screen.event(f"member-2 has all {PARTITIONS} partitions")

        try:
            self._until(lambda: self.writer.done and self.handled == self.total)
            self.screen.event("all flights are handled; member-2 is asked to stop")
        except Standstill as error:
            if not self.writer.done:
                raise
            self.screen.event(f"[red]{error}[/]; member-2 is asked to stop")
        self._end(second)

    @property
    def handled(self) -> int:
        """How many different flights were handled so far."""
        return handled_once(merge(member.testimony.spans for member in self.members))

    @property
    def seconds_of_flow(self) -> float:
        """From the first flight handled to the last one."""
        return self._last_handled_at - self._first_handled_at

    def close(self) -> None:
        """End what still runs."""
        self.writer.stop()
        for member in self.members:
            member.kill()

    def _start(self, name: str) -> Member:
        environment = {"KAFKA_BROKERS": self.broker.brokers, "KAFKA_GROUP_ID": GROUP}
        member = Member(name, PROGRAM, self.folder, environment)
        self.members.append(member)
        return member

    def _end(self, member: Member) -> None:
        member.ask_to_stop()
        self._moved_at = time.monotonic()
        self._until(lambda: not member.running)
        self.reports.append(member.report())

    @staticmethod
    def _shared_by(first: Member, second: Member) -> bool:
        one, two = first.testimony.partitions, second.testimony.partitions
        return bool(two) and not one & two and len(one | two) == PARTITIONS

    def _until(self, condition: Callable[[], bool]) -> None:
        """Show the progress until the condition holds, and see that things move and nobody dies."""
        while not condition():
            self.writer.check()
            for member in self.members:
                if not member.stopped:
                    member.check()
            self._tick()
            time.sleep(_TICK_SECONDS)

    def _tick(self) -> None:
        handled, now = self.handled, time.monotonic()
        seen = (handled, self.writer.written, [(m.testimony.partitions, m.running) for m in self.members])
        if seen != self._seen:
            self._seen, self._moved_at = seen, now
        if now - self._moved_at > _STANDSTILL_SECONDS:
            raise Standstill(
                f"nothing has moved for {_STANDSTILL_SECONDS:.0f} s: "
                f"{self.writer.written:,} of {self.total:,} flights written, {handled:,} handled"
            )
        if handled and not self._first_handled_at:
            self._first_handled_at = now
        if handled < self.total or not self._last_handled_at:
            self._last_handled_at = now
        self.screen.progress(handled, self.total, self.writer.written, self.members)


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What the broker says when all is over: records that the group has not committed, and the dead letters."""

    uncommitted: int
    letters: int
    letter: Letter | None


def ask(broker: KafkaBroker, written: Mapping[int, int]) -> Afterwards:
    """Ask the broker what is left, with a client of its own.

    Raises:
        WritingFailed: the broker dropped records.
    """
    asking = Consumer({"bootstrap.servers": broker.brokers, "group.id": GROUP, "log_level": 0})  # asks, never joins
    try:
        places = [TopicPartition(TOPIC, number) for number in written]
        if any(asking.get_watermark_offsets(place, _CLIENT_SECONDS)[0] for place in places):
            raise WritingFailed("the embedded broker dropped records: a partition does not start at offset 0 any more")
        committed = asking.committed(places, _CLIENT_SECONDS)
        open_records = sum(written.values()) - sum(max(0, place.offset) for place in committed)
        return Afterwards(open_records, count_letters(asking), read_letter(asking))
    finally:
        asking.close()


def judge(demo: Demo, afterwards: Afterwards) -> list[str]:
    """Show the results and return what is wrong with them."""
    truth, written = demo.writer.truth, demo.writer.records
    said = [member.testimony for member in demo.members]
    result: Account = account(written, [each.spans for each in said])
    processed, rejected = sum(each.processed for each in said), sum(each.rejected for each in said)
    screen = demo.screen
    screen.result(demo.reports)
    screen.runtime(
        {
            "consumed": f"{result.handled:,}",
            "processed": f"{processed:,}",
            "rejected (no departure time)": f"{rejected:,}",
            f"dead letters in {LETTERS}": f"{afterwards.letters:,}",
            "lost": f"{result.lost:,}",
            "twice": f"{result.twice:,}",
            "not committed": f"{afterwards.uncommitted:,}",
            "rebalances that members saw": f"{sum(each.rebalances for each in said):,}",
            "msg/s, rebalances included": f"{result.handled / max(demo.seconds_of_flow, _TICK_SECONDS):,.0f}",
        }
    )
    if afterwards.letter is not None:
        screen.letter(afterwards.letter)
    counted = {
        "records written": (sum(written.values()), demo.total),
        "records lost": (result.lost, 0),
        "records handled twice": (result.twice, 0),
        "records processed": (processed, truth.departed),
        "records rejected": (rejected, truth.cancelled),
        "records not committed": (afterwards.uncommitted, 0),
        "dead letters": (afterwards.letters, truth.cancelled),
        "records handled, as the runtimes count them": (sum(each.runtime_handled for each in said), truth.total),
        "dead letters, as the runtimes count them": (
            sum(each.runtime_dead_lettered for each in said),
            truth.cancelled,
        ),
    }
    return faults(truth, counted, demo.reports)


def run(console: Console, total: int) -> int:
    """Run the demo and return the exit code."""
    started = time.monotonic()
    screen = Screen(console, PARTITIONS)
    try:
        file = find_file()
    except DataSetMissing as error:
        console.print(f"[red]error:[/] {error}")
        return EXIT_USAGE
    with (
        tempfile.TemporaryDirectory(prefix="humus-flights-") as folder,
        kafka_broker(
            topics={TOPIC: PARTITIONS, LETTERS: LETTER_PARTITIONS}, heartbeat_interval=HEARTBEAT_SECONDS
        ) as broker,
    ):
        screen.event(f"embedded broker on {broker.brokers}, topic {TOPIC} with {PARTITIONS} partitions")
        demo = Demo(screen, broker, Writer(broker.brokers, file, total), total, Path(folder))
        try:
            with screen.running():
                demo.play()
            wrong = judge(demo, ask(broker, demo.writer.records))
        except (MemberFailed, WritingFailed, Standstill, HumusError) as error:
            wrong = [str(error)]
        finally:
            demo.close()
    if wrong:
        more = [f"and {len(wrong) - _MOST_FAULTS} more"] if len(wrong) > _MOST_FAULTS else []
        console.print("[red]wrong:[/]", *wrong[:_MOST_FAULTS], *more, sep="\n  ", highlight=False)
        return EXIT_WRONG
    console.print(f"[green]All as in the file itself.[/] {time.monotonic() - started:.1f} s in all.", highlight=False)
    return EXIT_WELL


def main(arguments: list[str] | None = None) -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=_PROLOGUE, epilog=_EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=_number, default=FLIGHTS, metavar="N", help="only the first N flights")
    options = parser.parse_args(arguments)
    return run(Console(soft_wrap=True), options.records)


def _number(text: str) -> int:
    number = int(text)
    if not 1 <= number <= FLIGHTS:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and {FLIGHTS:,}")
    return number


if __name__ == "__main__":
    sys.exit(main())
