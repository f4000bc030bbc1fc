"""What a rebalance costs: how long partitions stand still when a member joins under load."""

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from bench import members, topics
from bench.candidates import PRODUCER_NAME
from bench.child import Child, Outcome, own
from bench.mode import Amounts, Column, Described, Mode
from bench.series import percentile
from bench.work import Figures, MeasurementFailed, Order

__all__ = ["MODE", "Handled", "interruptions"]

PARTITIONS = 12
RATE = 2000
_ALONE_SECONDS = 6.0
"""The first member's time before the second one is started."""
_TOGETHER_SECONDS = 10.0
_LOOK_SECONDS = 8.0
"""From the start of the second member on: what happens later is the end of the run."""


@dataclass(frozen=True, slots=True)
class Handled:
    """A record that a member handled, and when."""

    partition: int
    offset: int
    at: float
    member: int


def interruptions(handled: Sequence[Handled], joined: float, until: float) -> Figures:
    """Return for how long partitions stood still between two points in time, by what became of them.

    A partition has moved if the second member (1) has handled its last record until then; else it has stayed.

    Raises:
        MeasurementFailed: no partition moved, or records are missing.
    """
    by_partition: dict[int, list[Handled]] = {}
    for one in sorted(handled, key=lambda one: one.at):
        by_partition.setdefault(one.partition, []).append(one)
    stay: list[float] = []
    move: list[float] = []
    before: list[float] = []
    twice = 0
    for partition, records in by_partition.items():
        offsets = {one.offset for one in records}
        twice += len(records) - len(offsets)
        missing = max(offsets) - min(offsets) + 1 - len(offsets)
        if missing:
            raise MeasurementFailed(f"{missing:,} records of partition {partition} were not handled")
        until_then = [one for one in records if one.at <= until]
        moved = bool(until_then) and until_then[-1].member == 1
        (move if moved else stay).append(_longest(records, joined, until) * 1e3)
        before.append(_longest(records, joined - (until - joined) / 4, joined) * 1e3)
    if not stay or not move:
        raise MeasurementFailed(f"{len(stay)} partitions stayed and {len(move)} moved: the second member did not join")
    return {
        "before_ms": max(before),
        "stay_p50_ms": percentile(sorted(stay), 50),
        "stay_max_ms": max(stay),
        "move_p50_ms": percentile(sorted(move), 50),
        "move_max_ms": max(move),
        "moved": len(move),
        "twice": twice,
    }


def _longest(records: Sequence[Handled], begin: float, end: float) -> float:
    """Return the longest time between two records, of which at least a part lies in between."""
    return max(
        (later.at - one.at for one, later in pairwise(records) if later.at > begin and one.at < end),
        default=end - begin,
    )


def _run(candidate: str, brokers: str, _topic: str, amounts: Amounts) -> Outcome:
    topic = topics.make(brokers, PARTITIONS)
    with tempfile.TemporaryDirectory(prefix="humus-bench-") as folder:
        files = [str(Path(folder) / name) for name in ("first", "second")]
        order = Order(brokers, topic, rate=RATE, timeout=amounts.timeout)
        # Until they are done, however long that takes.
        producer = Child(PRODUCER_NAME, own(PRODUCER_NAME, replace(order, seconds=amounts.timeout)), amounts.timeout)
        started = [producer]
        try:
            first = replace(order, seconds=_ALONE_SECONDS + _TOGETHER_SECONDS, notes=files[0])
            started.append(Child(candidate, own(candidate, first), amounts.timeout))
            time.sleep(_ALONE_SECONDS)
            joined = time.monotonic()
            second = replace(order, seconds=_TOGETHER_SECONDS, notes=files[1])
            started.append(Child(candidate, own(candidate, second), amounts.timeout))
            ends = [child.wait() for child in started[1:]]
        finally:
            for child in started:
                child.discard()
        failed = next((end for end in ends if end.figures is None), None)
        if failed is not None:
            return failed
        handled = [
            Handled(partition, offset, at, member)
            for member, file in enumerate(files)
            for partition, offset, at in json.loads(Path(file).read_text("utf-8"))
        ]
    try:
        figures = interruptions(handled, joined, joined + _LOOK_SECONDS)
    except MeasurementFailed as error:
        return ends[0].failed(str(error))
    theirs = [one.at for one in handled if one.member == 1]
    return replace(ends[0], figures={**figures, "join_s": min(theirs) - joined})


_CANDIDATES: Mapping[str, Described] = {
    name: candidate for name, candidate in members.CANDIDATES.items() if name != members.MEMBER
}

MODE = Mode(
    name="rebalance",
    title="A member joins",
    about=(
        f"{RATE:,} records a second in {PARTITIONS} partitions, so one every {PARTITIONS / RATE * 1e3:g} ms in each. "
        f"After {_ALONE_SECONDS:g} s a second member joins. For each partition, the longest time without progress from "
        f"the start of its process on, for {_LOOK_SECONDS:g} s: of those that stay, and of those that move to it. "
        "'before' is the longest of any partition before that."
    ),
    candidates=_CANDIDATES,
    columns=(
        Column("stay_p50_ms", "stays: ms", 0),
        Column("stay_max_ms", "stays, worst: ms", 0),
        Column("move_p50_ms", "moves: ms", 0),
        Column("move_max_ms", "moves, worst: ms", 0),
        Column("before_ms", "before, worst: ms", 0),
        Column("join_s", "process to first record, s", 2),
        Column("moved", "partitions moved", 0),
        Column("twice", "records that came twice", 0),
    ),
    prepare=lambda _brokers, _amounts: "",
    run=_run,
    typical_s=20.0,
    warm_up=False,
)
