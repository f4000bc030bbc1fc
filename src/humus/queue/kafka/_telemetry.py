"""What a runtime tells OpenTelemetry: its metrics, its commits' spans, and an observer for each worker.

Looked at once, when the runtime starts: what no provider listens to is not there. An application that never imported
OpenTelemetry cannot have set a provider, so nothing of it is imported for it either.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from humus.queue.kafka._client_figures import ClientFigures, read_statistics
from humus.queue.kafka._figures import Figures
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._options import Options
from humus.telemetry import meter_provider, tracer_provider

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from humus.queue.kafka._client_meters import ClientMeters
    from humus.queue.kafka._meters import Meters
    from humus.queue.kafka._worker import Observer

__all__ = ["Telemetry", "telemetry_or_none"]


def telemetry_or_none(options: Options, figures: Callable[[], Figures]) -> "Telemetry | None":
    """Return what listens to this runtime, `None` where nobody does. On the application's thread, at the start."""
    if tracer_provider() is None and meter_provider() is None:
        return None
    from humus.queue.kafka._instruments import tracer_or_none  # noqa: PLC0415 - only for who has it already
    from humus.queue.kafka._meters import meters_or_none  # noqa: PLC0415

    tracer, meters = tracer_or_none(), meters_or_none()
    client_meters = None
    if options.client_metrics:
        from humus.queue.kafka._client_meters import client_meters_or_none  # noqa: PLC0415

        client_meters = client_meters_or_none()
    return Telemetry(options, tracer, meters, client_meters, figures)


class Telemetry:
    """Of one runtime. Poll thread, but for `observer`'s product, which belongs to a worker."""

    def __init__(
        self,
        options: Options,
        tracer: "Tracer | None",
        meters: "Meters | None",
        client_meters: "ClientMeters | None",
        figures: Callable[[], Figures],
    ) -> None:
        self._options = options
        self._tracer, self._meters = tracer, meters
        self._figures = figures
        self._commits: dict[TopicPartition, _Commit] = {}  # by each of its partitions
        self._client_meters = client_meters
        self._client: ClientFigures | None = None
        self._client_source = lambda: self._client
        if meters is not None:
            meters.lend(options.group_id, figures)
        if client_meters is not None:
            client_meters.lend(options.group_id, self._client_source)

    @property
    def counts(self) -> bool:
        """Whether figures are read."""
        return self._meters is not None

    def observer(self, tp: TopicPartition) -> "Observer | None":
        """Return what the worker of this partition tells of its records, `None` where nobody listens."""
        from humus.queue.kafka._observer import OtelObserver  # noqa: PLC0415

        options = self._options
        observer = OtelObserver(
            tp,
            options.group_id,
            options.client_id,
            tracer=self._tracer,
            meters=self._meters,
            durations=options.process_duration,
            trace_parent=options.trace_parent,
        )
        return None if observer.idle else observer

    def retried(self, topic: str, error_type: str) -> None:
        """An attempt failed and is repeated."""
        if self._meters is not None:
            self._meters.retried(self._options.group_id, topic, error_type)

    def client_said(self, statistics: str) -> None:
        """The client's statistics are there."""
        if self._client_meters is not None:
            self._client = read_statistics(statistics)

    def commit_sent(self, offsets: Mapping[TopicPartition, Any]) -> None:
        """A commit request leaves."""
        commit = _Commit(self._tracer, self._options, offsets)
        for tp in offsets:
            self._commits[tp] = commit

    def commit_answered(self, answers: Sequence[tuple[TopicPartition, int, Any]]) -> None:
        """A commit request was answered, or given up: its first error counts for all of it."""
        commit = next((found for tp, _, _ in answers if (found := self._commits.get(tp)) is not None), None)
        if commit is None:
            return
        self._commits = {tp: other for tp, other in self._commits.items() if other is not commit}
        error_type = next((error.name() for _, _, error in answers if error is not None), None)
        commit.end(error_type)
        if self._meters is not None:
            self._meters.committed(self._options.group_id, time.perf_counter() - commit.began, error_type)

    def end(self) -> None:
        """The runtime has ended."""
        for commit in set(self._commits.values()):
            commit.end("unanswered")
        self._commits = {}
        if self._meters is not None:
            self._meters.take_back(self._figures)
        if self._client_meters is not None:
            self._client_meters.take_back(self._client_source)


class _Commit:
    """One commit request on its way."""

    def __init__(self, tracer: "Tracer | None", options: Options, offsets: Mapping[TopicPartition, Any]) -> None:
        self.began = time.perf_counter()
        self._span: Span | None = None
        if tracer is not None:
            from humus.queue.kafka._instruments import commit_span  # noqa: PLC0415

            self._span = commit_span(tracer, options.group_id, options.client_id, {tp.topic for tp in offsets})

    def end(self, error_type: str | None) -> None:
        """The answer is there."""
        if self._span is not None:
            from humus.queue.kafka._instruments import end_span  # noqa: PLC0415

            end_span(self._span, error_type)
            self._span = None
