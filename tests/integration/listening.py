"""OpenTelemetry's own SDK, listening in memory: what a runtime says while a test runs."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ["Listener", "listening"]

Attributes = Mapping[str, Any]


class Listener:
    """The global providers of one test, and what they were told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider(sampler=sampler)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        # The API lets a process set each of them once, and a test is not a process.
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", tracers)
        monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", MeterProvider([self._reader]))

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Return the ended spans whose name begins so, oldest first."""
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(name)]

    def metrics(self) -> dict[str, Metric]:
        """Read all metrics, by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Read one metric: (attributes, value) of each of its points; a histogram's value is (count, sum)."""
        metric = self.metrics().get(name)
        if metric is None:
            return []
        return [(dict(point.attributes or {}), _value(point)) for point in metric.data.data_points]


def _value(point: Any) -> Any:
    return (point.count, point.sum) if hasattr(point, "count") else point.value


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Listen to everything: all spans are sampled."""
    return Listener(monkeypatch)
