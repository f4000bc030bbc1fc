"""Puts records into topics, plainly and in transactions."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, Message, Producer

from tests.kafka.fresh import fresh

__all__ = ["Record", "Records", "Transaction"]

_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record to produce; without a partition its key decides, without a timestamp (milliseconds) it is now."""

    value: bytes | None = None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None


class Records:
    """A producer of one cluster, which makes sure of every record."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    @cached_property
    def _producer(self) -> Producer:
        return Producer({"bootstrap.servers": self._bootstrap, "linger.ms": 5, "client.id": "humus-tests-producer"})

    def produce(self, topic: str, *records: Record | bytes, partition: int | None = None) -> None:
        """Produce records in order and wait until the broker has confirmed each; plain bytes are a value.

        `partition` holds for all records that do not name their own.
        """
        failed: list[KafkaError] = []
        _send(self._producer, topic, records, partition, failed)
        left = self._producer.flush(_WITHIN)
        assert not left, f"{left} records not confirmed after {_WITHIN:g} s"
        assert not failed, f"not produced: {failed[0]}"

    def close(self) -> None:
        """Let go of the producer; the next use makes a new one."""
        self.__dict__.pop("_producer", None)

    def transaction(self) -> "Transaction":
        """Begin a transaction: a context manager that commits at its end, and aborts on an exception."""
        return Transaction(self._bootstrap)


class Transaction:
    """One open transaction, which ends by `commit` or `abort`, or at the end of its `with` block."""

    def __init__(self, bootstrap: str) -> None:
        name = fresh("transaction")
        self._producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name, "linger.ms": 0})
        self._producer.init_transactions(_WITHIN)
        self._producer.begin_transaction()
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._open:
            self.commit() if error is None else self.abort()

    def produce(self, topic: str, *records: Record | bytes, partition: int | None = None) -> None:
        """Write records into the log, within the transaction."""
        failed: list[KafkaError] = []
        _send(self._producer, topic, records, partition, failed)
        assert not self._producer.flush(_WITHIN), "records not confirmed"
        assert not failed, f"not produced: {failed[0]}"

    def commit(self) -> None:
        """Commit: a marker in every partition that was written to."""
        self._open = False
        self._producer.commit_transaction(_WITHIN)

    def abort(self) -> None:
        """Abort: the records stay in the log, with a marker that hides them from `read_committed`."""
        self._open = False
        self._producer.abort_transaction(_WITHIN)


def _send(
    producer: Producer,
    topic: str,
    records: Iterable[Record | bytes],
    partition: int | None,
    failed: list[KafkaError],
) -> None:
    def confirmed(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    for given in records:
        record = given if isinstance(given, Record) else Record(given)
        at = partition if record.partition is None else record.partition
        options: dict[str, Any] = {} if at is None else {"partition": at}
        if record.timestamp is not None:
            options["timestamp"] = record.timestamp
        while True:
            try:
                producer.produce(
                    topic, record.value, record.key, headers=list(record.headers), on_delivery=confirmed, **options
                )
            except BufferError:
                producer.poll(0.1)
            else:
                break
        producer.poll(0)
