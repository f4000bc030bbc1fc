"""The public typing of `humus.queue`: this file is checked by mypy and pyright, and never run.

Where an error is right, the comment that allows it is there; mypy refuses a comment that is not needed.
"""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from humus import queue
from humus.config import Duration, Size, load


class Mine(queue.Config):
    """A configuration of the user's own."""

    wait: Duration = 1.0
    room: Size = 1


class Numbers:
    """A consumer, a processor and an acknowledger of numbers."""

    async def consume(self) -> int:
        """Return a number."""
        return 1

    async def acknowledge(self, item: int) -> None:
        """Take a number."""

    async def process(self, msg: int) -> None:
        """Take a number."""


class Texts:
    """A processor of texts."""

    def process(self, msg: str) -> None:
        """Take a text."""


def plain(item: int) -> None:
    """Take a number."""


async def coroutine(item: int) -> str:
    """Take a number; what is returned is ignored."""
    return str(item)


numbers = Numbers()
consumer: queue.Consumer[int] = numbers
processor: queue.Processor[int] = numbers
acknowledger: queue.Acknowledger[int] = numbers

runtimes: list[queue.Runtime] = [
    queue.AtLeastOnceRuntime(numbers, numbers, numbers),
    queue.AtLeastOnceRuntime(numbers, plain, numbers),
    queue.AtMostOnceRuntime(numbers, coroutine, numbers),
    queue.AtMostOnceRuntime(numbers, lambda item: item + 1, numbers),
]
queue.AtLeastOnceRuntime[int](numbers, Texts(), numbers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def function(cfg: Mine) -> queue.App:
    """Make an App."""
    assert_type(cfg.wait, float)
    assert_type(cfg.room, int)
    return queue.App(*runtimes, on_shutdown=[lambda: None, closing])


async def closing() -> None:
    """Close something."""


async def coroutine_function(cfg: Mine) -> queue.App:
    """Make an App."""
    return function(cfg)


def generator_function(cfg: Mine) -> Iterator[queue.App]:
    """Make an App."""
    yield function(cfg)


async def async_generator_function(cfg: Mine) -> AsyncIterator[queue.App]:
    """Make an App."""
    yield function(cfg)


def without_configuration() -> queue.App:
    """Make an App."""
    return queue.App(*runtimes)


def wrong(cfg: Mine) -> int:
    """Make no App."""
    return len(cfg.model_fields_set)


source = queue.yaml_source("config.yaml", "more.yaml")


def main(form: int) -> None:
    """Run each form of init."""
    assert_type(load(source, Mine), Mine)
    if form == 1:
        queue.run(source, function)
    if form == 2:
        queue.run(source, coroutine_function)
    if form == 3:
        queue.run(source, generator_function)
    if form == 4:
        queue.run(source, async_generator_function)
    if form == 5:
        queue.run(source, without_configuration)
    if form == 6:
        queue.run(source, wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
