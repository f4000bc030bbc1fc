"""Makes the immutable snapshot that `Runtime.status()` returns from the core's state."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from humus.queue.kafka._assignment import Assignment, View
from humus.queue.kafka._figures import Figures
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._stalls import Stall
from humus.queue.kafka._status import FailureStatus, PartitionStatus, RuntimeState, RuntimeStatus, Totals

__all__ = ["figures", "snapshot"]

RETRIED_TOO_LONG: Final = 60.0
"""Seconds that one record may be retried before it is a problem (D30)."""


def snapshot(
    core: Assignment,
    state: RuntimeState,
    group_id: str,
    conditions: Sequence[str],
    end_offset: Callable[[TopicPartition], int | None],
    *,
    now: float,
    warnings: Sequence[str] = (),
) -> RuntimeStatus:
    """Return the state of things at `now`, in the seconds of the events. Poll thread."""
    views = sorted(core.views(), key=lambda view: view.tp)
    partitions = tuple(_partition(view, now, end_offset) for view in views)
    counts, rebalances = core.counts(), core.rebalances
    totals = Totals(
        consumed=counts.consumed,
        handled=counts.handled,
        skipped=counts.skipped,
        dead_lettered=counts.dead_lettered,
        failed=counts.failed,
        lost=counts.lost,
        stale=counts.stale + core.stale_epochs,
        retries=counts.retries,
        stalls=core.stalls.total,
        jumps=core.jumps,
        commits_refused=core.commits_refused,
        assigned=rebalances.assigned,
        revoked=rebalances.revoked,
        lost_partitions=rebalances.lost,
    )
    problems = [*conditions, *(problem for partition in partitions if (problem := _problem(partition)) is not None)]
    problems += [_stalled(view.stall, now) for view in views if view.stall is not None]
    return RuntimeStatus(state, group_id, partitions, tuple(problems), totals, now, tuple(warnings))


def figures(core: Assignment, status: RuntimeStatus) -> Figures:
    """Return what the metrics are read from. Poll thread."""
    totals = status.totals
    return Figures(
        counts=core.counts_of_partitions(),
        lag={TopicPartition(at.topic, at.partition): at.lag for at in status.partitions if at.lag is not None},
        states=Counter(at.state for at in status.partitions),
        in_flight=core.at_work,
        buffered=core.flow.records,
        behind_since=core.behind_since,
        rebalances={"assigned": totals.assigned, "revoked": totals.revoked, "lost": totals.lost_partitions},
    )


def _partition(view: View, now: float, end_offset: Callable[[TopicPartition], int | None]) -> PartitionStatus:
    end = end_offset(view.tp)
    failure = view.failure
    return PartitionStatus(
        topic=view.tp.topic,
        partition=view.tp.partition,
        state=view.state,
        position=view.position,
        committed=view.committed,
        lag=None if end is None or view.position is None else max(0, end - view.position),
        in_flight=view.in_flight,
        failure=None
        if failure is None
        else FailureStatus(failure.offset, failure.attempts, failure.error_type, failure.reason, now - failure.since),
    )


def _stalled(stall: Stall, now: float) -> str:
    place = f"{stall.key.tp}@{stall.position}"
    return f"{place}: stalled for {now - stall.since:.0f} s: there are records up to offset {stall.end}"


def _problem(partition: PartitionStatus) -> str | None:
    failure = partition.failure
    if failure is None:
        return None
    place = f"{partition.topic}[{partition.partition}]@{failure.offset}"
    if partition.state == "halted":
        return f"{place}: halted: {failure.reason}"
    if failure.seconds >= RETRIED_TOO_LONG:
        return f"{place}: retried for {failure.seconds:.0f} s, {failure.attempts} attempts: {failure.reason}"
    return None
