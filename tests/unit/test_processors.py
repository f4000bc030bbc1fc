"""What counts as a processor, and what is said of what does not."""

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from humus.queue._processors import Handler, describe_awaitable, inspect_processor


class Sync:
    """A processor with a plain method."""

    def process(self, msg: object) -> None:
        """Do nothing."""


class Async:
    """A processor with a coroutine method."""

    async def process(self, msg: object) -> None:
        """Do nothing."""


class Called:
    """A callable object."""

    def __call__(self, msg: object) -> None:
        """Do nothing."""


class CalledAsync:
    """A callable object whose call is a coroutine function."""

    async def __call__(self, msg: object) -> None:
        """Do nothing."""


class WithoutProcess:
    """Has no `process`."""


class WithoutSelf:
    """Forgot `self`."""

    def process(msg: object) -> None:  # noqa: N805 - the fault that is tested
        """Take no message."""


class TwoArguments:
    """Takes more than the message."""

    async def process(self, msg: object, extra: object) -> None:
        """Take too much."""


class NotAMethod:
    """Has a `process` that cannot be called."""

    process = 3


class AsyncGenerator:
    """Yields instead of returning."""

    async def process(self, msg: object) -> AsyncIterator[object]:
        """Yield."""
        yield msg


class Generator:
    """Yields instead of returning."""

    def process(self, msg: object) -> Iterator[object]:
        """Yield."""
        yield msg


def plain(msg: object) -> None:
    """Take a message."""


async def coroutine(msg: object) -> None:
    """Take a message."""


def with_default(msg: object, *, extra: int = 3) -> None:
    """Take a message and an optional argument."""


def no_arguments() -> None:
    """Take nothing."""


def keyword_only(msg: object, *, extra: int) -> None:
    """Need more than a message."""


def two_arguments(extra: object, msg: object) -> None:
    """Take two arguments."""


async def two_arguments_async(extra: object, msg: object) -> None:
    """Take two arguments."""


@functools.wraps(two_arguments)
def decorated(msg: object) -> None:
    """Fill in the first argument."""
    two_arguments(3, msg)


@pytest.mark.parametrize(
    ("processor", "is_async", "name"),
    [
        (Sync(), False, "Sync.process"),
        (Async(), True, "Async.process"),
        (Called(), False, "Called"),
        (CalledAsync(), True, "CalledAsync"),
        (plain, False, "plain"),
        (coroutine, True, "coroutine"),
        (Sync().process, False, "Sync.process"),
        (with_default, False, "with_default"),
        (functools.partial(two_arguments, 3), False, "partial"),
        (functools.partial(two_arguments_async, 3), True, "partial"),
        (decorated, False, "two_arguments"),
        ([].append, False, "list.append"),
        (print, False, "print"),
    ],
)
def test_right_shapes(processor: object, is_async: bool, name: str) -> None:
    """Objects with `process` and functions of one argument are processors, and async is told from sync."""
    handler = inspect_processor(processor)
    assert isinstance(handler, Handler)
    assert (handler.is_async, handler.name) == (is_async, name)


@pytest.mark.parametrize(
    ("processor", "fault"),
    [
        (Sync, "Sync is a class, not a processor: give an object of it, Sync(...)"),
        (WithoutProcess(), "WithoutProcess is no processor: it needs a method process(self, msg)"),
        (3, "int is no processor"),
        (None, "NoneType is no processor"),
        (WithoutSelf(), "WithoutSelf.process takes ()"),
        (TwoArguments(), "TwoArguments.process takes (msg: object, extra: object) -> None, but is called with one"),
        (NotAMethod(), "the process of NotAMethod cannot be called"),
        (AsyncGenerator(), "AsyncGenerator.process is an async generator function"),
        (Generator(), "Generator.process is a generator function"),
        (no_arguments, "no_arguments takes ()"),
        (keyword_only, "keyword_only takes (msg: object, *, extra: int)"),
        (functools.partial(two_arguments), "partial takes"),
    ],
)
def test_wrong_shapes(processor: object, fault: str) -> None:
    """Each wrong shape is one fault that names the processor and says what is wrong."""
    faults = inspect_processor(processor)
    assert isinstance(faults, list)
    assert len(faults) == 1
    assert faults[0].startswith(fault)


def test_two_faults_are_both_told() -> None:
    """A processor that is wrong in two ways gets two lines."""

    def wrong() -> Iterator[int]:
        yield 1

    faults = inspect_processor(wrong)
    assert isinstance(faults, list)
    assert len(faults) == 2


def test_returned_awaitable_is_described_and_closed() -> None:
    """A coroutine out of a `def` is named as the failure it is, and Python's own warning stays away."""
    handler = inspect_processor(lambda msg: coroutine(msg))  # noqa: PLW0108 - the lambda is the plain function
    assert isinstance(handler, Handler)
    fault = describe_awaitable(handler, handler.call(3))
    assert fault is not None
    assert "returned a coroutine, so its work was not done" in fault


@pytest.mark.parametrize("returned", [None, 3, "text", [1]])
def test_other_results_are_no_fault(returned: Any) -> None:
    """What a processor returns is ignored."""
    assert describe_awaitable(Handler(plain, False, "plain"), returned) is None
