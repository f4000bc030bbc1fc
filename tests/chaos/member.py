"""One member of a group, as a user would write it: a service that is copied to a folder and run there.

It produces each record to the next topic, where there is one, and has handled it when the brokers have confirmed that.
It notes when it starts on a record and when it is done: 32 bytes a note, written at once, so that they are there
whatever becomes of the process. The clock is the one that the broker stamps commits with.

The producer is not librdkafka's: that one has a request for each partition, and here a partition has one record at a
time.
"""

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from humus import queue
from humus.queue import kafka

NOTE = struct.Struct("<qqqhhi")
"""When in ns, offset, the record's number, partition, what, attempt."""
STARTED, DONE, GAVE_UP = 0, 1, 2

_LINGER_MS = 20
_REQUEST_TIMEOUT_MS = 10_000


class Config(queue.Config):
    """The configuration file."""

    kafka: kafka.Settings
    to: str
    kind: Literal["async", "def"]
    notes: Path


class Notes:
    """What this member did."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"{os.getpid()}.notes"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, what: int, message: kafka.Message) -> None:
        """Write a note."""
        number, attempt = int(message.value or b"-1"), kafka.current().attempt
        note = NOTE.pack(time.time_ns(), message.offset, number, message.partition, what, attempt)
        os.write(self._file, note)


class Next:
    """The next topic; a record keeps its partition, and with it its place."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._loop = asyncio.get_running_loop()

    async def send(self, message: kafka.Message) -> None:
        """Produce the record, and wait for the confirmation."""
        await self._producer.send_and_wait(self._topic, message.value, message.key, message.partition)

    def send_from_thread(self, message: kafka.Message) -> None:
        """Do the same from another thread than the loop's."""
        asyncio.run_coroutine_threadsafe(self.send(message), self._loop).result()


class AsyncProcessor:
    """Handles records on the loop."""

    def __init__(self, notes: Notes, following: Next | None) -> None:
        self._notes, self._next = notes, following

    async def process(self, msg: kafka.Message) -> None:
        """Handle one record."""
        self._notes.note(STARTED, msg)
        try:
            if self._next is not None:
                await self._next.send(msg)
        except BaseException:  # it failed and comes again, or the partition has left
            self._notes.note(GAVE_UP, msg)
            raise
        self._notes.note(DONE, msg)


class DefProcessor:
    """Handles records on a thread for each partition."""

    def __init__(self, notes: Notes, following: Next | None) -> None:
        self._notes, self._next = notes, following

    def process(self, msg: kafka.Message) -> None:
        """Handle one record."""
        self._notes.note(STARTED, msg)
        try:
            if self._next is not None:
                self._next.send_from_thread(msg)
        except BaseException:  # it failed and comes again, or the partition has left
            self._notes.note(GAVE_UP, msg)
            raise
        self._notes.note(DONE, msg)


async def init(cfg: Config) -> AsyncIterator[queue.App]:
    """Build the service."""
    async with AsyncExitStack() as stack:
        following = None
        if cfg.to:
            producer = AIOKafkaProducer(
                bootstrap_servers=",".join(cfg.kafka.brokers),
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
            )
            following = Next(await stack.enter_async_context(producer), cfg.to)
        notes = Notes(cfg.notes)
        processor = AsyncProcessor(notes, following) if cfg.kind == "async" else DefProcessor(notes, following)
        (topic,) = cfg.kafka.topics
        yield queue.App(kafka.Runtime.from_settings(cfg.kafka, {topic.name: processor}))


if __name__ == "__main__":
    queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
