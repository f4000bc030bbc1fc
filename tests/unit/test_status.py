"""The status: what is shown of the core, and what of it is a problem."""

import dataclasses
import json
import math
import time

import pytest
from tests.pieces import piece, tp_of

from humus.queue.kafka._assignment import Assignment
from humus.queue.kafka._commands import Failing, Feed, Halted
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._partition import Failure, Key, Start
from humus.queue.kafka._snapshot import RETRIED_TOO_LONG, snapshot
from humus.queue.kafka._status import RuntimeStatus
from humus.queue.kafka._subscription import Semantic

LONG_AGO, SOON = -1e12, math.inf
"""Moments on the clock that the snapshot reads: one is always past, the other never comes."""
A, B = tp_of(0), tp_of(1)


def core_with(*records: int) -> tuple[Assignment, list[Key]]:
    """Make a core with so many records in each partition, highest partition first; return it and the workers' keys."""
    core = Assignment(
        {"orders": Semantic.AT_LEAST_ONCE},
        commit_interval=1.0,
        drain_timeout=5.0,
        rebalance_timeout=10.0,
        flow=Flow(1_000_000),
    )
    tps = [tp_of(number) for number in reversed(range(len(records)))]
    core.assigned(tps, 0.0)
    keys = [Key(tp, epoch) for epoch, tp in enumerate(tps, 1)]
    core.started(keys, dict.fromkeys(tps, Start(0, -1, committed=True)), 0.0)
    for number, count in enumerate(records):
        core.received(tp_of(number), piece(range(count)))
    keys = [command.key for command in core.commands() if isinstance(command, Feed)]
    core.tick(0.0)
    return core, keys


def status_of(core: Assignment, end: int | None = None) -> RuntimeStatus:
    """Take a snapshot with every partition's log ending at `end`."""
    return snapshot(core, "running", "service", ["broker away"], lambda _tp: end, now=time.monotonic())


def test_partitions_are_shown_in_order_with_lag_and_what_is_in_flight() -> None:
    """API: topic, partition, state, position, committed, lag, in flight, to the record."""
    core, [key, _] = core_with(5, 3)
    core.moved(key, 2, 0.0)
    first, second = status_of(core, end=9).partitions
    assert (first.topic, first.partition, first.state) == ("orders", 0, "running")
    assert (first.position, first.committed) == (2, None)
    assert (first.lag, first.in_flight, first.failure) == (7, 3, None)
    assert (second.partition, second.lag, second.in_flight) == (1, 9, 3)


def test_what_is_not_known_is_none() -> None:
    """Before the first record there is no position, before the first fetch no lag; neither is made up."""
    core, _ = core_with(1)
    core.assigned([B], 0.0)
    known, unknown = status_of(core, end=None).partitions
    assert (known.position, known.lag) == (0, None)
    assert (unknown.position, unknown.lag) == (None, None)
    assert status_of(core, end=9).partitions[1].lag is None


def test_lag_is_never_negative() -> None:
    """The end offset is of the last fetch, and may be behind the position."""
    core, [key] = core_with(5)
    core.moved(key, 5, 0.0)
    assert status_of(core, end=3).partitions[0].lag == 0


def test_a_halted_partition_is_a_problem_with_its_place_and_reason() -> None:
    """D31: readiness names the record."""
    core, [key, _] = core_with(5, 5)
    core.worker_said(Halted(key, Failure(2, 3, "ValueError", "bad amount", LONG_AGO)), 0.0)
    status = status_of(core)
    assert status.partitions[0].state == "halted"
    assert status.problems == ("broker away", "orders[0]@2: halted: bad amount")
    failure = status.partitions[0].failure
    assert failure is not None
    assert (failure.offset, failure.attempts, failure.error_type) == (2, 3, "ValueError")


@pytest.mark.parametrize(("since", "problem"), [(LONG_AGO, True), (SOON, False)])
def test_a_record_retried_for_a_minute_is_a_problem(since: float, problem: bool) -> None:
    """D30: one record retried for longer than 60 s fails readiness, by name; a short while does not."""
    core, [key] = core_with(5)
    core.worker_said(Failing(key, Failure(0, 7, "OSError", "no luck", since)), 0.0)
    status = status_of(core)
    assert status.partitions[0].state == "retrying"
    assert any("orders[0]@0: retried for" in text and "7 attempts" in text for text in status.problems) == problem
    assert RETRIED_TOO_LONG == 60


def test_totals_are_those_of_the_core() -> None:
    """Stale records of what is not ours are counted with the others."""
    core, [key] = core_with(5)
    core.moved(key, 5, 0.0)
    core.received(A, piece([4]))
    core.received(B, piece([0, 1]))
    core.lost([A], 0.0)
    totals = status_of(core).totals
    assert (totals.consumed, totals.handled, totals.stale, totals.lost_partitions) == (5, 5, 3, 1)
    assert status_of(core).rebalances == 2


def test_a_status_is_immutable_and_json() -> None:
    """API: a frozen snapshot; as JSON it has the keys that the contract names."""
    core, _ = core_with(5)
    status = status_of(core)
    with pytest.raises(dataclasses.FrozenInstanceError):
        status.state = "stopped"  # type: ignore[misc]
    [partition] = json.loads(status.as_json())["partitions"]
    keys = {"topic", "partition", "state", "position", "committed", "lag", "in_flight", "failure"}
    assert keys <= set(partition)
    assert json.loads(status.as_json()) == json.loads(json.dumps(status.as_dict()))
