"""What listening costs: the runtime with OpenTelemetry's SDK, and beside it what the SDK's own calls cost.

The budgets are ratios to those calls, so both are measured in the same round: a call with the attributes that the
runtime gives it, nothing else, as often as there are records.
"""

from collections.abc import Callable
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Tracer

from bench.instruments import Candidate, Figures, Instant, Order, peak_rss, shape_of
from bench.throughput import humus_async, humus_limited

__all__ = ["CANDIDATES", "ONE_PERCENT", "YARDSTICK"]

YARDSTICK: Final = "humus-async"
ONE_PERCENT: Final = 0.01
_DURATION: Final = 0.001
_OF_METRIC: Final = {
    "messaging.system": "kafka",
    "messaging.consumer.group.name": "bench",
    "messaging.destination.name": "bench",
    "messaging.destination.partition.id": "0",
    "messaging.operation.name": "process",
}
_OF_SPAN: Final = {**_OF_METRIC, "messaging.operation.type": "process", "messaging.client.id": "bench"}


class _Drop(SpanExporter):
    """Takes spans and forgets them: what an exporter and its collector cost is not ours to measure."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002 - the SDK's
        return SpanExportResult.SUCCESS


def _meter_provider() -> MeterProvider:
    return MeterProvider([InMemoryMetricReader()])


def _tracer_provider(sampler: Sampler) -> TracerProvider:
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(_Drop()))
    return provider


def _one_percent() -> TracerProvider:
    return _tracer_provider(ParentBased(TraceIdRatioBased(ONE_PERCENT)))


def _all() -> TracerProvider:
    return _tracer_provider(ALWAYS_ON)


# -- the runtime ---------------------------------------------------------------------------------------------------


def _with_metrics(*, durations: bool) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        metrics.set_meter_provider(_meter_provider())
        go = humus_limited if durations else humus_async
        return go(order, process_duration=durations)

    return run


def _with_traces(make: Callable[[], TracerProvider]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        trace.set_tracer_provider(make())
        return humus_limited(order)

    return run


# -- one call of the SDK -------------------------------------------------------------------------------------------


def _calls(number: int, call: Callable[[int], None]) -> Figures:
    """Call so often, and say what one call costs."""
    call(number // 100)  # warm
    first = Instant.now()
    call(number)
    last = Instant.now()
    seconds, cpu = last.clock - first.clock, last.cpu - first.cpu
    return {
        "msgs_per_s": number / seconds,
        "cpu_us": cpu / number * 1e6,
        "peak_mib": peak_rss(),
        "seconds": seconds,
    }


def _bare_histogram(order: Order) -> Figures:
    provider = _meter_provider()
    histogram: Histogram = provider.get_meter("bench").create_histogram("bench", "s")
    record = histogram.record

    def call(number: int) -> None:
        for _ in range(number):
            record(_DURATION, _OF_METRIC)

    return _calls(shape_of(order).records, call)


def _bare_span(make: Callable[[], TracerProvider]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        tracer: Tracer = make().get_tracer("bench")
        nothing = Context()

        def call(number: int) -> None:
            for offset in range(number):
                attributes: dict[str, Any] = {**_OF_SPAN, "messaging.kafka.offset": offset}
                with tracer.start_as_current_span("process bench", nothing, SpanKind.CONSUMER, attributes):
                    pass

        return _calls(shape_of(order).records, call)

    return run


CANDIDATES = {
    "humus-metrics": Candidate(
        "humus-async with metrics on, an in-memory reader, process_duration off", _with_metrics(durations=False)
    ),
    "humus-durations": Candidate("the same with process_duration on", _with_metrics(durations=True)),
    "humus-traces-1": Candidate(
        "humus-async with tracing on, 1 % sampled, a batch processor whose exporter drops", _with_traces(_one_percent)
    ),
    "humus-traces-all": Candidate("the same with all sampled", _with_traces(_all)),
    "call-histogram": Candidate("one record() of an SDK histogram; a call a message", _bare_histogram),
    "call-span-1": Candidate("one start_as_current_span() and its end, 1 % sampled", _bare_span(_one_percent)),
    "call-span-all": Candidate("the same with all sampled, with that batch processor", _bare_span(_all)),
}
