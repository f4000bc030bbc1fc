"""The service's tests: its processor without a broker, then the whole service on an embedded one."""

from functools import partial
from pathlib import Path

import pytest
from orders import Booking, MemoryLedger, Order, init

from humus import queue
from humus.queue import kafka
from humus.testing import KafkaBroker, RunApp, deliver, message

CONFIG = queue.yaml_source(Path(__file__).with_name("config.yaml"))
RETRY = kafka.Retry(max_attempts=3, initial=1, jitter=0)
LETTERS = kafka.dead_letter("orders.dlt")


class AwayAtFirst(MemoryLedger):
    """Cannot be reached so many times, then it can."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def book(self, order: Order) -> None:
        """Fail, or book."""
        self.times -= 1
        if self.times >= 0:
            raise ConnectionError("the ledger is away")
        await super().book(order)


@pytest.mark.asyncio
async def test_an_order_is_booked_when_the_ledger_is_back() -> None:
    """What fails for a moment is tried again, after one and after two seconds that the test does not wait."""
    ledger = AwayAtFirst(2)
    [outcome] = await deliver(Booking(ledger), message('{"order_id": "1", "amount": 9.5}'), retry=RETRY)
    assert (outcome.result, outcome.attempts, outcome.waits) == ("handled", 3, (1.0, 2.0))
    assert ledger.amounts == {"1": 9.5}


@pytest.mark.asyncio
async def test_an_order_becomes_a_dead_letter_when_the_ledger_stays_away() -> None:
    """After the last attempt the record goes to the dead-letter topic, byte for byte, with the reason."""
    order = message('{"order_id": "1", "amount": 9.5}', key="customer-7", topic="orders", offset=4)
    [outcome] = await deliver(Booking(AwayAtFirst(9)), order, retry=RETRY, on_failure=LETTERS)
    letter = outcome.dead_letter
    assert (outcome.result, outcome.attempts) == ("dead_lettered", 3)
    assert letter is not None
    assert (letter.topic, letter.key, letter.value) == ("orders.dlt", order.key, order.value)
    assert letter.header("humus.dlt.original.offset") == b"4"
    assert letter.header("humus.dlt.exception.message") == b"the ledger is away"


@pytest.mark.asyncio
async def test_what_is_no_order_is_not_tried_twice() -> None:
    """Trying again would not make an order of it."""
    [outcome] = await deliver(Booking(MemoryLedger()), message("{}"), retry=RETRY, on_failure=LETTERS)
    assert (outcome.result, outcome.attempts, outcome.reason) == ("dead_lettered", 1, "no order: 2 faults")


@pytest.mark.asyncio
async def test_the_service(kafka_broker: KafkaBroker, run_app: RunApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own configuration it books what is an order, puts the rest aside, and commits both."""
    monkeypatch.setenv("KAFKA_BROKERS", kafka_broker.brokers)
    kafka_broker.create_topic("orders", partitions=2)
    kafka_broker.produce("orders", '{"order_id": "1", "amount": 9.5}', "no order", partition=0)
    kafka_broker.produce("orders", '{"order_id": "2", "amount": 20}', partition=1)
    ledger = MemoryLedger()

    def all_done() -> bool:
        return len(ledger.amounts) == 2 and len(kafka_broker.records("orders.dlt")) == 1

    await run_app(partial(init, ledger=ledger), CONFIG, until=all_done)

    assert ledger.amounts == {"1": 9.5, "2": 20}
    assert [letter.value for letter in kafka_broker.records("orders.dlt")] == [b"no order"]
    assert kafka_broker.committed("order-service", "orders") == {0: 2, 1: 1}
