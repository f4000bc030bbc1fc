"""`/metrics`: what the OpenTelemetry instruments count, as Prometheus reads it.

OpenTelemetry's Prometheus exporter is a reader of a `MeterProvider`, and shows what it reads in the registry of
`prometheus_client`, with whatever else the application registered there. Both come with an extra.
"""

import asyncio
import logging
from typing import Any

from humus.errors import ConfigError
from humus.health._http import Request, Response
from humus.health._own_checks import on_a_thread
from humus.queue._describe import error_type

__all__ = ["Metrics"]

WITHIN = 5.0
"""Seconds that collecting may take: it calls functions of the user's, those of observable instruments."""

_log = logging.getLogger("humus.health")


class Metrics:
    """The page, and the provider that feeds it where the application brings none of its own."""

    def __init__(self, meters: Any = None) -> None:
        """Read `meters`, the provider that telemetry set up, or make one.

        Raises ConfigError where the extra is missing.
        """
        try:
            import prometheus_client  # noqa: PLC0415 - only for who switches it on
            from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                f"health.metrics: needs {error.name}: pip install 'humus-queue[prometheus]', or set it to false"
            ) from None
        self._client = prometheus_client
        if meters is None:
            self._provider = _provide(PrometheusMetricReader)
        else:
            meters.add_metric_reader(PrometheusMetricReader())  # shut down with the provider, by telemetry
            self._provider = None
        self._asked: asyncio.Future[bytes | str] | None = None

    async def page(self, _request: Request) -> Response:
        """Collect on a thread of its own, one collection at a time."""
        if self._asked is None or self._asked.done():
            self._asked = on_a_thread(self._collect, "humus health metrics")
        asked = self._asked
        await asyncio.wait({asked}, timeout=WITHIN)
        found = asked.result() if asked.done() else f"the metrics are not collected within {WITHIN:.0f} s"
        if isinstance(found, str):
            return Response(503, "text/plain; charset=utf-8", f"{found}\n".encode())
        return Response(200, self._client.CONTENT_TYPE_LATEST, found)

    def close(self) -> None:
        """Shut down the provider, if it is ours."""
        if self._provider is not None:
            self._provider.shutdown()

    def _collect(self) -> bytes | str:
        try:
            return self._client.generate_latest(self._client.REGISTRY)
        except BaseException as error:  # noqa: BLE001 - an instrument of the user's may raise anything
            _log.exception("the metrics cannot be collected")
            return f"the metrics cannot be collected: {error_type(error)}"


def _provide(reader: Any) -> Any:
    """Make a provider and the global one of it; `None` where the application has set one: that is respected."""
    from opentelemetry import metrics  # noqa: PLC0415 - only for who switches it on
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415

    kind = type(metrics.get_meter_provider())
    if not kind.__module__.startswith("opentelemetry.metrics."):  # the API's own stands for one that is still to come
        _log.info("the application has a %s: /metrics shows what a Prometheus reader of it collects", kind.__qualname__)
        return None
    provider = MeterProvider([reader()])
    metrics.set_meter_provider(provider)
    return provider
