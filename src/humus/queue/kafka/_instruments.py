"""Every span, metric and attribute name of the Kafka runtime, once; and what is on.

The names are those of OpenTelemetry's semantic conventions for messaging, version 1.44, where it has one, and begin
with `humus.` elsewhere. Only OpenTelemetry's API is used: who sets up an SDK, and where it sends things, is the
application's business or `humus.telemetry`'s. What no provider listens to is not done at all: that is looked at once,
when a runtime starts.
"""

import threading
from collections.abc import Callable, Collection
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace
from opentelemetry.context import Context

from humus._version import __version__
from humus.queue.kafka._message import TopicPartition
from humus.telemetry import meter_provider, tracer_provider

__all__ = [
    "CLIENT_ID",
    "DESTINATION",
    "DIRECTION",
    "DURATION_BOUNDARIES",
    "ERROR_TYPE",
    "GROUP",
    "KAFKA",
    "KIND",
    "OFFSET",
    "OPERATION",
    "OPERATION_TYPE",
    "OTHER",
    "OUTCOME",
    "PARTITION",
    "SERVER",
    "STATE",
    "STATISTIC",
    "SYSTEM",
    "TOMBSTONE",
    "Metric",
    "OfProvider",
    "Operation",
    "commit_span",
    "end_span",
    "meter_or_none",
    "of_partition",
    "tracer_or_none",
]

T = TypeVar("T")

_SCOPE: Final = "humus.queue.kafka"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"

# -- attributes -----------------------------------------------------------------------------------------------------

SYSTEM: Final = "messaging.system"
KAFKA: Final = "kafka"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
PARTITION: Final = "messaging.destination.partition.id"
GROUP: Final = "messaging.consumer.group.name"
OFFSET: Final = "messaging.kafka.offset"
TOMBSTONE: Final = "messaging.kafka.message.tombstone"
CLIENT_ID: Final = "messaging.client.id"
ERROR_TYPE: Final = "error.type"
OUTCOME: Final = "outcome"
STATE: Final = "state"
KIND: Final = "kind"
SERVER: Final = "server.address"
DIRECTION: Final = "network.io.direction"
STATISTIC: Final = "statistic"

OTHER: Final = "_OTHER"
"""In place of an error type, once there were too many (semantic conventions, `error.type`)."""


class Operation:
    """Values of `messaging.operation.name`, and in brackets the type that belongs to each."""

    POLL: Final = "poll"  # receive
    PROCESS: Final = "process"  # process
    COMMIT: Final = "commit"  # settle
    SEND: Final = "send"  # send


# -- metrics --------------------------------------------------------------------------------------------------------


class Metric:
    """The metrics' names; units and descriptions stand where each is made (`_meters.py`)."""

    PROCESS_DURATION: Final = "messaging.process.duration"
    OPERATION_DURATION: Final = "messaging.client.operation.duration"
    CONSUMED: Final = "messaging.client.consumed.messages"
    SENT: Final = "messaging.client.sent.messages"
    HANDLED: Final = "humus.messages.handled"
    COMMITTED: Final = "humus.messages.committed"
    RETRIES: Final = "humus.retries"
    LAG: Final = "humus.consumer.lag"
    COMMIT_AGE: Final = "humus.commit.age"
    IN_FLIGHT: Final = "humus.messages.in_flight"
    BUFFERED: Final = "humus.messages.buffered"
    PARTITIONS: Final = "humus.partitions"
    REBALANCES: Final = "humus.rebalances"

    # Of the client itself, where the option `client_metrics` is on.
    CLIENT_CONNECTED: Final = "humus.client.brokers.connected"
    CLIENT_REQUESTS: Final = "humus.client.requests"
    CLIENT_REQUEST_ERRORS: Final = "humus.client.request.errors"
    CLIENT_OUTSTANDING: Final = "humus.client.requests.outstanding"
    CLIENT_IO: Final = "humus.client.io"
    CLIENT_RTT: Final = "humus.client.rtt"
    CLIENT_CONNECTS: Final = "humus.client.connects"
    CLIENT_DISCONNECTS: Final = "humus.client.disconnects"
    CLIENT_QUEUE_MESSAGES: Final = "humus.client.queue.messages"
    CLIENT_QUEUE_BYTES: Final = "humus.client.queue.size"
    CLIENT_REBALANCES: Final = "humus.client.rebalances"
    CLIENT_STEADY: Final = "humus.client.group.steady"


DURATION_BOUNDARIES: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""In seconds, as the semantic conventions give them for durations of messaging."""


def of_partition(group_id: str, tp: TopicPartition) -> dict[str, str]:
    """Return the attributes that everything about a partition has; the partition is a string by the conventions."""
    return {SYSTEM: KAFKA, GROUP: group_id, DESTINATION: tp.topic, PARTITION: str(tp.partition)}


# -- what is on -----------------------------------------------------------------------------------------------------


def tracer_or_none() -> trace.Tracer | None:
    """Return the global provider's tracer, `None` where nobody set a provider that does anything."""
    provider = tracer_provider()
    return None if provider is None else provider.get_tracer(_SCOPE, __version__, schema_url=_SCHEMA)


def meter_or_none() -> metrics.Meter | None:
    """Return the global provider's meter, `None` where nobody set a provider that does anything."""
    provider = meter_provider()
    return None if provider is None else provider.get_meter(_SCOPE, __version__, schema_url=_SCHEMA)


class OfProvider(Generic[T]):
    """Makes a set of instruments once for each meter provider: making the same ones twice is an error of the API's.

    Called, it returns the global provider's set, `None` where nobody set a provider that does anything. Any thread.
    """

    def __init__(self, make: Callable[[metrics.Meter], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[metrics.MeterProvider, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def __call__(self) -> T | None:
        meter = meter_or_none()
        if meter is None:
            return None
        with self._lock:
            provider = metrics.get_meter_provider()
            found = self._made.get(provider)
            if found is None:
                found = self._made[provider] = self._make(meter)
            return found


# -- spans that are no record's -------------------------------------------------------------------------------------


def commit_span(tracer: trace.Tracer, group_id: str, client_id: str, topics: Collection[str]) -> trace.Span:
    """Start the span of a commit request: it names its topic where it is of one alone."""
    attributes = {
        SYSTEM: KAFKA,
        OPERATION: Operation.COMMIT,
        OPERATION_TYPE: "settle",
        GROUP: group_id,
        CLIENT_ID: client_id,
    }
    name: str = Operation.COMMIT
    if len(topics) == 1:
        [topic] = topics
        name, attributes[DESTINATION] = f"{name} {topic}", topic
    return tracer.start_span(name, Context(), trace.SpanKind.CLIENT, attributes)


def end_span(span: trace.Span, error_type: str | None) -> None:
    """End a span, with status ERROR where there is an error."""
    if error_type is not None:
        span.set_attribute(ERROR_TYPE, error_type)
        span.set_status(trace.Status(trace.StatusCode.ERROR))
    span.end()
