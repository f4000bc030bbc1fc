"""What a candidate measures itself with, inside its own process."""

import resource
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, TopicPartition

from humus.queue import kafka
from humus.queue.kafka._client_config import client_config
from humus.queue.kafka._options import validate

__all__ = [
    "MIB",
    "Candidate",
    "Figures",
    "Instant",
    "MeasurementFailed",
    "Order",
    "Shape",
    "brokers_of",
    "fresh_group",
    "partitions_of",
    "peak_rss",
    "rss",
    "runtime_client_config",
    "shape_of",
]

MIB = 1024 * 1024
_WITHIN = 10.0

Figures = dict[str, float]
"""What a run measured, by name; the unit is the end of the name."""


class MeasurementFailed(Exception):  # noqa: N818 - reads as what happened
    """The run did not do what it was to measure, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a candidate is told: where, and for how long where that is asked."""

    brokers: str
    topic: str
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to be measured; `run` does it once, in this process, which does nothing else."""

    what: str
    run: Callable[[Order], Figures]


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time: seconds on a clock, and seconds of CPU (user and system, all threads) used until then."""

    clock: float
    cpu: float

    @classmethod
    def now(cls) -> Self:
        """Return this one."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(time.monotonic(), used.ru_utime + used.ru_stime)


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
    return most / (MIB if sys.platform == "darwin" else 1024)


def _proc_status(field: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text("ascii").splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """A topic as the candidates need it: every partition holds the same number of records, from offset 0."""

    partitions: int
    each: int

    @property
    def records(self) -> int:
        """All records of the topic."""
        return self.partitions * self.each


def shape_of(order: Order) -> Shape:
    """Ask the broker for the topic's shape.

    Raises:
        MeasurementFailed: it is not even, so the end could not be told by an offset.
    """
    partitions = range(partitions_of(order))
    with _looking_at(order) as client:
        ends = {client.get_watermark_offsets(TopicPartition(order.topic, at), timeout=_WITHIN) for at in partitions}
    if len(ends) != 1 or next(iter(ends))[0] != 0:
        raise MeasurementFailed(
            f"topic {order.topic}: each partition must hold as many records as the others, from offset 0; "
            "`python -m bench topic` makes such a topic"
        )
    return Shape(len(partitions), next(iter(ends))[1])


def partitions_of(order: Order) -> int:
    """Ask the broker how many partitions the topic has."""
    with _looking_at(order) as client:
        return len(client.list_topics(order.topic, timeout=_WITHIN).topics[order.topic].partitions)


def brokers_of(order: Order) -> int:
    """Ask the broker how many of them there are."""
    with _looking_at(order) as client:
        return len(client.list_topics(order.topic, timeout=_WITHIN).brokers)


@contextmanager
def _looking_at(order: Order) -> Iterator[Consumer]:
    client = Consumer({"bootstrap.servers": order.brokers, "group.id": fresh_group()})
    try:
        yield client
    finally:
        client.close()


def fresh_group() -> str:
    """Return a group id that nobody used before."""
    return f"bench-{uuid.uuid4().hex[:12]}"


def runtime_client_config(brokers: str) -> dict[str, Any]:
    """Return the client's configuration as the runtime sets it, for a bare client in a group of its own."""

    def process(message: kafka.Message) -> None: ...

    options = validate(brokers, fresh_group(), [kafka.at_least_once("of-no-matter", process)])
    return {**client_config(options)}
