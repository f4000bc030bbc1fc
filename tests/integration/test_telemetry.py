"""Spans and metrics of a runtime, on a real broker, as OpenTelemetry's own SDK gets them."""

import asyncio
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from humus.queue.kafka import Message, Reject, Retry, at_least_once, at_most_once, dead_letter, halt, skip
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.dead_letters import headers_of, letters_in
from tests.integration.listening import Listener, listening
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

__all__ = ["listening"]

pytestmark = [pytest.mark.asyncio, one_protocol]

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACED = (
    ("traceparent", f"00-{TRACE}-{PARENT}-01".encode()),
    ("baggage", b"tenant=blue"),
)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


async def test_a_record_is_a_span_linked_to_its_producers(
    kafka: Kafka,
    topic: MakeTopic,
    produce: Produce,
    group: str,
    runtime: MakeRuntime,
    kind: Kind,
    listening: Listener,
) -> None:
    """One CONSUMER span a record, with the conventions' attributes, a link, and the producer's baggage inside."""
    name = topic()
    await asyncio.to_thread(
        produce, name, Record(b"v", headers=TRACED), Record(None), Record(b"", headers=(("traceparent", b"rubbish"),))
    )
    inside: list[tuple[Any, Any]] = []

    def work(_message: Message) -> None:
        inside.append((trace.get_current_span().get_span_context().span_id, baggage.get_baggage("tenant")))

    recorder = Recorder()
    member = runtime(at_least_once(name, recorder.processor(kind, work)), client_id="tests")
    async with running(member):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 3})
    first, second, third = listening.spans(f"process {name}")
    assert first.kind is SpanKind.CONSUMER
    assert attributes(first) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": name,
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": group,
        "messaging.kafka.offset": 0,
        "messaging.client.id": "tests",
    }
    assert first.parent is None
    [link] = first.links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (TRACE, PARENT)
    assert link.context.is_remote
    assert first.status.status_code is StatusCode.UNSET
    assert attributes(second)["messaging.kafka.message.tombstone"] is True
    assert (second.links, third.links) == ((), ())
    assert first.context is not None
    assert inside[0] == (first.context.span_id, "blue")
    assert inside[1][1] is None
    assert first.instrumentation_scope is not None
    assert first.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


async def test_a_record_can_be_its_producers_child(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind, listening: Listener
) -> None:
    """With `trace_parent="parent"` the span belongs to the producer's trace."""
    name = topic()
    await asyncio.to_thread(produce, name, Record(b"v", headers=TRACED), b"")
    recorder = Recorder()
    async with running(runtime(at_least_once(name, recorder.processor(kind)), trace_parent="parent")):
        await eventually(recorder.count, lambda count: count == 2)
    child, root = listening.spans("process")
    assert child.parent is not None
    assert child.context is not None
    assert (f"{child.context.trace_id:032x}", f"{child.parent.span_id:016x}") == (TRACE, PARENT)
    assert root.parent is None


async def test_attempts_are_events_and_a_dead_letter_is_a_span(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind, listening: Listener
) -> None:
    """One span around all attempts; a dead-lettered record ends with ERROR; the letter carries on the trace (D32)."""
    name, dead = topic(), topic()
    await asyncio.to_thread(produce, name, b"once", b"for good")
    tried: list[int] = []

    def work(message: Message) -> None:
        tried.append(message.offset)
        if message.value == b"for good" or len(tried) == 1:
            raise ValueError("no good")

    recorder = Recorder()
    retry = Retry(max_attempts=2, initial=0)
    member = runtime(at_least_once(name, recorder.processor(kind, work), retry=retry, on_failure=dead_letter(dead)))
    async with running(member):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 2})
    recovered, lettered = listening.spans("process")
    assert [event.name for event in recovered.events] == ["exception"]
    assert recovered.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(recovered)
    assert [dict(event.attributes or {})["exception.type"] for event in lettered.events] == ["ValueError"] * 2
    assert lettered.status.status_code is StatusCode.ERROR
    assert attributes(lettered)["error.type"] == "ValueError"
    [send] = listening.spans("send")
    assert (send.name, send.kind) == (f"send {dead}", SpanKind.PRODUCER)
    assert send.parent is not None
    assert lettered.context is not None
    assert send.parent.span_id == lettered.context.span_id
    assert attributes(send)["messaging.destination.name"] == dead
    [letter] = await asyncio.to_thread(letters_in, kafka.bootstrap, dead)
    assert send.context is not None
    carried = headers_of(letter)["traceparent"]
    assert carried is not None
    assert carried.startswith(f"00-{send.context.trace_id:032x}-{send.context.span_id:016x}-".encode())
    assert letter.headers()[-1][0] == "traceparent"  # type: ignore[index]


