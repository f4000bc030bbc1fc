"""The span of a record: what its headers carry is found, and looked for only where it can be."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._observer import OtelObserver
from humus.testing import message

TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = ("traceparent", f"00-{TRACE:032x}-{PARENT:016x}-01".encode())
BAGGAGE = ("baggage", b"tenant=blue")


class Asked(TextMapPropagator):
    """Names these fields, and counts how often it is asked."""

    def __init__(self, fields: set[str]) -> None:
        self._fields = fields
        self.times = 0

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Context:  # noqa: ARG002
        """Find nothing."""
        self.times += 1
        return context if isinstance(context, Context) else Context()

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        """Do nothing."""

    @property
    def fields(self) -> set[str]:
        """Return what it was given."""
        return self._fields


class Started(SpanProcessor):
    """Keeps the spans, and the baggage that each one's parent context had."""

    def __init__(self) -> None:
        self.spans: list[tuple[ReadableSpan, Any]] = []

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Keep it."""
        self.spans.append((span, baggage.get_baggage("tenant", parent_context)))


@pytest.fixture
def propagators() -> Iterator[None]:
    """Set the usual propagators, and again at the end, whatever the test did."""
    usual = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    propagate.set_global_textmap(usual)
    yield
    propagate.set_global_textmap(usual)


def observed(*headers: tuple[str, bytes]) -> tuple[ReadableSpan, Any, Any]:
    """Observe one record; return its span, its parent's baggage, and the baggage inside."""
    started = Started()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(started)
    tp = TopicPartition("orders", 0)
    observer = OtelObserver(
        tp, "billing", "tests", tracer=provider.get_tracer("tests"), meters=None, durations=False, trace_parent="link"
    )
    observer.begin(message(b"{}", topic="orders", headers=headers))
    inside = baggage.get_baggage("tenant")
    observer.end(0.0)
    assert not trace.get_current_span().get_span_context().is_valid
    [(span, of_parent)] = started.spans
    return span, of_parent, inside


@pytest.mark.usefixtures("propagators")
@pytest.mark.parametrize(
    ("headers", "links", "tenant"),
    [
        ((), 0, None),
        ((("content-type", b"json"),), 0, None),
        ((("content-type", b"json"), TRACEPARENT), 1, None),
        ((BAGGAGE,), 0, "blue"),
        ((TRACEPARENT, BAGGAGE), 1, "blue"),
    ],
    ids=["none", "others", "traceparent", "baggage", "both"],
)
def test_headers_carry_a_link_and_baggage(
    headers: tuple[tuple[str, bytes], ...], links: int, tenant: str | None
) -> None:
    """A link to the producer where there is a traceparent, never a parent; baggage for who samples and inside."""
    span, of_parent, inside = observed(*headers)
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [PARENT] * links
    assert (of_parent, inside) == (tenant, tenant)


@pytest.mark.usefixtures("propagators")
@pytest.mark.parametrize(
    ("fields", "header", "times"),
    [
        ({"traceparent"}, "content-type", 0),
        ({"traceparent"}, "traceparent", 1),
        ({"uber-trace-id"}, "uberctx-tenant", 1),
        (set[str](), "content-type", 1),
    ],
)
def test_propagators_are_asked_where_there_may_be_something(fields: set[str], header: str, times: int) -> None:
    """The usual propagators only if a header of theirs is there; others always: they may not name all they read."""
    propagator = Asked(fields)
    propagate.set_global_textmap(propagator)
    observed((header, b""))
    assert propagator.times == times
