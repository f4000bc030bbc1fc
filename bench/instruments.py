"""What a candidate measures itself with, inside its own process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench.work import Figures, Instant, MeasurementFailed, Order, Shape, fresh_group, peak_rss, rss
from humus.queue import kafka
from humus.queue.kafka._client_config import client_config
from humus.queue.kafka._options import validate

__all__ = [
    "MIB",
    "Candidate",
    "Figures",
    "Instant",
    "MeasurementFailed",
    "Order",
    "Shape",
    "brokers_of",
    "fresh_group",
    "partitions_of",
    "peak_rss",
    "rss",
    "runtime_client_config",
    "shape_of",
]

MIB = 1024 * 1024
_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to be measured; `run` does it once, in this process, which does nothing else.

    Python's garbage collector is set as `humus.queue.run` sets it, for the bare client too; not `as_shipped`.
    """

    what: str
    run: Callable[[Order], Figures]
    as_shipped: bool = False


def shape_of(order: Order) -> Shape:
    """Ask the broker for the topic's shape.

    Raises:
        MeasurementFailed: it is not even, so the end could not be told by an offset.
    """
    partitions = range(partitions_of(order))
    with _looking_at(order) as client:
        ends = {client.get_watermark_offsets(TopicPartition(order.topic, at), timeout=_WITHIN) for at in partitions}
    if len(ends) != 1 or next(iter(ends))[0] != 0:
        raise MeasurementFailed(
            f"topic {order.topic}: each partition must hold as many records as the others, from offset 0; "
            "`python -m bench topic` makes such a topic"
        )
    return Shape(len(partitions), next(iter(ends))[1])


def partitions_of(order: Order) -> int:
    """Ask the broker how many partitions the topic has."""
    with _looking_at(order) as client:
        return len(client.list_topics(order.topic, timeout=_WITHIN).topics[order.topic].partitions)


def brokers_of(order: Order) -> int:
    """Ask the broker how many of them there are."""
    with _looking_at(order) as client:
        return len(client.list_topics(order.topic, timeout=_WITHIN).brokers)


@contextmanager
def _looking_at(order: Order) -> Iterator[Consumer]:
    client = Consumer({"bootstrap.servers": order.brokers, "group.id": fresh_group()})
    try:
        yield client
    finally:
        client.close()


def runtime_client_config(brokers: str, group: str) -> dict[str, Any]:
    """Return the client's configuration as the runtime sets it."""

    def process(message: kafka.Message) -> None: ...

    options = validate(brokers, group, [kafka.at_least_once("of-no-matter", process)])
    return {**client_config(options)}
