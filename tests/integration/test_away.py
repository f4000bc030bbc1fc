"""What is not there yet: topics and brokers are waited for, visibly, and used as soon as they come (D70)."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from humus.queue.kafka import Runtime, at_least_once
from tests.integration.conftest import defaults
from tests.integration.service import Protocol, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh

pytestmark = pytest.mark.asyncio


def lines_about(what: str, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return (level, text) of what the runtime logged about something."""
    return [
        (record.levelname, record.message)
        for record in caplog.records
        if record.name == "humus.kafka.runtime" and what in record.message and "assigned" not in record.message
    ]


async def test_a_topic_that_is_created_later(
    kafka: Kafka, topic: MakeTopic, produce: Produce, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown topic is a visible wait, logged once, by name; its records flow within 30 s of its creation (D70)."""

    async def waited_for(protocol: Protocol, *existing: str) -> None:
        missing, recorder, others = fresh("topic"), Recorder(), Recorder()
        problem = f"topic {missing} does not exist: waiting until somebody creates it"
        subscriptions = [at_least_once(name, others.processor("async")) for name in existing]
        subscriptions.append(at_least_once(missing, recorder.processor("async")))
        member = Runtime(kafka.bootstrap, fresh("group"), *subscriptions, **defaults(protocol))
        async with running(member):
            await eventually(lambda: member.status().problems, lambda problems: problems == (problem,))
            await eventually(others.count, lambda count: count == len(existing))
            await asyncio.to_thread(kafka.admin.create_topic, missing)
            await asyncio.to_thread(produce, missing, b"")
            await eventually(recorder.count, within=30)
            await eventually(lambda: not member.status().problems)
        assert lines_about(missing, caplog) == [("ERROR", problem), ("INFO", f"topic {missing} exists now")]

    there = topic()
    await asyncio.to_thread(produce, there, b"")
    with caplog.at_level(logging.DEBUG, "humus"):
        # The client behaves differently in each of these, and the wait is long: side by side.
        await asyncio.gather(
            waited_for("classic"),
            waited_for("classic", there),
            waited_for("consumer"),
            waited_for("consumer", there),
        )


class Entrance:
    """The broker's address as the member knows it: nobody is there, or somebody who hangs up, or the broker."""

    def __init__(self, bootstrap: str) -> None:
        self._host, port = bootstrap.split(",", maxsplit=1)[0].split(":")
        self._port = int(port)
        self.hung_up = 0
        self.is_open = False
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._own_port: int = free.getsockname()[1]

    @property
    def address(self) -> str:
        """Where the member looks for the broker."""
        return f"127.0.0.1:{self._own_port}"

    @asynccontextmanager
    async def attended(self) -> AsyncIterator[None]:
        """Take calls during the block."""
        server = await asyncio.start_server(self._called, "127.0.0.1", self._own_port)
        try:
            yield
        finally:
            server.close()

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            self.hung_up += 1
            writer.close()
            return
        broker_reader, broker_writer = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(_pass_on(reader, broker_writer), _pass_on(broker_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_broker_that_comes_later(
    kafka: Kafka,
    topic: MakeTopic,
    produce: Produce,
    group: str,
    protocol: Protocol,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broker that is away at the start is waited for: one line when it is missed, one when it is there (D70)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"")
    entrance, recorder = Entrance(kafka.bootstrap), Recorder()
    subscription = at_least_once(name, recorder.processor("async"))
    member = Runtime(entrance.address, group, subscription, **defaults(protocol))
    with caplog.at_level(logging.INFO, "humus"):
        async with running(member):
            problems = await eventually(lambda: member.status().problems)
            assert any(entrance.address in problem for problem in problems), problems
            assert member.status().state == "starting"
            async with entrance.attended():
                await eventually(lambda: entrance.hung_up > 5)  # so many tries, and no further line
                assert recorder.count() == 0
                entrance.is_open = True
                await eventually(recorder.count)
                await eventually(lambda: not member.status().problems)
    broker = [level for level, _ in lines_about(entrance.address, caplog)]
    assert broker == ["ERROR", "INFO"], caplog.text
    complaints = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(complaints) <= 2, complaints  # that broker is away, and with it all that there are