async def test_a_commit_is_a_span(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, listening: Listener
) -> None:
    """One CLIENT span a commit request, named by its topic."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    recorder = Recorder()
    async with running(runtime(at_least_once(name, recorder.processor("async")))):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 1})
    commit = listening.spans("commit")[0]
    assert (commit.name, commit.kind, commit.parent) == (f"commit {name}", SpanKind.CLIENT, None)
    assert attributes(commit) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "commit",
        "messaging.operation.type": "settle",
        "messaging.destination.name": name,
        "messaging.consumer.group.name": group,
        "messaging.client.id": "humus",
    }


class Asked(Sampler):
    """Keeps what it was asked with, and samples nothing."""

    def __init__(self) -> None:
        self.attributes: list[dict[str, Any]] = []

    def should_sample(self, *args: Any, **_more: Any) -> SamplingResult:
        _context, _trace_id, _name, _kind, attributes, *_ = args  # as the SDK calls it
        self.attributes.append(dict(attributes or {}))
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "asked"


async def test_a_sampler_sees_the_attributes(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a span is about is known when it starts, so that a sampler can decide by it."""
    asked = Asked()
    Listener(monkeypatch, asked)
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    recorder = Recorder()
    async with running(runtime(at_least_once(name, recorder.processor("async")))):
        await eventually(recorder.count)
    seen = next(one for one in asked.attributes if one.get("messaging.operation.name") == "process")
    assert (seen["messaging.destination.name"], seen["messaging.kafka.offset"]) == (name, 0)


async def test_every_metric_has_its_name_unit_and_attributes(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, listening: Listener
) -> None:
    """Names, units, kinds and attribute sets are those of the design, and the numbers add up."""
    name, dead = topic(2), topic()
    await asyncio.to_thread(produce, name, *[b"good"] * 6, b"bad", b"worse", b"good", partition=1)

    def work(message: Message) -> None:
        if message.value == b"worse":
            raise Reject("no good")
        if message.value == b"bad" and message.offset not in failed:
            failed.add(message.offset)
            raise OSError("away")

    failed: set[int] = set()
    recorder = Recorder()
    member = runtime(
        at_least_once(name, recorder.processor("async", work), retry=Retry(initial=0), on_failure=dead_letter(dead))
    )
    async with running(member):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at.get(1) == 9)
        await eventually(lambda: [n for _, n in listening.points("humus.messages.committed")], lambda found: 9 in found)
        of_group = {"messaging.system": "kafka", "messaging.consumer.group.name": group}
        of_topic = {**of_group, "messaging.destination.name": name}
        of_partition = {**of_topic, "messaging.destination.partition.id": "1"}
        kinds = {found.name: (type(found.data).__name__, found.unit) for found in listening.metrics().values()}
        assert kinds == {
            "messaging.process.duration": ("Histogram", "s"),
            "messaging.client.operation.duration": ("Histogram", "s"),
            "messaging.client.consumed.messages": ("Sum", "{message}"),
            "messaging.client.sent.messages": ("Sum", "{message}"),
            "humus.messages.handled": ("Sum", "{message}"),
            "humus.messages.committed": ("Sum", "{message}"),
            "humus.retries": ("Sum", "{attempt}"),
            "humus.consumer.lag": ("Gauge", "{message}"),
            "humus.commit.age": ("Gauge", "s"),
            "humus.messages.in_flight": ("Gauge", "{message}"),
            "humus.messages.buffered": ("Gauge", "{message}"),
            "humus.partitions": ("Gauge", "{partition}"),
            "humus.rebalances": ("Sum", "{rebalance}"),
        }
        process = {**of_partition, "messaging.operation.name": "process"}
        durations = listening.points("messaging.process.duration")
        assert [(at, count) for at, (count, _) in durations] == [
            (process, 8),
            ({**process, "error.type": "humus.queue.kafka.Reject"}, 1),
        ]
        data: Any = listening.metrics()["messaging.process.duration"].data
        assert data.data_points[0].explicit_bounds == (
            *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
        )
        assert ({**of_partition, "messaging.operation.name": "poll"}, 9) in listening.points(
            "messaging.client.consumed.messages"
        )
        handled = [
            point
            for point in listening.points("humus.messages.handled")
            if point[0]["messaging.destination.partition.id"] == "1"
        ]
        assert handled == [
            ({**of_partition, "outcome": "success"}, 8),
            ({**of_partition, "outcome": "dead_lettered"}, 1),
        ]
        assert ({**of_partition}, 9) in [
            (_without(at, "messaging.operation.name"), n) for at, n in listening.points("humus.messages.committed")
        ]
        assert listening.points("humus.retries") == [({**of_topic, "error.type": "OSError"}, 1)]
        assert (of_partition, 0) in listening.points("humus.consumer.lag")
        assert listening.points("humus.messages.buffered") == [(of_group, 0)]
        assert listening.points("humus.messages.in_flight") == [(of_group, 0)]
        assert ({**of_group, "state": "running"}, 2) in listening.points("humus.partitions")
        assert ({**of_group, "kind": "assigned"}, 1) in listening.points("humus.rebalances")
        sent = {**of_group, "messaging.operation.name": "send"}
        assert listening.points("messaging.client.sent.messages") == [({**sent, "messaging.destination.name": dead}, 1)]
        operations = {
            at["messaging.operation.name"] for at, _ in listening.points("messaging.client.operation.duration")
        }
        assert operations == {"commit", "send"}
    await eventually(lambda: listening.points("humus.partitions"), lambda found: not found)
    assert ({**of_partition, "messaging.operation.name": "poll"}, 9) in listening.points(
        "messaging.client.consumed.messages"
    )


