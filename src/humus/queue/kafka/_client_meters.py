"""The client's own statistics as metrics: connections, requests, latency, bytes, queues, the group's state.

Switched on by the option `client_metrics`; the numbers are the client's, of every 2 s. Their attributes are the group
and the broker, as the client names it.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from humus.queue.kafka._client_figures import BrokerFigures, ClientFigures
from humus.queue.kafka._instruments import DIRECTION, GROUP, KAFKA, SERVER, STATISTIC, SYSTEM, Metric, OfProvider

__all__ = ["ClientMeters", "client_meters_or_none"]

ClientSource = Callable[[], ClientFigures | None]
_MICROSECONDS = 1_000_000
_STEADY = "steady"


class ClientMeters:
    """The instruments of one meter provider. Any thread."""

    def __init__(self, meter: Meter) -> None:
        self._lock = threading.Lock()
        self._sources: dict[ClientSource, str] = {}
        of_brokers: tuple[tuple[str, str, str, Callable[[BrokerFigures], int]], ...] = (
            (Metric.CLIENT_REQUESTS, "{request}", "Requests sent", lambda broker: broker.tx),
            (
                Metric.CLIENT_REQUEST_ERRORS,
                "{request}",
                "Requests that failed or got no answer in time",
                lambda broker: broker.txerrs + broker.rxerrs + broker.req_timeouts,
            ),
            (Metric.CLIENT_CONNECTS, "{connection}", "Connections opened", lambda broker: broker.connects),
            (Metric.CLIENT_DISCONNECTS, "{connection}", "Connections lost", lambda broker: broker.disconnects),
        )
        for name, unit, text, number in of_brokers:
            meter.create_observable_counter(name, [self._of_brokers(number)], unit, text)
        meter.create_observable_gauge(
            Metric.CLIENT_OUTSTANDING,
            [self._of_brokers(lambda broker: broker.waitresp_cnt)],
            "{request}",
            "Requests without an answer",
        )
        meter.create_observable_counter(Metric.CLIENT_IO, [self._io], "By", "Bytes sent and received")
        meter.create_observable_gauge(Metric.CLIENT_RTT, [self._rtt], "s", "Time between a request and its answer")
        meter.create_observable_counter(
            Metric.CLIENT_REBALANCES,
            [self._of_clients(lambda client: client.cgrp.rebalance_cnt)],
            "{rebalance}",
            "Rebalances, as the client counts them",
        )
        of_clients: tuple[tuple[str, str, str, Callable[[ClientFigures], int]], ...] = (
            (
                Metric.CLIENT_CONNECTED,
                "{broker}",
                "Brokers that the client is connected to",
                lambda client: sum(broker.state == "UP" for broker in client.nodes()),
            ),
            (
                Metric.CLIENT_QUEUE_MESSAGES,
                "{message}",
                "Records in the client's queue",
                lambda client: client.queued()[0],
            ),
            (Metric.CLIENT_QUEUE_BYTES, "By", "Bytes in the client's queue", lambda client: client.queued()[1]),
            (
                Metric.CLIENT_STEADY,
                "1",
                "Whether the member is in its group and no rebalance is under way",
                lambda client: int(client.cgrp.join_state == _STEADY),
            ),
        )
        for name, unit, text, number_of in of_clients:
            meter.create_observable_gauge(name, [self._of_clients(number_of)], unit, text)

    def lend(self, group_id: str, source: ClientSource) -> None:
        """Read this client's figures from now on."""
        with self._lock:
            self._sources[source] = group_id

    def take_back(self, source: ClientSource) -> None:
        """The client is closed."""
        with self._lock:
            self._sources.pop(source, None)

    def _clients(self) -> Iterator[tuple[dict[str, str], ClientFigures]]:
        with self._lock:
            sources = list(self._sources.items())
        for source, group_id in sources:
            figures = source()
            if figures is not None:
                yield {SYSTEM: KAFKA, GROUP: group_id}, figures

    def _brokers(self) -> Iterator[tuple[dict[str, str], BrokerFigures]]:
        for attributes, client in self._clients():
            for broker in client.nodes():
                yield {**attributes, SERVER: broker.nodename}, broker

    def _of_brokers(self, number: Callable[[BrokerFigures], int]) -> Callable[[CallbackOptions], Iterator[Observation]]:
        return lambda _options: (Observation(number(broker), attributes) for attributes, broker in self._brokers())

    def _of_clients(self, number: Callable[[ClientFigures], int]) -> Callable[[CallbackOptions], Iterator[Observation]]:
        return lambda _options: (Observation(number(client), attributes) for attributes, client in self._clients())

    def _io(self, _options: CallbackOptions) -> Iterator[Observation]:
        for attributes, broker in self._brokers():
            yield Observation(broker.txbytes, {**attributes, DIRECTION: "transmit"})
            yield Observation(broker.rxbytes, {**attributes, DIRECTION: "receive"})

    def _rtt(self, _options: CallbackOptions) -> Iterator[Observation]:
        for attributes, broker in self._brokers():
            yield Observation(broker.rtt.avg / _MICROSECONDS, {**attributes, STATISTIC: "average"})
            yield Observation(broker.rtt.p99 / _MICROSECONDS, {**attributes, STATISTIC: "p99"})


client_meters_or_none: Final = OfProvider(ClientMeters)
"""`client_meters_or_none()`: the instruments of the global meter provider, `None` where there is none."""
