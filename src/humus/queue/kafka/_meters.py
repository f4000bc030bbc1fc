"""The runtime's metrics: counted in plain integers, read when a reader asks (observable instruments).

One set of instruments serves all runtimes of a process that share a meter provider, as the API wants it: each runtime
lends it a `Source`, which gives its latest `Figures`. What a runtime that ended has counted stays counted.

A call of the API costs some microseconds, so on the way of a record there is at most one: `messaging.process.duration`,
which cannot be added up beforehand (the API takes no counts). It belongs to `_observer.py`; all else is here.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    Meter,
    Observation,
)

from humus.queue.kafka._figures import Figures
from humus.queue.kafka._instruments import (
    DESTINATION,
    DURATION_BOUNDARIES,
    ERROR_TYPE,
    GROUP,
    KAFKA,
    KIND,
    OPERATION,
    OTHER,
    OUTCOME,
    STATE,
    SYSTEM,
    Metric,
    OfProvider,
    Operation,
    of_partition,
)
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Counts

__all__ = ["STATES", "Meters", "meters_or_none"]

STATES: Final = ("running", "paused", "waiting", "retrying", "draining", "halted", "stalled")
"""Every state of a partition that `humus.partitions` counts, those with none of it included."""
_MOST_ERROR_TYPES: Final = 64
"""Different error types that are told apart: a processor may make up classes."""


Source = Callable[[], Figures]


class Meters:
    """The instruments of one meter provider. Any thread."""

    duration: Histogram
    """`messaging.process.duration`, in seconds; a call a record."""

    def __init__(self, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._sources: dict[Source, str] = {}  # -> the group
        self._ended: dict[tuple[str, TopicPartition], Counts] = {}
        self._ended_rebalances: dict[tuple[str, str], int] = {}
        self._error_types: set[str] = set()
        self._success: dict[tuple[str, TopicPartition], int] = {}
        self.duration = meter.create_histogram(
            Metric.PROCESS_DURATION,
            "s",
            "How long a record took, all attempts and waits included",
            explicit_bucket_boundaries_advisory=DURATION_BOUNDARIES,
        )
        self._operations: Histogram = meter.create_histogram(
            Metric.OPERATION_DURATION,
            "s",
            "How long a commit, or the sending of a dead letter, took until the broker's answer",
            explicit_bucket_boundaries_advisory=DURATION_BOUNDARIES,
        )
        self._sent: Counter = meter.create_counter(Metric.SENT, "{message}", "Dead letters sent")
        self._retries: Counter = meter.create_counter(
            Metric.RETRIES, "{attempt}", "Attempts that failed, and are repeated"
        )
        for name, unit, text, observe in (
            (Metric.CONSUMED, "{message}", "Records taken from the client", self._consumed),
            (Metric.HANDLED, "{message}", "Records that reached their end", self._handled),
            (Metric.COMMITTED, "{message}", "Offsets committed and confirmed", self._committed),
            (Metric.REBALANCES, "{rebalance}", "Rebalances that changed something", self._rebalances),
        ):
            meter.create_observable_counter(name, [_callback(observe)], unit, text)
        for name, unit, text, observe in (
            (Metric.LAG, "{message}", "Records between the position and the end of the log", self._lag),
            (Metric.COMMIT_AGE, "s", "Age of the oldest handled record that is not committed", self._commit_age),
            (Metric.IN_FLIGHT, "{message}", "Records that a processor is at work on", self._in_flight),
            (Metric.BUFFERED, "{message}", "Records fetched and not handled", self._buffered),
            (Metric.PARTITIONS, "{partition}", "Partitions by state", self._partitions),
        ):
            meter.create_observable_gauge(name, [_callback(observe)], unit, text)

    def lend(self, group_id: str, source: Source) -> None:
        """Read this runtime's figures from now on."""
        with self._lock:
            self._sources[source] = group_id

    def take_back(self, source: Source) -> None:
        """The runtime has ended: what it counted stays, what it measured is over."""
        with self._lock:
            group_id = self._sources.pop(source, None)
            if group_id is None:
                return
            figures = source()
            for tp, counts in figures.counts.items():
                self._ended.setdefault((group_id, tp), Counts()).add(counts)
            for kind, times in figures.rebalances.items():
                self._ended_rebalances[group_id, kind] = self._ended_rebalances.get((group_id, kind), 0) + times

    def retried(self, group_id: str, topic: str, error_type: str) -> None:
        """An attempt failed and is repeated."""
        kind = self.bounded(error_type)
        self._retries.add(1, {SYSTEM: KAFKA, GROUP: group_id, DESTINATION: topic, ERROR_TYPE: kind})

    def committed(self, group_id: str, seconds: float, error_type: str | None) -> None:
        """A commit was answered."""
        self._operations.record(seconds, self._operation(Operation.COMMIT, group_id, error_type))

    def sent(self, group_id: str, topic: str, seconds: float, error_type: str | None) -> None:
        """A dead letter was answered, or given up."""
        self._operations.record(seconds, self._operation(Operation.SEND, group_id, error_type))
        self._sent.add(1, {**self._operation(Operation.SEND, group_id, error_type), DESTINATION: topic})

    def bounded(self, error_type: str) -> str:
        """Return the error type, or `_OTHER` once there were too many."""
        if error_type in self._error_types:
            return error_type
        if len(self._error_types) >= _MOST_ERROR_TYPES:
            return OTHER
        self._error_types.add(error_type)
        return error_type

    def _operation(self, name: str, group_id: str, error_type: str | None) -> dict[str, str]:
        attributes = {SYSTEM: KAFKA, GROUP: group_id, OPERATION: name}
        return attributes if error_type is None else {**attributes, ERROR_TYPE: self.bounded(error_type)}

    # -- what a reader gets -------------------------------------------------------------------------------------

    def _figures(self) -> list[tuple[str, Figures]]:
        with self._lock:
            return [(group_id, source()) for source, group_id in self._sources.items()]

    def _counts(self) -> dict[tuple[str, TopicPartition], Counts]:
        with self._lock:
            total = {place: counts.copy() for place, counts in self._ended.items()}
            for source, group_id in self._sources.items():
                for tp, counts in source().counts.items():
                    total.setdefault((group_id, tp), Counts()).add(counts)
        return total

    def _consumed(self) -> Iterator[Observation]:
        for place, counts in self._counts().items():
            yield Observation(counts.consumed, {**of_partition(*place), OPERATION: Operation.POLL})

    def _committed(self) -> Iterator[Observation]:
        for place, counts in self._counts().items():
            yield Observation(counts.committed, {**of_partition(*place), OPERATION: Operation.COMMIT})

    def _handled(self) -> Iterator[Observation]:
        for place, counts in self._counts().items():
            # A failure is counted at once, and what was handled once its whole piece is: the difference must not fall.
            success = counts.handled - counts.skipped - counts.dead_lettered - counts.failed
            self._success[place] = success = max(success, self._success.get(place, 0))
            outcomes = {
                "success": success,
                "skipped": counts.skipped,
                "dead_lettered": counts.dead_lettered,
                "failed": counts.failed,
                "lost": counts.lost,
            }
            for outcome, number in outcomes.items():
                if number or outcome == "success":
                    yield Observation(number, {**of_partition(*place), OUTCOME: outcome})

    def _rebalances(self) -> Iterator[Observation]:
        with self._lock:
            total = dict(self._ended_rebalances)
            for source, group_id in self._sources.items():
                for kind, times in source().rebalances.items():
                    total[group_id, kind] = total.get((group_id, kind), 0) + times
        for (group_id, kind), times in total.items():
            yield Observation(times, {SYSTEM: KAFKA, GROUP: group_id, KIND: kind})

    def _lag(self) -> Iterator[Observation]:
        for group_id, figures in self._figures():
            for tp, lag in figures.lag.items():
                yield Observation(lag, of_partition(group_id, tp))

    def _groups(self) -> Iterator[tuple[dict[str, str], list[Figures]]]:
        """Return the figures of each group: its members in this process share a series."""
        groups: dict[str, list[Figures]] = {}
        for group_id, figures in self._figures():
            groups.setdefault(group_id, []).append(figures)
        for group_id, members in groups.items():
            yield {SYSTEM: KAFKA, GROUP: group_id}, members

    def _commit_age(self) -> Iterator[Observation]:
        for attributes, members in self._groups():
            now = time.monotonic()
            ages = [now - since for one in members if (since := one.behind_since) is not None]
            yield Observation(max(ages, default=0.0), attributes)

    def _in_flight(self) -> Iterator[Observation]:
        for attributes, members in self._groups():
            yield Observation(sum(one.in_flight for one in members), attributes)

    def _buffered(self) -> Iterator[Observation]:
        for attributes, members in self._groups():
            yield Observation(sum(one.buffered for one in members), attributes)

    def _partitions(self) -> Iterator[Observation]:
        for attributes, members in self._groups():
            for state in STATES:
                yield Observation(sum(one.states.get(state, 0) for one in members), {**attributes, STATE: state})


def _callback(observe: Callable[[], Iterable[Observation]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _options: observe()


meters_or_none: Final = OfProvider(Meters)
"""`meters_or_none()`: the instruments of the global meter provider, `None` where there is none."""
