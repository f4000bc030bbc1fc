"""What a candidate is told, and what it did: nothing here needs more than Python, so that every peer can use it.

Peers run in environments of their own, which have neither humus nor this project's client.
"""

import faulthandler
import json
import resource
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

__all__ = [
    "Figures",
    "Instant",
    "MeasurementFailed",
    "Order",
    "Shape",
    "Tally",
    "fresh_group",
    "measured",
    "peak_rss",
    "rss",
    "take_order",
]

_MIB = 1024 * 1024
_LOOK_EVERY = 64
"""Records between two looks at the clock."""

Figures = dict[str, float]
"""What a run measured, by name; the unit is the end of the name."""


class MeasurementFailed(Exception):  # noqa: N818 - reads as what happened
    """The run did not do what it was to measure, so its figures mean nothing."""


def fresh_group() -> str:
    """Return a group id that nobody used before."""
    return f"bench-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True)
class Shape:
    """A topic as the candidates need it: every partition holds the same number of records, from offset 0."""

    partitions: int
    each: int

    @property
    def records(self) -> int:
        """All records of the topic."""
        return self.partitions * self.each


@dataclass(frozen=True, slots=True)
class Order:
    """What a candidate is told: where, in which group, and for how long or at which rate where that is asked.

    `spawned` is when its process was started, on the system's monotonic clock; `shape` is told to those that cannot
    ask the broker themselves. `notes` is a file for what does not fit into figures.
    """

    brokers: str
    topic: str
    group: str = field(default_factory=fresh_group)
    seconds: float = 20.0
    rate: int = 1000
    timeout: float | None = None
    spawned: float = field(default_factory=time.monotonic)
    shape: Shape | None = None
    notes: str | None = None

    def as_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return what `as_json` wrote."""
        given = json.loads(line)
        shape = given.pop("shape", None)
        return cls(**given, shape=shape and Shape(**shape))


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time: seconds on a clock, and seconds of CPU used until then.

    CPU is user and system time of all threads, and of the child processes that have ended.
    """

    clock: float
    cpu: float

    @classmethod
    def now(cls) -> Self:
        """Return this one."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(time.monotonic(), sum(one.ru_utime + one.ru_stime for one in used))


def rss() -> float:
    """Return this process's resident memory in MiB, or 0 where the system does not say (other than Linux)."""
    return _proc_status("VmRSS") or 0.0


def peak_rss() -> float:
    """Return the most resident memory that this process had, in MiB."""
    # Not getrusage where there is better: on Linux its maximum is inherited from the process that started this one.
    peak = _proc_status("VmHWM")
    if peak is not None:
        return peak
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (_MIB if sys.platform == "darwin" else 1024)


def _proc_status(field: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text("ascii").splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


class Tally:
    """Ticks off each record as it is handled, until all are or the time is up, which begins with the first.

    One thread calls `note`. What is handled after the time is up (a runtime finishes what it has in hand) is ticked off
    too, but neither its time nor its number counts for the rate.
    """

    def __init__(self, shape: Shape, order: Order, *, clock: Callable[[], Instant] = Instant.now) -> None:
        self.at_end: Callable[[], None] = lambda: None
        """Called once, at the end, on the thread that notes."""
        self.done = False
        self._seen = [bytearray(shape.each) for _ in range(shape.partitions)]
        self._total = shape.records
        self._order = order
        self._now = clock
        self._count = 0
        self._first: Instant | None = None
        self._last: Instant | None = None
        self._counted = 0

    def note(self, partition: int, offset: int) -> None:
        """Tick off one record."""
        self._seen[partition][offset] = 1
        self._count = count = self._count + 1
        if count % _LOOK_EVERY == 1 or count == self._total:
            self._look()

    def _look(self) -> None:
        if self.done:
            return
        now = self._now()
        if self._first is None:
            self._first = now
        if now.clock - self._first.clock >= self._order.seconds or self._count >= self._total:
            self._last, self._counted, self.done = now, self._count, True
            self.at_end()

    def figures(self) -> Figures:
        """Return what was measured.

        Raises:
            MeasurementFailed: it ended too early, or handled records twice.
        """
        if self._first is None or self._last is None or self._counted < 2:
            raise MeasurementFailed(f"handled {self._count:,} of {self._total:,} records, and ended before its time")
        distinct = sum(seen.count(1) for seen in self._seen)
        if distinct != self._count:
            raise MeasurementFailed(f"handled {self._count:,} records, but only {distinct:,} different ones")
        return {**measured(self._counted - 1, self._first, self._last, self._order), "handled": distinct}


def measured(records: int, first: Instant, last: Instant, order: Order) -> Figures:
    """Return the figures of so many records between two points in time."""
    seconds, cpu = last.clock - first.clock, last.cpu - first.cpu
    return {
        "msgs_per_s": records / seconds,
        "cpu_us": cpu / records * 1e6,
        "peak_mib": peak_rss(),
        "seconds": seconds,
        "records": records,
        "startup_s": first.clock - order.spawned,
        "cpu_of_process_s": last.cpu,
    }


def take_order(run: Callable[[Order, Tally], None]) -> None:
    """Be a peer's process: take the order from the command line, run, and write the figures as the last line."""
    order = Order.from_json(sys.argv[1])
    assert order.shape is not None
    if order.timeout is not None:
        faulthandler.dump_traceback_later(order.timeout, exit=True)  # what hangs says where
    tally = Tally(order.shape, order)
    run(order, tally)
    try:
        figures = tally.figures()
    except MeasurementFailed as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"\n{json.dumps(figures)}\n")
    sys.stdout.flush()
