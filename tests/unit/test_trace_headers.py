"""The producer's trace: read by the short way or by the propagators, it is the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from humus.queue.kafka._trace_headers import Headers, TraceHeaders

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
USUAL = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


def propagated(headers: Headers) -> tuple[Any, Any]:
    """Return the producer's span and its tenant, as the usual propagators read them."""
    carrier = {name: value.decode("utf-8", "replace") for name, value in headers if value is not None}
    found = USUAL.extract(carrier, Context())
    producer = trace.get_current_span(found).get_span_context()
    return producer if producer.is_valid else None, baggage.get_baggage("tenant", found)


def read(headers: Headers) -> tuple[Any, Any]:
    """Return the same, as they are read here; nothing else of the producer's is in the context."""
    producer, rest = TraceHeaders().read(headers)
    assert not trace.get_current_span(rest).get_span_context().is_valid
    return producer, baggage.get_baggage("tenant", rest)


@pytest.mark.parametrize(
    "value",
    [
        *(f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-ff", f" 00-{TRACE}-{SPAN}-01\t"),
        *(f"01-{TRACE}-{SPAN}-01", f"01-{TRACE}-{SPAN}-01-more", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more"),
        *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01"),
        *(f"00-{TRACE}-{SPAN}-01\n", f"00-{TRACE}-{SPAN}", "", "no", f"00-{TRACE}-{SPAN}-01" + "x" * 600),
    ],
)
@pytest.mark.parametrize("further", [(), (("tracestate", b"a=b"),), (("baggage", b"tenant=blue"),), (("x", b"y"),)])
def test_a_trace_parent_means_what_it_means_to_the_propagators(value: str, further: Headers) -> None:
    """Of every version, sound or not, alone or with other headers: the producer and its baggage are the same."""
    headers = [("traceparent", value.encode()), *further]
    assert read(headers) == propagated(headers)


@given(st.text("0123456789abcdef-", max_size=60) | st.from_regex(r"0[01]-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"))
def test_any_trace_parent_means_the_same(value: str) -> None:
    """Whatever stands in the header, nobody reads another producer out of it than the propagators."""
    headers = [("traceparent", value.encode())]
    assert read(headers) == propagated(headers)


def test_the_last_one_counts() -> None:
    """A header that comes twice counts as its last one; one without a value is none."""
    first, last = (("traceparent", f"00-{TRACE}-{span}-01".encode()) for span in (SPAN, SPAN[::-1]))
    assert read([first, last]) == propagated([last])
    assert read([first, ("traceparent", None)]) == (None, None)


class Deaf(TextMapPropagator):
    """Names the usual headers, and reads none."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Context:  # noqa: ARG002
        """Find nothing."""
        return Context()

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        """Do nothing."""

    @property
    def fields(self) -> set[str]:
        """Return a usual one."""
        return {"traceparent"}


@pytest.mark.parametrize("textmap", [Deaf(), CompositePropagator([Deaf()]), CompositePropagator([])])
def test_other_propagators_are_asked(textmap: TextMapPropagator) -> None:
    """The short way is for the usual propagators alone: where others are set, they say what a header means."""
    propagate.set_global_textmap(textmap)
    try:
        assert read([("traceparent", f"00-{TRACE}-{SPAN}-01".encode())]) == (None, None)
    finally:
        propagate.set_global_textmap(USUAL)
