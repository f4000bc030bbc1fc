"""One broker, or three."""

import base64
import socket
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from types import TracebackType
from typing import Self

from tests.kafka.broker import Broker, BrokerDied
from tests.kafka.distribution import Distribution, distribution
from tests.kafka.properties import HOST, Listener, Place

__all__ = ["Cluster"]

_HEAP_MB = {1: 512}
_HEAP_MB_OF_MANY = 256
_TRIES = 3
_PORTS = 6
"""Of each broker, as `Place` names them."""


class Cluster:
    """A cluster of `size` brokers on 127.0.0.1, each a controller as well; a context manager.

    Those that are to live for `long` are compiled well, which takes the first minutes. `listeners` come on top of those
    that each broker has; `options` are the Java machine's.

    Raises:
        KafkaUnavailable: Java or Maven is missing (on construction).
        BrokerDied: a broker did not come up (on entering).
    """

    brokers: tuple[Broker, ...]

    def __init__(
        self, size: int, *, long: bool = False, listeners: Sequence[Listener] = (), options: Sequence[str] = ()
    ) -> None:
        self.size = size
        self._long = long
        self._listeners = listeners
        self._options = options
        self.distribution: Distribution = distribution()
        self.brokers = ()
        self._reserved = ExitStack()
        # Kafka's form of a UUID, 22 characters; a dash in front would pass for an option of its formatting tool.
        self._cluster_id = "H" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]

    def __enter__(self) -> Self:
        for remaining in reversed(range(_TRIES)):
            try:
                self._start()
            except BrokerDied as error:
                self.discard()
                # Between the choice of a free port and its use somebody else may have taken it.
                if not remaining or "Address already in use" not in str(error):
                    raise
            except BaseException:
                self.discard()
                raise
            else:
                break
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.discard()

    @property
    def bootstrap(self) -> str:
        """The addresses of the listener that asks for nothing."""
        return ",".join(broker.place.address(broker.place.plain) for broker in self.brokers)

    @property
    def sasl_bootstrap(self) -> str:
        """The addresses of the SASL_PLAINTEXT listener."""
        return ",".join(broker.place.address(broker.place.sasl) for broker in self.brokers)

    @property
    def tls_bootstrap(self) -> str:
        """The addresses of the TLS listener."""
        return ",".join(broker.place.address(broker.place.tls) for broker in self.brokers)

    @property
    def proxied_bootstrap(self) -> str:
        """The addresses of the proxied listener: nobody is there but a test's `Proxy`."""
        return ",".join(broker.place.address(broker.place.proxied) for broker in self.brokers)

    def at(self, listener: str) -> str:
        """Return the addresses of one of the further listeners."""
        return ",".join(broker.place.address(broker.place.more[listener]) for broker in self.brokers)

    def broker(self, node: int) -> Broker:
        """Return the broker with that number, as `Admin.leader` gives it."""
        return next(broker for broker in self.brokers if broker.place.node == node)

    def start(self, broker: Broker) -> None:
        """Start a broker that was stopped or killed, and wait until it serves."""
        broker.launch(self._cluster_id)
        broker.wait_started()

    def discard(self) -> None:
        """Kill all brokers and remove their data."""
        for broker in self.brokers:
            broker.discard()
        self.brokers = ()
        self._reserved.close()

    def _start(self) -> None:
        places = _free_places(self.size, [listener.name for listener in self._listeners])
        for place in places:
            _reserve(place.proxied, self._reserved)
        heap_mb = _HEAP_MB.get(self.size, _HEAP_MB_OF_MANY)
        self.brokers = tuple(
            Broker(
                *(place, places, self.distribution, heap_mb),
                long=self._long,
                listeners=self._listeners,
                options=self._options,
            )
            for place in places
        )
        with ThreadPoolExecutor(self.size) as side_by_side:
            list(side_by_side.map(lambda broker: broker.launch(self._cluster_id), self.brokers))
        for broker in self.brokers:
            broker.wait_started()


def _free_places(size: int, more: Sequence[str]) -> tuple[Place, ...]:
    with ExitStack() as all_open:
        ports = iter([_free_port(all_open) for _ in range((_PORTS + len(more)) * size)])
    return tuple(
        Place(node + 1, *islice(ports, _PORTS), more={name: next(ports) for name in more}) for node in range(size)
    )


def _free_port(stack: ExitStack) -> int:
    listening = stack.enter_context(socket.socket())
    listening.bind((HOST, 0))
    port: int = listening.getsockname()[1]
    return port


def _reserve(port: int, stack: ExitStack) -> None:
    """Keep a port from being given to anybody who does not ask for it by number, and listen there to nobody."""
    held = stack.enter_context(socket.socket())
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, port))
