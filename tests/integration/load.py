"""A topic under load: a thread that keeps producing until told to stop."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

__all__ = ["Load", "load"]

_WITHIN: Final = 60.0
_BURST_SECONDS: Final = 0.01


class Load:
    """Produces empty records, evenly over the partitions of a topic, about `rate` a second."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, rate: int) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self._topic = topic
        self._counts = [0] * partitions
        self._rate = rate
        self._failed: list[KafkaError] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait until the broker has confirmed every record."""
        self._stop.set()
        self._thread.join(_WITHIN)
        left = self._producer.flush(_WITHIN)
        assert not left, f"{left} records not confirmed"
        assert not self._failed, f"not produced: {self._failed[0]}"

    @property
    def offsets(self) -> dict[int, list[int]]:
        """The offsets produced by partition; complete once it is stopped."""
        return {partition: list(range(count)) for partition, count in enumerate(self._counts)}

    @property
    def count(self) -> int:
        """How many records were produced, all partitions together."""
        return sum(self._counts)

    def _run(self) -> None:
        begin, burst = time.monotonic(), len(self._counts)
        while not self._stop.is_set():
            due = int((time.monotonic() - begin) * self._rate) - self.count
            for _ in range(min(due // burst, self._rate // burst)):
                for partition in range(burst):
                    self._producer.produce(self._topic, b"", partition=partition, on_delivery=self._delivered)
                    self._counts[partition] += 1
            self._producer.poll(_BURST_SECONDS)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error)


@contextmanager
def load(bootstrap: str, topic: str, partitions: int, *, rate: int) -> Iterator[Load]:
    """Keep a topic under load during the block, or until `stop`."""
    running = Load(bootstrap, topic, partitions, rate)
    running.start()
    try:
        yield running
    finally:
        running.stop()
