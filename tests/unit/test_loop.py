"""The poll loop with no broker to reach: how it ends, whatever ends it."""
# ruff: noqa: SLF001 - what the loop does between rounds shows from the inside alone

import asyncio
import queue
import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import TopicPartition as ClientTopicPartition

from humus.queue import kafka
from humus.queue.kafka._client import Client
from humus.queue.kafka._client_config import client_config
from humus.queue.kafka._loop import PollLoop
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._options import validate

WITHIN = 30.0


class Running:
    """A poll loop on its thread; `end` waits for it and returns the error that it ended with."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        options = validate("127.0.0.1:1", "g", (kafka.at_least_once("orders", _ignore),), drain_timeout=10)
        self._ends: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.poll_loop = PollLoop(options, {**client_config(options)}, loop, self._ends.put)
        self._thread = threading.Thread(target=self.poll_loop.run, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> BaseException | None:
        """Wait for the end."""
        error = self._ends.get(timeout=WITHIN)
        self._thread.join(WITHIN)
        return error


def _ignore(msg: kafka.Message) -> None:
    """Handle a record."""


@pytest.fixture
def running() -> Iterator[Running]:
    """A poll loop that is not started; its event loop is never run."""
    loop = asyncio.new_event_loop()
    yield Running(loop)
    loop.close()


def test_a_stop_before_the_start_ends_it(running: Running) -> None:
    """D60: a stop is heard whenever it comes."""
    running.poll_loop.stop(10.0)
    running.start()
    assert running.end() is None
    assert running.poll_loop.status.state == "stopped"


def test_what_fails_at_the_end_is_reported(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """D34: where the process can start no more threads, `process_queue` is told so, and does not wait for ever."""
    start = threading.Thread.start

    def start_but_for_closing(thread: threading.Thread) -> None:
        if thread.name == "humus close":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_but_for_closing)
    running.poll_loop.stop(10.0)
    running.start()
    assert str(running.end()) == "can't start new thread"
    assert running.poll_loop.status.state == "stopped"


def test_a_loop_that_is_closed_ends_it() -> None:
    """D72: a member whose event loop is gone leaves the group: it would keep partitions that nobody handles."""
    loop = asyncio.new_event_loop()
    running = Running(loop)
    running.start()
    loop.close()
    assert running.end() is None


def test_partitions_that_nobody_would_handle_are_taken_up(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """D72: what the client holds and the core does not know, for a whole interval, begins a new epoch."""
    poll_loop, at = running.poll_loop, TopicPartition("orders", 3)
    client = Client(
        {**client_config(validate("127.0.0.1:1", "g", (kafka.at_least_once("orders", _ignore),)))}, ["orders"]
    )
    try:
        client._on_assign(client._consumer, [ClientTopicPartition("orders", 3)])
        client.begin({at: (7, -1)})
        assert client.assigned() == {at}
        poll_loop._reconcile(client, 0.0)
        assert not poll_loop._core.owns(at), "a rebalance may be about to bring it in order"
        poll_loop._reconcile(client, 5.0)
        assert poll_loop._core.owns(at)
        assert client.assigned() == {at}
        assert client._consumer.assignment() == [], "it begins anew, where the cluster says"
        assert "taking them up again: orders[3]" in caplog.text
        poll_loop._reconcile(client, 10.0)
        assert caplog.text.count("taking them up again") == 1
    finally:
        client.close()
