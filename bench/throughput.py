"""How many messages a second, at which cost: everything in a topic, as fast as it goes.

The time runs from the first record to the last. The empty processors tell those two by the offset, which costs 11 ns a
record (measured; the rest of an empty `async def` call is 190 ns): the whole price of being measured.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench.instruments import (
    Candidate,
    Figures,
    Instant,
    MeasurementFailed,
    Order,
    Shape,
    runtime_client_config,
    shape_of,
)
from bench.work import Tally, measured
from humus.queue import kafka
from humus.queue.kafka import Message, Subscription

__all__ = ["CANDIDATES", "as_shipped", "humus_async", "humus_limited"]

_BATCH = 1000
_WAIT = 1.0

Config = dict[str, Any]


# -- the bare client -----------------------------------------------------------------------------------------------


def _tuned(order: Order) -> Config:
    return runtime_client_config(order.brokers, order.group)


def as_shipped(order: Order) -> Config:
    """Return the configuration of the bare client that only says where to read, and what is no loop's own choice."""
    return {
        "bootstrap.servers": order.brokers,
        "group.id": order.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,  # the bare loops commit nothing
    }


def _as_shipped_but_backoff(order: Order) -> Config:
    return {**as_shipped(order), "fetch.queue.backoff.ms": 10}


def _consume(consumer: Consumer, records: int) -> Instant:
    """Take everything in batches, looking at nothing; return when the first record came."""
    while not consumer.consume(1, _WAIT):
        pass
    first = Instant.now()
    left = records - 1
    while left:
        left -= len(consumer.consume(min(_BATCH, left), _WAIT))
    return first


def _poll(consumer: Consumer, records: int) -> Instant:
    """Take everything one by one; return when the first came."""
    while consumer.poll(_WAIT) is None:
        pass
    first = Instant.now()
    left = records - 1
    while left:
        if consumer.poll(_WAIT) is not None:
            left -= 1
    return first


def _bare(config: Callable[[Order], Config], take: Callable[[Consumer, int], Instant]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        shape = shape_of(order)
        consumer = Consumer(config(order))
        try:
            consumer.subscribe([order.topic])
            first = take(consumer, shape.records)
            last = Instant.now()
            everywhere = [TopicPartition(order.topic, at) for at in range(shape.partitions)]
            reached = [at.offset for at in consumer.position(everywhere)]
        finally:
            consumer.close()
        # The loops look at nothing, so an error among the records would have counted as one.
        if reached != [shape.each] * shape.partitions:
            raise MeasurementFailed(f"the client's positions are {reached}, not all {shape.each}")
        return measured(shape.records, first, last, order)

    return run


# -- the runtime ---------------------------------------------------------------------------------------------------


class _Ends:
    """Notes the first record, and the last one of the last partition."""

    def __init__(self, shape: Shape) -> None:
        self.offsets = frozenset((0, shape.each - 1))
        self.first: Instant | None = None
        self.last: Instant | None = None
        self.at_last: Callable[[], None] = lambda: None
        self._shape = shape
        self._lock = threading.Lock()  # `def` processors run on a thread a partition
        self._done: set[int] = set()

    def note(self, message: Message) -> None:
        """Take a record whose offset is one of `offsets`."""
        now = Instant.now()
        with self._lock:
            self.first = self.first or now
            if message.offset == self._shape.each - 1:
                self._done.add(message.partition)
                if len(self._done) == self._shape.partitions:
                    self.last = now
                    self.at_last()


def _empty_async(ends: _Ends) -> Callable[[Message], Any]:
    offsets, note = ends.offsets, ends.note

    async def process(message: Message) -> None:
        if message.offset in offsets:
            note(message)

    return process


def _empty_def(ends: _Ends) -> Callable[[Message], Any]:
    offsets, note = ends.offsets, ends.note

    def process(message: Message) -> None:
        if message.offset in offsets:
            note(message)

    return process


def _humus(
    subscribe: Callable[[str, Callable[[Message], Any]], Subscription],
    make_processor: Callable[[_Ends], Callable[[Message], Any]],
    **options: Any,
) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        shape = shape_of(order)
        ends = _Ends(shape)
        subscription = subscribe(order.topic, make_processor(ends))
        runtime = kafka.Runtime(order.brokers, order.group, subscription, **options)
        ends.at_last = runtime.stop
        asyncio.run(runtime.process_queue())
        handled = runtime.status().totals.handled
        if handled != shape.records or ends.first is None or ends.last is None:
            raise MeasurementFailed(f"handled {handled:,} of {shape.records:,} records")
        return {**measured(shape.records, ends.first, ends.last, order), "handled": handled}

    return run


def humus_async(order: Order, **options: Any) -> Figures:
    """Run at least once, with an empty `async def` processor and options of the runtime."""
    return _humus(kafka.at_least_once, _empty_async, **options)(order)


def humus_limited(order: Order, **options: Any) -> Figures:
    """Run the same until the order's time is up: for what is too slow for all records. Counting them costs 0.1 us."""
    tally = Tally(shape_of(order), order)
    note = tally.note

    async def process(message: Message) -> None:
        note(message.partition, message.offset)

    runtime = kafka.Runtime(order.brokers, order.group, kafka.at_least_once(order.topic, process), **options)
    tally.at_end = runtime.stop
    asyncio.run(runtime.process_queue())
    return tally.figures()


CANDIDATES = {
    "bare": Candidate("consume(1000), the client configured as the runtime does it", _bare(_tuned, _consume)),
    "bare-backoff": Candidate(
        "consume(1000), as shipped but fetch.queue.backoff.ms=10",
        _bare(_as_shipped_but_backoff, _consume),
        as_shipped=True,
    ),
    "bare-shipped": Candidate("consume(1000), the client as shipped", _bare(as_shipped, _consume), as_shipped=True),
    "bare-poll": Candidate("poll(), the client configured as the runtime does it", _bare(_tuned, _poll)),
    "humus-async": Candidate("at least once, empty async def processor", humus_async),
    "humus-def": Candidate("at least once, empty def processor", _humus(kafka.at_least_once, _empty_def)),
    "humus-at-most-once": Candidate(
        "at most once, empty async def processor", _humus(kafka.at_most_once, _empty_async)
    ),
}
