"""`init`: which configuration it asks for, and what it may give back."""

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from humus.errors import ConfigError
from humus.queue import App, Config
from humus.queue._init import Init, config_type


class Mine(Config):
    """A configuration of the user's own."""


class Ending:
    """A runtime whose queue has ended."""

    async def process_queue(self) -> None:
        """Return at once."""


def make(cfg: Mine) -> App:
    """Make an App."""
    assert isinstance(cfg, Mine)
    return App(Ending())


def make_with_text(cfg: "Mine") -> App:
    """Make an App; the annotation is a string."""
    return make(cfg)


def make_without() -> App:
    """Make an App without a configuration."""
    return App(Ending())


class Maker:
    """A callable object, with a method that does as well."""

    def __call__(self, cfg: Mine) -> App:
        """Make an App."""
        return make(cfg)

    def method(self, cfg: "Mine") -> App:
        """Make an App."""
        return make(cfg)


def make_with_more(prefix: str, cfg: "Mine") -> App:
    """Make an App with an argument that is filled in."""
    assert prefix == "x"
    return make(cfg)


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        (make, Mine),
        (make_with_text, Mine),
        (make_without, Config),
        (Maker(), Mine),
        (Maker().method, Mine),
        (functools.partial(make_with_more, "x"), Mine),
    ],
)
def test_configuration_type_is_the_annotation(init: Any, expected: type[Config]) -> None:
    """The configuration's type is the annotation of the parameter, as a class or as text, and `open` gets one."""
    found = config_type(init)
    assert found is expected
    assert isinstance(asyncio.run(Init(init, found()).open()), App)


def test_annotation_of_a_local_class() -> None:
    """A string annotation finds a class of the enclosing function when `init` refers to it."""

    class Local(Config):
        pass

    def init(cfg: "Local") -> App:
        assert isinstance(cfg, Local)
        return App(Ending())

    assert config_type(init) is Local


def unknown(cfg: Mine) -> App:
    """Have an annotation that nothing defines."""
    return make(cfg)


unknown.__annotations__["cfg"] = "Unknown"


def unannotated(cfg):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - the fault that is tested
    """Have no annotation."""
    return make(cfg)


@pytest.mark.parametrize(
    ("init", "fault"),
    [
        (3, "init must be a function that returns a queue.App; it is int"),
        (unannotated, "init: annotate its parameter with your configuration, init(cfg: Config)"),
        (make_with_more, "init takes (prefix: str, cfg: 'Mine') -> humus.queue._app.App, but is called with one"),
        (unknown, "init: the annotation 'Unknown' of its parameter cannot be resolved"),
    ],
)
def test_wrong_inits(init: object, fault: str) -> None:
    """An `init` of the wrong shape is a configuration error."""
    with pytest.raises(ConfigError) as caught:
        config_type(init)
    assert str(caught.value).startswith(fault)


async def forgets_to_return() -> None:
    """Return nothing."""


def yields_nothing() -> Iterator[App]:
    """Return before the yield."""
    yield from ()


@pytest.mark.parametrize(
    ("init", "fault"),
    [
        (lambda: 3, "init must return (or yield) a queue.App; it gave int"),
        (forgets_to_return, "init must return (or yield) a queue.App; it gave NoneType"),
        (yields_nothing, "init yielded nothing: it must yield a queue.App once"),
    ],
)
def test_no_app(init: Callable[[], Any], fault: str) -> None:
    """An `init` that makes no App is a configuration error that says what it made."""
    with pytest.raises(ConfigError) as caught:
        asyncio.run(Init(init, Config()).open())
    assert str(caught.value) == fault


def test_second_yield() -> None:
    """A generator that yields twice is an error that says so."""

    def init() -> Iterator[App]:
        yield App(Ending())
        yield App(Ending())

    async def main() -> None:
        opened = Init(init, Config())
        await opened.open()
        with pytest.raises(ConfigError, match="init yielded twice"):
            await opened.close()
        await opened.close()  # nothing is left to close

    asyncio.run(main())
