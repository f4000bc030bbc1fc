"""What a thousand partitions cost while nothing or little happens: CPU, memory, file descriptors, threads.

The counting begins when all partitions are assigned and things have settled, and lasts as long as is ordered.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer

from bench.instruments import Candidate, partitions_of, runtime_client_config
from bench.throughput import as_shipped
from bench.work import Figures, Instant, MeasurementFailed, Order, rss
from humus.queue import kafka
from humus.queue.kafka import Message

__all__ = ["CANDIDATES", "SETTLE_SECONDS"]

SETTLE_SECONDS = 5.0
_ASSIGNED_WITHIN = 60.0
_LOOK_EVERY = 0.2
_BATCH = 1000


class _Gauge:
    """Begins when everything is assigned and settled, and ends after the ordered time.

    Where there is a rate, every partition has a record: all of those have to be handled first.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._partitions = partitions_of(order)
        self._handled_first = self._partitions if order.rate else 0
        self._before = rss()
        self._began = time.monotonic()
        self._assigned: float | None = None
        self._first: tuple[Instant, int] | None = None
        self.figures: Figures | None = None

    def look(self, assigned: int, handled: int) -> bool:
        """Take note of how it stands; return whether the time is up."""
        now = Instant.now()
        if self._assigned is None:
            if assigned == self._partitions and handled >= self._handled_first:
                self._assigned = now.clock
            elif now.clock - self._began > _ASSIGNED_WITHIN:
                raise MeasurementFailed(
                    f"{assigned:,} of {self._partitions:,} partitions are assigned, {handled:,} handled"
                )
        elif self._first is None:
            if now.clock - self._assigned >= SETTLE_SECONDS:
                self._first = now, handled
        elif now.clock - self._first[0].clock >= self._order.seconds:
            self.figures = self._measured(self._first, now, handled)
        return self.figures is not None

    def _measured(self, first: tuple[Instant, int], last: Instant, handled: int) -> Figures:
        assert self._assigned is not None
        seconds, memory = last.clock - first[0].clock, rss()
        return {
            "cpu_percent": (last.cpu - first[0].cpu) / seconds * 100,
            "msgs_per_s": (handled - first[1]) / seconds,
            "kb_a_partition": (memory - self._before) * 1024 / self._partitions,
            "rss_mib": memory,
            "file_descriptors": len(list(Path("/proc/self/fd").iterdir())),
            "threads": threads(),
            "assigned_s": self._assigned - self._began,
        }


def threads() -> int:
    """Return the process's threads, those of the client's library too."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def _bare(config: Callable[[Order], dict[str, Any]]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        gauge, assigned, handled = _Gauge(order), 0, 0
        consumer = Consumer(config(order))

        def on_assign(_consumer: Consumer, given: list[Any]) -> None:
            nonlocal assigned
            assigned += len(given)

        consumer.subscribe([order.topic], on_assign=on_assign)
        try:
            while not gauge.look(assigned, handled):
                handled += len(consumer.consume(_BATCH, _LOOK_EVERY))
        finally:
            consumer.close()
        assert gauge.figures is not None
        return gauge.figures

    return run


def _tuned(order: Order) -> dict[str, Any]:
    return runtime_client_config(order.brokers, order.group)


def _humus(processor: Callable[[Message], Any]) -> Callable[[Order], Figures]:
    def run(order: Order) -> Figures:
        gauge = _Gauge(order)
        runtime = kafka.Runtime(order.brokers, order.group, kafka.at_least_once(order.topic, processor))
        asyncio.run(_watch(runtime, gauge))
        assert gauge.figures is not None
        return gauge.figures

    return run


async def _watch(runtime: kafka.Runtime, gauge: _Gauge) -> None:
    running = asyncio.create_task(runtime.process_queue())
    while not running.done():
        status = runtime.status()
        if gauge.look(len(status.partitions), status.totals.handled):
            runtime.stop()
            break
        await asyncio.wait([running], timeout=_LOOK_EVERY)
    await running


async def _async(_message: Message) -> None: ...


def _def(_message: Message) -> None: ...


CANDIDATES = {
    "partitions-bare": Candidate("consume(1000), the client as shipped", _bare(as_shipped), as_shipped=True),
    "partitions-bare-tuned": Candidate("consume(1000), the client configured as the runtime does it", _bare(_tuned)),
    "partitions-async": Candidate("at least once, empty async def processor", _humus(_async)),
    "partitions-def": Candidate("at least once, empty def processor", _humus(_def)),
}
