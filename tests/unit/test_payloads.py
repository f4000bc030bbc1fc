"""No byte of a record in a log, whatever the processor's exception repeats of it."""

import asyncio
import logging
import queue

import pydantic
import pytest
from tests.pieces import piece, tp_of

from humus.errors import HumusError, ProcessingFailed
from humus.queue import kafka
from humus.queue._app import App
from humus.queue._run import _report
from humus.queue.kafka._commands import Fatal, WorkerEvent
from humus.queue.kafka._loop import _processing_failed
from humus.queue.kafka._partition import Key
from humus.queue.kafka._subscription import at_least_once
from humus.queue.kafka._thread_worker import ThreadWorker

WORDS = "the record's own words"


class Order(pydantic.BaseModel):
    """What the processor expects."""

    amount: float


def refuse(_msg: kafka.Message) -> None:
    """Raise an error whose text repeats its input."""
    Order.model_validate({"amount": WORDS})


def failed() -> HumusError:
    """Let a record fail under `shut_down()`; return the error that ends the runtime."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    retry = kafka.Retry(max_attempts=2, initial=0)
    worker = ThreadWorker(
        Key(tp_of(), 1), at_least_once("orders", refuse, retry=retry, on_failure=kafka.shut_down()), said.put
    )
    worker.feed([piece([0])])
    said.get(timeout=30)
    last = said.get(timeout=30)
    assert isinstance(last, Fatal)
    return _processing_failed(last)


def test_a_record_that_ends_the_runtime_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """D34: the log says what failed and where, at the last attempt too, and nothing of the record."""
    error = failed()
    assert isinstance(error, ProcessingFailed)
    assert WORDS in str(error.__cause__)
    _report(error)
    assert WORDS not in caplog.text
    assert "amount: Input should be a valid number" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "CRITICAL"]
    assert all("in refuse" in record.message for record in caplog.records[:2])


def test_a_record_that_ends_a_second_runtime_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """D34: nor is one that fails while the app is stopping already."""
    caplog.set_level(logging.INFO)

    class Failing:
        async def process_queue(self) -> None:
            raise failed()

    class FailingLater:
        async def process_queue(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise failed()

    with pytest.raises(ProcessingFailed):
        asyncio.run(App(FailingLater(), Failing()).run())
    assert "another runtime failed" in caplog.text
    assert WORDS not in caplog.text
