"""Writing the flights to the topic, in two halves, and keeping count of what each partition got."""

import threading
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer
from flights_data import Truth, flights, record

__all__ = ["MAX_BYTES", "MAX_RECORDS", "PARTITIONS", "TOPIC", "Writer", "WritingFailed"]

TOPIC = "flights"
PARTITIONS = 24
MAX_BYTES = 5 * 1024 * 1024
MAX_RECORDS = 100_000
"""The embedded broker silently drops the oldest records of a partition beyond these."""

_RECORD_OVERHEAD_BYTES = 36
"""Upper bound: lengths, offset and time differences of a record (21), and its share of a batch header of 61."""

_POLL_EVERY = 1_000


class WritingFailed(Exception):  # noqa: N818 - reads as what happened
    """A record could not be written, or a partition got more than the embedded broker keeps."""


class Writer:
    """A thread that writes the flights. It waits after the first half until `go_on()` is called.

    Attributes:
        truth: the totals of the flights read so far, from the file itself.
        written: how many records the broker has confirmed.
        first_half_written: set when the writer waits for `go_on()`.
    """

    def __init__(self, brokers: str, file: Path, limit: int) -> None:
        self.truth = Truth()
        self.written = 0
        self.records: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
        self.bytes: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
        self.first_half_written = threading.Event()
        self._go_on = threading.Event()
        self._stopped = False
        self._error: Exception | None = None
        self._file, self._limit = file, limit
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "linger.ms": 20,
                "on_delivery": self._confirmed,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def go_on(self) -> None:
        """Let it write the second half."""
        self._go_on.set()

    def stop(self) -> None:
        """Stop early; what was not written stays unwritten."""
        self._stopped = True
        self._go_on.set()
        self.join()

    def join(self) -> None:
        """Wait until the thread has ended, if it was started."""
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def done(self) -> bool:
        """Whether every flight is written and confirmed."""
        return self._thread.ident is not None and not self._thread.is_alive() and self._error is None

    def check(self) -> None:
        """Raise what went wrong in the thread.

        Raises:
            WritingFailed: see there.
        """
        if self._error is not None:
            raise WritingFailed(f"writing the flights failed: {self._error}") from self._error

    def _run(self) -> None:
        try:
            for number, flight in enumerate(self._read(), start=1):
                self.truth.add(flight)
                self._write(*record(flight))
                if number % _POLL_EVERY == 0:
                    self._producer.poll(0)
                if self._stopped:
                    return
            self._producer.flush()
            self._check_limits()
        except Exception as error:  # noqa: BLE001 - a thread's error is raised by check()
            self._error = error

    def _read(self) -> Iterator[dict[str, str]]:
        for number, flight in enumerate(flights(self._file, self._limit)):
            if number == self._limit // 2:
                self._producer.flush()
                self.first_half_written.set()
                self._go_on.wait()
            yield dict(flight)

    def _write(self, key: bytes | None, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(TOPIC, value, key)
            except BufferError:  # the client's queue is full: wait until the broker took some of it
                self._producer.poll(0.1)
            else:
                return

    def _confirmed(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = WritingFailed(str(error))
            self._stopped = True
            return
        partition = message.partition()
        assert partition is not None
        self.written += 1
        self.records[partition] += 1
        self.bytes[partition] += len(message.key() or b"") + len(message.value() or b"") + _RECORD_OVERHEAD_BYTES

    def _check_limits(self) -> None:
        for partition in range(PARTITIONS):
            if self.bytes[partition] >= MAX_BYTES or self.records[partition] >= MAX_RECORDS:
                raise WritingFailed(
                    f"partition {partition} got {self.records[partition]:,} records, {self.bytes[partition]:,} bytes; "
                    f"the embedded broker keeps {MAX_RECORDS:,} and {MAX_BYTES:,}: more partitions are needed"
                )
