"""A service: books orders into a ledger, at least once; what is no order goes to `orders.dlt`.

`python orders.py [CONFIG]`: without an argument the configuration is the file config.yaml beside this one.
"""

import sys
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ValidationError

from humus import queue
from humus.queue import kafka


class Order(BaseModel):
    """What a record of the topic `orders` says."""

    order_id: str
    amount: float


class Ledger(Protocol):
    """Where orders are booked. One that comes again must not count twice: its id is the key."""

    async def book(self, order: Order) -> None:
        """Book an order, or find that it is booked."""
        ...


class MemoryLedger:
    """A ledger to show; one that outlives the process is a table with `order_id` as its primary key."""

    def __init__(self) -> None:
        self.amounts: dict[str, float] = {}

    async def book(self, order: Order) -> None:
        """Book an order."""
        self.amounts[order.order_id] = order.amount


class Booking:
    """The processor."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def process(self, msg: kafka.Message) -> None:
        """Book one order; a ledger that is away is tried again."""
        try:
            order = Order.model_validate_json(msg.value or b"")
        except ValidationError as error:
            raise kafka.Reject(f"no order: {error.error_count()} faults") from error
        await self._ledger.book(order)


class Config(queue.Config):
    """The file config.yaml."""

    kafka: kafka.Settings


def init(cfg: Config, ledger: Ledger | None = None) -> queue.App:
    """Build the service; tests bring a ledger of their own."""
    return queue.App(kafka.Runtime.from_settings(cfg.kafka, {"orders": Booking(ledger or MemoryLedger())}))


if __name__ == "__main__":
    queue.run(queue.yaml_source(*(sys.argv[1:] or [str(Path(__file__).with_name("config.yaml"))])), init)