def _without(attributes: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key != name}


async def test_what_halts_shows_in_the_metrics(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, listening: Listener
) -> None:
    """A halted partition is counted by its state, its span has ended with ERROR, and its lag stays."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"", b"")

    def work(_message: Message) -> None:
        raise Reject("no good")

    recorder = Recorder()
    member = runtime(at_least_once(name, recorder.processor("async", work), on_failure=halt()))
    async with running(member):
        await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted")
        await eventually(
            lambda: [n for at, n in listening.points("humus.partitions") if at["state"] == "halted"],
            lambda found: found == [1],
        )
        assert [lag for _, lag in listening.points("humus.consumer.lag")] == [3]
        [span] = listening.spans("process")
        assert span.status.status_code is StatusCode.ERROR


async def test_at_most_once_a_failed_record_is_counted(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, listening: Listener
) -> None:
    """At most once a record whose processor raised has the outcome `failed`."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"")

    def work(message: Message) -> None:
        if message.offset == 0:
            raise RuntimeError("no good")

    recorder = Recorder()
    async with running(runtime(at_most_once(name, recorder.processor("def", work)))):
        await eventually(
            lambda: {at["outcome"]: n for at, n in listening.points("humus.messages.handled")},
            lambda found: found == {"success": 1, "failed": 1},
        )


async def test_durations_can_be_turned_off(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, listening: Listener
) -> None:
    """`process_duration=False` leaves out that one metric and no other."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    recorder = Recorder()
    async with running(
        runtime(at_least_once(name, recorder.processor("async"), on_failure=skip()), process_duration=False)
    ):
        await eventually(lambda: listening.points("humus.messages.handled"))
        assert not listening.points("messaging.process.duration")


async def test_what_is_not_sampled_is_still_the_current_span(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is sampled the processor still runs in the context of its span, which records nothing."""
    Listener(monkeypatch, ALWAYS_OFF)
    name = topic()
    await asyncio.to_thread(produce, name, Record(b"", headers=TRACED))
    seen: list[bool] = []
    recorder = Recorder()

    def work(_message: Message) -> None:
        span = trace.get_current_span()
        seen.append(span.get_span_context().is_valid and not span.is_recording())

    async with running(runtime(at_least_once(name, recorder.processor("async", work)))):
        await eventually(recorder.count)
    assert seen == [True]


async def test_the_clients_own_statistics_are_metrics_where_asked_for(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, group: str, listening: Listener
) -> None:
    """`client_metrics=True`: connections, requests, latency, bytes, the queue, the group's state."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    recorder = Recorder()
    of_group = {"messaging.system": "kafka", "messaging.consumer.group.name": group}
    async with running(runtime(at_least_once(name, recorder.processor("async")), client_metrics=True)):
        connected = await eventually(lambda: listening.points("humus.client.brokers.connected"))
        assert connected == [(of_group, 1)]
        await eventually(lambda: listening.points("humus.client.group.steady"), lambda found: found == [(of_group, 1)])
        [(of_broker, requests)] = listening.points("humus.client.requests")
        assert of_broker.keys() == {*of_group, "server.address"}
        assert requests > 0
        io = {at["network.io.direction"]: count for at, count in listening.points("humus.client.io")}
        assert io["transmit"] > 0
        assert io["receive"] > 0
        assert {at["statistic"] for at, _ in listening.points("humus.client.rtt")} == {"average", "p99"}
        assert listening.points("humus.client.queue.messages") == [(of_group, 0)]
