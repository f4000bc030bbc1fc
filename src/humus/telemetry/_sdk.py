"""Providers for exporters that are there. Imports the SDK, 0.1 s: only where something is to be exported."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = ["set_up"]


def set_up(exporters: Mapping[str, Sequence[Any]]) -> None:
    """Set the global providers of these signals; all that is not given here comes from the environment."""
    resource = Resource.create()
    if "traces" in exporters:
        traces = TracerProvider(resource=resource)
        for exporter in exporters["traces"]:
            traces.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(traces)
    if "metrics" in exporters:
        readers = [
            one if isinstance(one, MetricReader) else PeriodicExportingMetricReader(one) for one in exporters["metrics"]
        ]
        metrics.set_meter_provider(MeterProvider(metric_readers=readers, resource=resource))
    if "logs" in exporters:
        logs = LoggerProvider(resource=resource)
        for exporter in exporters["logs"]:
            logs.add_log_record_processor(BatchLogRecordProcessor(exporter))
        set_logger_provider(logs)
