"""The runtime's metrics, as a reader gets them from made-up figures."""

import time
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from humus.queue.kafka._figures import Figures
from humus.queue.kafka._instruments import Metric
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._meters import STATES, Meters
from humus.queue.kafka._partition import Counts


def read(*figures: Figures) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Return the points of each metric, of runtimes of one group that have counted this."""
    reader = InMemoryMetricReader()
    meters = Meters(MeterProvider([reader], shutdown_on_exit=False).get_meter("tests"))
    for one in figures:
        meters.lend("billing", lambda one=one: one)  # type: ignore[misc]
    data = reader.get_metrics_data()
    assert data is not None
    [of_resource] = data.resource_metrics
    [of_scope] = of_resource.scope_metrics
    return {
        metric.name: [
            (dict(point.attributes or {}), getattr(point, "value", None)) for point in metric.data.data_points
        ]
        for metric in of_scope.metrics
    }


def test_runtimes_of_one_group_are_added_up() -> None:
    """Two members in one process share a series: a halted partition of one is not hidden by the other."""
    now = time.monotonic()
    found = read(
        Figures(states={"halted": 1, "running": 2}, in_flight=3, buffered=4, behind_since=now - 100),
        Figures(states={"running": 3}, in_flight=1, buffered=1, behind_since=now),
        Figures(states={"running": 1}),
    )
    states = {attributes["state"]: value for attributes, value in found[Metric.PARTITIONS]}
    assert (states["halted"], states["running"], states["stalled"]) == (1, 6, 0)
    assert [value for _, value in found[Metric.IN_FLIGHT]] == [4]
    assert [value for _, value in found[Metric.BUFFERED]] == [5]
    [(_, age)] = found[Metric.COMMIT_AGE]
    assert 100 <= age < 200


def test_a_thousand_partitions_are_a_series_each_and_no_more() -> None:
    """What is about a partition has one series a partition and outcome, all else a handful, however many there are."""
    tps = [TopicPartition("orders", number) for number in range(1000)]
    found = read(
        Figures(
            counts={tp: Counts(consumed=10, handled=10, skipped=tp.partition % 2, committed=9) for tp in tps},
            lag=dict.fromkeys(tps, 1),
            states={"running": 1000},
            rebalances={"assigned": 1, "revoked": 0, "lost": 0},
        )
    )
    sizes = {name: len(points) for name, points in found.items()}
    assert sizes == {
        Metric.CONSUMED: 1000,
        Metric.COMMITTED: 1000,
        Metric.LAG: 1000,
        Metric.HANDLED: 1500,
        Metric.PARTITIONS: len(STATES),
        Metric.REBALANCES: 3,
        Metric.COMMIT_AGE: 1,
        Metric.IN_FLIGHT: 1,
        Metric.BUFFERED: 1,
    }
    assert sum(value for attributes, value in found[Metric.HANDLED] if attributes["outcome"] == "skipped") == 500
    assert {attributes["messaging.destination.partition.id"] for attributes, _ in found[Metric.LAG]} == {
        str(number) for number in range(1000)
    }
