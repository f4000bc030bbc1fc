"""`current()`: what a processor may want to know of the record it handles, beside the record.

Setting a context variable a record would cost as much as handing the record over, so a worker sets it once, to itself,
and a `Delivery` is built when it is asked for.
"""

from contextvars import ContextVar
from typing import Protocol

from humus.errors import OutsideProcessor
from humus.queue.kafka._message import Message

__all__ = ["Delivery", "Worklike", "current", "handled_fields", "worker_var"]


class Worklike(Protocol):
    """What a `Delivery` is read from."""

    message: Message | None
    attempt: int

    @property
    def group_id(self) -> str:
        """The consumer group."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether the partition is to be given back."""
        ...

    @property
    def deadline(self) -> float | None:
        """When the attempt in flight is cut short, in seconds of `time.monotonic()`."""
        ...


worker_var: ContextVar[Worklike] = ContextVar("humus.queue.kafka.worker")


class Delivery:
    """One attempt at one record.

    Attributes:
        message: the record.
        attempt: which run of it this is, from 1.
        deadline: when this attempt is cut short (an `async def` processor) or fails if it still runs (a `def` one), in
            seconds of `time.monotonic()`; `None` without a `handler_timeout`.
    """

    __slots__ = ("_worker", "attempt", "deadline", "message")

    def __init__(self, message: Message, attempt: int, worker: Worklike) -> None:
        self.message = message
        self.attempt = attempt
        self.deadline = worker.deadline
        self._worker = worker

    @property
    def stopping(self) -> bool:
        """Whether the partition is to be given back: a long handler should come to an end. Live, from any thread."""
        return self._worker.stopping

    def __repr__(self) -> str:
        return f"Delivery({self.message!r}, attempt={self.attempt}, stopping={self.stopping})"


def current() -> Delivery:
    """Return the delivery that is being handled. Call it inside a processor, on its thread or in its tasks.

    Raises:
        OutsideProcessor: no record is being handled here.
    """
    worker = worker_var.get(None)
    message = None if worker is None else worker.message
    if worker is None or message is None:
        raise OutsideProcessor("current() was called outside a processor: no record is being handled here")
    return Delivery(message, worker.attempt, worker)


def handled_fields() -> dict[str, object]:
    """Return where the record stands that is being handled in this context, as fields of a log line; else nothing."""
    worker = worker_var.get(None)
    message = None if worker is None else worker.message
    if worker is None or message is None:
        return {}
    fields: dict[str, object] = {
        "messaging.destination.name": message.topic,
        "messaging.destination.partition.id": str(message.partition),
        "messaging.kafka.offset": message.offset,
    }
    if worker.group_id:
        fields["messaging.consumer.group.name"] = worker.group_id
    return fields
