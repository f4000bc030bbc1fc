"""A service with a member of each of several groups, that writes a ledger; to be run with its configuration file.

Each record leaves a line in one file of all processes when its handling starts and one when it is done: what, topic,
partition, offset, process, and seconds on the machine's clock. Lines are written at once, so that they are there
whatever becomes of the process. A record at `hold_at` waits until the file `release` is there.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import pydantic

from humus import queue
from humus.queue.kafka import Message, Runtime, Subscription, at_least_once, at_most_once
from tests.integration.conftest import defaults

_LOOK_SECONDS: Final = 0.01


class Membership(pydantic.BaseModel):
    """One of the groups; its topic has the same name."""

    name: str
    protocol: Literal["classic", "consumer"]
    kind: Literal["async", "def"]
    semantic: Literal["at-least-once", "at-most-once"]


class Config(queue.Config):
    """The configuration file; `work` is in seconds, for each record."""

    brokers: str
    ledger: Path
    groups: list[Membership]
    work: float
    hold_at: int
    release: Path
    options: dict[str, Any]


def processor(config: Config, file: int, *, is_async: bool) -> Callable[[Message], Any]:
    """Return what handles the records of one group."""

    def note(what: str, msg: Message) -> None:
        line = f"{what} {msg.topic} {msg.partition} {msg.offset} {os.getpid()} {time.monotonic():.4f}\n"
        os.write(file, line.encode())

    def held(msg: Message) -> bool:
        return msg.offset == config.hold_at and not config.release.exists()

    async def process(msg: Message) -> None:
        note("started", msg)
        while held(msg):  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(_LOOK_SECONDS)
        await asyncio.sleep(config.work)
        note("handled", msg)

    def process_blocking(msg: Message) -> None:
        note("started", msg)
        while held(msg):
            time.sleep(_LOOK_SECONDS)
        time.sleep(config.work)
        note("handled", msg)

    return process if is_async else process_blocking


def init(cfg: Config) -> queue.App:
    """Build the service."""
    file = os.open(cfg.ledger, os.O_WRONLY | os.O_APPEND)

    def subscription(group: Membership) -> Subscription:
        factory = at_least_once if group.semantic == "at-least-once" else at_most_once
        return factory(group.name, processor(cfg, file, is_async=group.kind == "async"))

    return queue.App(
        *(
            Runtime(cfg.brokers, group.name, subscription(group), **defaults(group.protocol), **cfg.options)
            for group in cfg.groups
        )
    )


if __name__ == "__main__":
    queue.run(queue.yaml_source(sys.argv[1]), init)
