"""An exporter whose collector is away: what is logged, and what is not."""

import logging
from collections.abc import Iterator
from enum import Enum

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from humus.telemetry._watch import exporters_of, watched

SDK = logging.getLogger("opentelemetry.exporter.mine")
SHARED = logging.getLogger("opentelemetry.sdk._shared_internal")
CLIENT = logging.getLogger("urllib3.connectionpool")


class Result(Enum):
    """What an exporter returns."""

    SUCCESS = 0
    FAILURE = 1


class Exporter:
    """Fails as told, with the words of the SDK's own exporters."""

    def __init__(self) -> None:
        self.fails: str | Exception | None = None
        self.batches: list[str] = []

    def export(self, batch: str, *, timeout_millis: float = 0) -> Result:
        """Export a batch."""
        self.batches.append(f"{batch} {timeout_millis}")
        CLIENT.debug("a request")
        if isinstance(self.fails, Exception):
            raise self.fails
        if self.fails is None:
            return Result.SUCCESS
        SDK.warning("Transient error %s, retrying", self.fails)
        SDK.error("Failed to export")
        return Result.FAILURE


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """Give an exporter that is watched."""
    exporter = Exporter()
    undo = watched([("traces", exporter, Result.FAILURE)])
    yield exporter
    undo()


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Give everything that is logged."""
    caplog.set_level(logging.DEBUG)
    return caplog


def test_one_line_when_it_begins_and_one_when_it_ends(exporter: Exporter, told: pytest.LogCaptureFixture) -> None:
    """D70: Of many exports that fail, the first is a line with the reason; the next one that works is another."""
    exporter.export("first", timeout_millis=5)
    assert not told.records
    exporter.fails = "connection refused by http://user:pass@collector/v1?key=secret of ours"
    for _ in range(3):
        assert exporter.export("lost") is Result.FAILURE
    exporter.fails = None
    exporter.export("again")
    exporter.export("and again")
    assert exporter.batches[0] == "first 5"
    reason = "Transient error connection refused by http://...@collector/v1?... of ours, retrying"
    assert [(record.levelname, record.getMessage()) for record in told.records] == [
        ("ERROR", f"traces cannot be exported, the service goes on without them: {reason}"),
        ("INFO", "traces are exported again; exports that failed meanwhile: 3"),
    ]


def test_an_exporter_that_raises(exporter: Exporter, told: pytest.LogCaptureFixture) -> None:
    """An exporter that raises has failed, and is one line as well."""
    exporter.fails = OSError("no route")
    assert [exporter.export("lost"), exporter.export("lost")] == [Result.FAILURE, Result.FAILURE]
    (record,) = told.records
    assert record.getMessage().endswith("without them: OSError: no route")


def test_a_full_queue_is_one_line(told: pytest.LogCaptureFixture) -> None:
    """D70: The SDK's queue is bounded; what it drops is one line until an export works again, not one a span."""
    exporter = OTLPSpanExporter(endpoint="http://127.0.0.1:9/v1/traces")
    provider = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(exporter, max_queue_size=4, max_export_batch_size=4, schedule_delay_millis=3_600_000)
    undo = watched([("traces", exporter, SpanExportResult.FAILURE)])
    try:
        processor._batch_processor._worker_awaken.set = lambda: None  # type: ignore[method-assign] # noqa: SLF001
        provider.add_span_processor(processor)
        for _ in range(500):
            provider.get_tracer("mine").start_span("book").end()
            SHARED.debug("between two of the same, which the SDK filters itself")
        assert len(processor._batch_processor._queue) == 4  # noqa: SLF001
        assert [record.getMessage() for record in told.records if record.levelno >= logging.WARNING] == [
            "traces come faster than they go: their queue is full, and what does not fit is lost"
        ]
    finally:
        undo()


def test_other_lines_of_the_sdk_are_shown(exporter: Exporter, told: pytest.LogCaptureFixture) -> None:
    """What OpenTelemetry says outside of an export is not touched."""
    exporter.export("batch")
    SDK.warning("Setting attribute on ended span.")
    assert [record.getMessage() for record in told.records] == ["Setting attribute on ended span."]


def test_exporters_of_each_signal_are_found() -> None:
    """The SDK keeps its exporters where we find them, in every kind of processor and reader."""
    traces, spans = TracerProvider(shutdown_on_exit=False), [OTLPSpanExporter(), InMemorySpanExporter()]
    traces.add_span_processor(BatchSpanProcessor(spans[0]))
    traces.add_span_processor(SimpleSpanProcessor(spans[1]))
    logs, records = LoggerProvider(shutdown_on_exit=False), OTLPLogExporter()
    logs.add_log_record_processor(BatchLogRecordProcessor(records))
    points = OTLPMetricExporter()
    metrics = MeterProvider([PeriodicExportingMetricReader(points)], shutdown_on_exit=False)
    try:
        assert set(exporters_of(traces, SpanExporter)) == set(spans)
        assert list(exporters_of(logs, LogRecordExporter)) == [records]
        assert list(exporters_of(metrics, MetricExporter)) == [points]
    finally:
        for provider in (traces, logs, metrics):
            provider.shutdown()
