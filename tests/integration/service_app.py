"""A service as a user would write it, run by a test: `python -m tests.integration.service_app CONFIG`.

It keeps a journal: each record leaves a line when its handling starts and one when it is done. A record at `hold_at`
waits until the file `release` is there.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from humus import queue
from humus.queue import kafka

_LOOK_SECONDS = 0.01


class Config(queue.Config):
    """The configuration file."""

    kafka: kafka.Settings
    journal: Path
    kind: Literal["async", "def"]
    hold_at: int
    release: Path


class Journal:
    """Lines in a file: written at once, so that they are there whatever becomes of the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, what: str, message: kafka.Message) -> None:
        """Write a line."""
        os.write(self._file, f"{what} {message.partition} {message.offset}\n".encode())


class AsyncProcessor:
    """Handles records on the loop."""

    def __init__(self, config: Config) -> None:
        self._config, self._journal = config, Journal(config.journal)

    async def process(self, msg: kafka.Message) -> None:
        """Handle one record."""
        self._journal.note("started", msg)
        if msg.offset == self._config.hold_at:
            await self._released()
        self._journal.note("handled", msg)

    async def _released(self) -> None:
        while not self._config.release.exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(_LOOK_SECONDS)


class DefProcessor:
    """Handles records on a thread for each partition."""

    def __init__(self, config: Config) -> None:
        self._config, self._journal = config, Journal(config.journal)

    def process(self, msg: kafka.Message) -> None:
        """Handle one record."""
        self._journal.note("started", msg)
        while msg.offset == self._config.hold_at and not self._config.release.exists():
            time.sleep(_LOOK_SECONDS)
        self._journal.note("handled", msg)


def init(cfg: Config) -> Iterator[queue.App]:
    """Build the service."""
    processor = AsyncProcessor(cfg) if cfg.kind == "async" else DefProcessor(cfg)
    (topic,) = cfg.kafka.topics
    yield queue.App(kafka.Runtime.from_settings(cfg.kafka, {topic.name: processor}))
    sys.stdout.write("closed\n")
    sys.stdout.flush()


if __name__ == "__main__":
    queue.run(queue.yaml_source(sys.argv[1]), init)
