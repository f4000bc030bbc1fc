"""The user's `init`: which configuration it takes, the App it makes, and what it does after the stop."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

from humus.config import Config
from humus.errors import ConfigError
from humus.queue._app import App

__all__ = ["Init", "InitFunction", "config_type"]

C = TypeVar("C", bound=Config)

_Made = App | Awaitable[App] | Iterator[App] | AsyncIterator[App]
InitFunction = Callable[[C], _Made] | Callable[[], _Made]
"""A function, a coroutine function, or a (sync or async) generator function that yields the App once."""


def config_type(init: object) -> type[Config]:
    """Return the annotation of `init`'s parameter; `Config` itself when it takes none.

    Raises:
        ConfigError: `init` has the wrong shape, or its parameter is no `Config`.
    """
    if not callable(init):
        raise ConfigError(f"init must be a function that returns a queue.App; it is {type(init).__qualname__}")
    parameters = list(inspect.signature(init).parameters.values())
    if not parameters:
        return Config
    first, *others = parameters
    if any(parameter.default is parameter.empty and parameter.kind not in _VARIADIC for parameter in others):
        raise ConfigError(f"init takes {inspect.signature(init)}, but is called with one argument, the configuration")
    found = _evaluate(first.annotation, init)
    if not (isinstance(found, type) and issubclass(found, Config)):
        raise ConfigError(
            f"init: annotate its parameter with your configuration, init({first.name}: Config), "
            "where Config is a subclass of humus.queue.Config"
        )
    return found


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _evaluate(annotation: object, init: Callable[..., object]) -> object:
    """Return what an annotation stands for, also where it is a string (`from __future__ import annotations`)."""
    if not isinstance(annotation, str):
        return annotation
    function: Any = inspect.unwrap(init)
    function = getattr(function, "__func__", getattr(function, "func", function))
    names: dict[str, object] = dict(getattr(function, "__globals__", {}))
    if inspect.isfunction(function):
        names |= inspect.getclosurevars(function).nonlocals
    try:
        return eval(annotation, names)  # noqa: S307 - the program's own annotation, as typing.get_type_hints does
    except Exception as error:
        raise ConfigError(
            f"init: the annotation {annotation!r} of its parameter cannot be resolved; define it at module level"
        ) from error


class Init(Generic[C]):
    """Calls `init` on the application's loop, and once more to run what follows its `yield`."""

    def __init__(self, init: InitFunction[C], config: C) -> None:
        self._init: Callable[..., Any] = init
        self._arguments = (config,) if inspect.signature(init).parameters else ()
        self._rest: Iterator[App] | AsyncIterator[App] | None = None

    async def open(self) -> App:
        """Return the App.

        Raises:
            ConfigError: what `init` made is no App.
            Exception: what `init` raised.
        """
        made = self._init(*self._arguments)
        try:
            if inspect.isawaitable(made):
                made = await made
            elif isinstance(made, AsyncIterator):
                self._rest, made = made, await anext(made)
            elif isinstance(made, Iterator):
                self._rest, made = made, next(made)
        except (StopAsyncIteration, StopIteration):
            self._rest = None
            raise ConfigError("init yielded nothing: it must yield a queue.App once") from None
        if not isinstance(made, App):
            raise ConfigError(f"init must return (or yield) a queue.App; it gave {type(made).__qualname__}")
        return made

    async def close(self) -> None:
        """Run what follows the `yield`.

        It is run whatever the runtimes came to, and their error is not thrown in: code after a bare `yield` would be
        left out then.

        Raises:
            ConfigError: there is a second `yield`.
            Exception: what it raised.
        """
        rest, self._rest = self._rest, None
        try:
            if isinstance(rest, AsyncIterator):
                await anext(rest)
            elif rest is not None:
                next(rest)
            else:
                return
        except (StopAsyncIteration, StopIteration):
            return
        raise ConfigError("init yielded twice: it must yield a queue.App once")
