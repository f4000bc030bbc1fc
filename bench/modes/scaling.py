"""How throughput goes with the number of partitions, and of processes in the group."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.kafka.admin import Admin, eventually

from bench import members, topics
from bench.child import Child, Outcome, own
from bench.mode import Amounts, Column, Mode
from bench.modes import throughput
from bench.work import Figures, MeasurementFailed, Order

__all__ = ["MODE", "Sample", "together"]

PARTITIONS = (1, 8, 64)
_OF_GROUPS = 8
_LEAST_SECONDS = 0.2
_GROUP_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class _Setup:
    """Which of the throughput's candidates reads how many partitions; or how many members work side by side."""

    what: str
    partitions: int
    candidate: str = ""
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """How many records a member had handled at a point in time, and the CPU that it had used until then."""

    count: int
    at: float
    cpu: float


def together(series: Sequence[Sequence[Sample]]) -> Figures:
    """Return what members did in the time in which all of them worked.

    Raises:
        MeasurementFailed: there is no such time, or it is too short to tell.
    """
    if not all(series):
        raise MeasurementFailed("a member had nothing to do")
    begin, end = max(one[0].at for one in series), min(one[-1].at for one in series)
    if end - begin < _LEAST_SECONDS:
        raise MeasurementFailed(f"they worked side by side for {max(end - begin, 0):.2f} s: more records are needed")
    within = [[sample for sample in one if begin <= sample.at <= end] for one in series]
    if any(len(one) < 2 for one in within):
        raise MeasurementFailed("a member stood still while the others worked: more records are needed")
    records = sum(one[-1].count - one[0].count for one in within)
    cpu = sum(one[-1].cpu - one[0].cpu for one in within)
    rate = sum((one[-1].count - one[0].count) / (one[-1].at - one[0].at) for one in within)
    return {"msgs_per_s": rate, "cpu_us": cpu / records * 1e6, "seconds": end - begin}


_SETUPS = {
    **{
        f"bare-{n}": _Setup("consume(1000), the client configured as the runtime does it", n, "bare")
        for n in PARTITIONS
    },
    **{f"async-{n}": _Setup("at least once, empty async def processor", n, "humus-async") for n in PARTITIONS},
    **{f"def-{n}": _Setup("at least once, empty def processor", n, "humus-def") for n in PARTITIONS},
    "async-8-x1": _Setup("the same as async-8, measured as async-8-x2 is", _OF_GROUPS, processes=1),
    "async-8-x2": _Setup("two processes in a group, in the time in which both work", _OF_GROUPS, processes=2),
}


def _make_topics(brokers: str, amounts: Amounts) -> str:
    names = []
    for partitions in PARTITIONS:
        names.append(topics.make(brokers, partitions))
        each = amounts.records // partitions
        topics.fill(brokers, names[-1], partitions=partitions, each=each, size=throughput.RECORD_BYTES)
    return ",".join(names)


def _run(name: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    setup = _SETUPS[name]
    topic = topic.split(",")[PARTITIONS.index(setup.partitions)]
    if setup.candidate:
        return replace(throughput.run(setup.candidate, brokers, topic, amounts), candidate=name)
    return _members(name, setup.processes, brokers, amounts)


def _members(name: str, processes: int, brokers: str, amounts: Amounts) -> Outcome:
    # The first member would have handled most of them before the group is complete: they become visible all at once.
    topic = topics.make(brokers, _OF_GROUPS)
    each = amounts.records // _OF_GROUPS
    show = topics.fill_unseen(brokers, topic, partitions=_OF_GROUPS, each=each, size=throughput.RECORD_BYTES)
    order = Order(brokers, topic, seconds=amounts.timeout, timeout=amounts.timeout)
    with tempfile.TemporaryDirectory(prefix="humus-bench-") as folder:
        files = [Path(folder) / str(number) for number in range(processes)]
        children: list[Child] = []
        try:
            for file in files:
                one = own(members.MEMBER, replace(order, notes=str(file)))
                children += [Child(name, one, amounts.timeout)]
            _wait_for_group(order, processes)
            show()
            ends = [child.wait() for child in children]
        finally:
            for child in children:
                child.discard()
        failed = next((end for end in ends if end.figures is None), None)
        if failed is not None:
            return failed
        series = [[Sample(*sample) for sample in json.loads(file.read_text("utf-8"))] for file in files]
    try:
        figures = together(series)
    except MeasurementFailed as error:
        return ends[0].failed(str(error))
    peaks = [end.figures["peak_mib"] for end in ends if end.figures is not None]
    return replace(ends[0], figures={**figures, "peak_mib": sum(peaks)})


def _wait_for_group(order: Order, processes: int) -> None:
    """Wait until the partitions are spread evenly.

    Raises:
        AssertionError: they are not, in time.
    """
    admin, even = Admin(order.brokers), [_OF_GROUPS // processes] * processes
    eventually(
        lambda: [len(member.assignment.topic_partitions) for member in admin.members(order.group)],
        lambda spread: spread == even,
        within=_GROUP_WITHIN,
    )


MODE = Mode(
    name="scaling",
    title="Scaling",
    about=(
        f"The same number of records of {throughput.RECORD_BYTES} bytes in {', '.join(map(str, PARTITIONS))} "
        "partitions; and one or two processes in a group, which share the machine's cores with the broker. Of two, the "
        "time counts in which both work. CPU and memory are those of both together."
    ),
    candidates=_SETUPS,
    columns=(
        Column("msgs_per_s", "msg/s", 0, "ratio"),
        Column("cpu_us", "CPU us a message", 2, "difference"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("seconds", "seconds", 2),
    ),
    prepare=_make_topics,
    run=_run,
    amount=lambda amounts: f"{amounts.records:,} records",
    yardstick="bare-8",
    yardsticks={
        "async-1": "bare-1",
        "async-64": "bare-64",
        "def-1": "bare-1",
        "def-64": "bare-64",
        "async-8-x2": "async-8-x1",
    },
    typical_s=5.0,
)
