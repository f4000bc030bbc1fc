"""What a worker tells of each record: its `process` span and its duration; and the `send` span of a dead letter.

One observer a worker, for one record at a time: `begin`, then `failed` for each attempt that fails, then `end`. Where
durations alone are listened to, `timing` takes those of all records that did not fail, and the rest is for the others.
It runs where the processor runs, and makes the span the current one there. A partition without a listener has no
observer, and pays nothing.
"""

from time import perf_counter
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Setter
from opentelemetry.trace import Link, SpanKind, Tracer

from humus.queue._describe import error_message, error_stack
from humus.queue.kafka._dead_letter import DeadLetter, Refusal
from humus.queue.kafka._instruments import (
    CLIENT_ID,
    DESTINATION,
    ERROR_TYPE,
    GROUP,
    KAFKA,
    OFFSET,
    OPERATION,
    OPERATION_TYPE,
    SYSTEM,
    TOMBSTONE,
    Operation,
    end_span,
    of_partition,
)
from humus.queue.kafka._message import Header, Message, TopicPartition
from humus.queue.kafka._meters import Meters
from humus.queue.kafka._options import TraceParent
from humus.queue.kafka._timing import Timing
from humus.queue.kafka._trace_headers import NOTHING, Headers, TraceHeaders
from humus.queue.kafka._worker import Observer

__all__ = ["OtelObserver"]


class _ToLetter(Setter[list[Header]]):
    """Appends to a letter's headers."""

    def set(self, carrier: list[Header], key: str, value: str) -> None:
        carrier.append(Header(key, value.encode("utf-8")))


_SETTER: Final = _ToLetter()


class OtelObserver(Observer):
    """Of one partition. The worker's thread, or its task's.

    Args:
        tp: the partition.
        group_id: the consumer group.
        client_id: the client's name.
        tracer: makes spans; `None` for none.
        meters: takes durations; `None` for none.
        durations: whether `messaging.process.duration` is recorded.
        trace_parent: whether a record's span links to its producer's, or is its child.
    """

    def __init__(
        self,
        tp: TopicPartition,
        group_id: str,
        client_id: str,
        *,
        tracer: Tracer | None,
        meters: Meters | None,
        durations: bool,
        trace_parent: TraceParent,
    ) -> None:
        self._group_id, self._client_id = group_id, client_id
        self._tracer, self._meters = tracer, meters
        self._record = meters.duration.record if meters is not None and durations else None
        self._trace_headers = TraceHeaders()
        self._is_child = trace_parent == "parent"
        self._name = f"{Operation.PROCESS} {tp.topic}"
        self._of_metric = {**of_partition(group_id, tp), OPERATION: Operation.PROCESS}
        self._of_span: dict[str, Any] = {**self._of_metric, OPERATION_TYPE: "process", CLIENT_ID: client_id}
        self._span: trace.Span | None = None
        self._token: Any = None
        self._error_type: str | None = None
        self._letter_span: trace.Span | None = None
        self._letter_began = 0.0
        if tracer is None and self._record is not None:
            self.timing = Timing(self._record, self._of_metric)

    @property
    def idle(self) -> bool:
        """Whether nobody listens to what is said of single records."""
        return self._tracer is None and self._record is None

    # -- a record -----------------------------------------------------------------------------------------------

    def begin(self, message: Message) -> None:
        """A record's first attempt is about to start."""
        if self._tracer is not None:
            self._start_span(self._tracer, message)

    def _start_span(self, tracer: Tracer, message: Message) -> None:
        headers: Headers | None = message._raw.headers()  # noqa: SLF001 - as the client gives them
        producer, rest = self._trace_headers.read(headers) if headers else (None, NOTHING)
        attributes = {**self._of_span, OFFSET: message.offset}
        if message.value is None:
            attributes[TOMBSTONE] = True
        links, parent = None, rest
        if producer is not None:
            if self._is_child:
                parent = trace.set_span_in_context(trace.NonRecordingSpan(producer), rest)
            else:
                links = [Link(producer)]
        self._span = span = tracer.start_span(self._name, parent, SpanKind.CONSUMER, attributes, links)
        self._token = context_api.attach(trace.set_span_in_context(span, rest))

    def failed(self, error: BaseException, error_type: str, attempt: int) -> None:
        """An attempt failed; whether it is repeated is not decided."""
        self._error_type = error_type
        span = self._span
        if span is not None and span.is_recording():
            # Not `record_exception`: it would repeat whatever the exception's text says, the record's own words too.
            details: dict[str, str | int] = {
                "exception.type": error_type,
                "exception.message": error_message(error),
                "exception.stacktrace": error_stack(error),
                "humus.attempt": attempt,
            }
            span.add_event("exception", details)

    def succeeded(self) -> None:
        """An attempt went through after all."""
        self._error_type = None

    def end(self, began: float) -> None:
        """The record has reached its end, or its worker has."""
        # Once a record: what is needed for a failed one alone is apart.
        if self._record is not None:
            attributes = self._of_metric if self._error_type is None else self._of_failed()
            self._record(perf_counter() - began, attributes)
        if self._span is not None:
            end_span(self._span, self._error_type)
            context_api.detach(self._token)
            self._span = None
        if self._error_type is not None:
            self._error_type = None

    def _of_failed(self) -> dict[str, str]:
        assert self._meters is not None
        assert self._error_type is not None
        return {**self._of_metric, ERROR_TYPE: self._meters.bounded(self._error_type)}

    # -- its dead letter ----------------------------------------------------------------------------------------

    def sending(self, letter: DeadLetter) -> DeadLetter:
        """A dead letter is about to be posted for the first time; returns it with the trace's context (D32)."""
        self._letter_began = perf_counter()
        if self._tracer is None:
            return letter
        attributes = {
            SYSTEM: KAFKA,
            OPERATION: Operation.SEND,
            OPERATION_TYPE: "send",
            DESTINATION: letter.topic,
            GROUP: self._group_id,
            CLIENT_ID: self._client_id,
        }
        self._letter_span = span = self._tracer.start_span(
            f"{Operation.SEND} {letter.topic}", kind=SpanKind.PRODUCER, attributes=attributes
        )
        headers = list(letter.headers)
        propagate.inject(headers, trace.set_span_in_context(span), _SETTER)
        return letter._replace(headers=tuple(headers))

    def sent(self, letter: DeadLetter, refusal: Refusal | None) -> None:
        """The letter is confirmed, or given up for this refusal."""
        error_type = None if refusal is None else refusal.code or "cancelled"
        if self._meters is not None:
            seconds = perf_counter() - self._letter_began
            self._meters.sent(self._group_id, letter.topic, seconds, error_type)
        span, self._letter_span = self._letter_span, None
        if span is not None:
            end_span(span, error_type)
