"""What a user gave as a processor, turned into one callable, or into the faults that say why it is none.

A processor is an object with `process(msg)` or a function of one argument, as `def` or `async def`. All that can be
told from its shape is told here, when the runtime is built; what only shows when it runs (a `def` that returns an
awaitable) is told by `describe_awaitable`.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Handler", "describe_awaitable", "inspect_processor"]


@dataclass(frozen=True, slots=True)
class Handler:
    """A processor as the runtimes call it: `call(item)`, to be awaited when `is_async`; `name` is for messages."""

    call: Callable[[Any], Any]
    is_async: bool
    name: str


def inspect_processor(processor: object) -> Handler | list[str]:
    """Return the processor's handler, or one line for each fault of its shape."""
    if isinstance(processor, type):
        return [f"{_name(processor)} is a class, not a processor: give an object of it, {processor.__name__}(...)"]
    found = _callable_of(processor)
    if isinstance(found, str):
        return [found]
    call, name = found
    faults = [describe for has_fault, describe in _WRONG_KINDS if has_fault(call)]
    faults += _argument_faults(call)
    if faults:
        return [f"{name} {fault}" for fault in faults]
    return Handler(call, inspect.iscoroutinefunction(call), name)


def describe_awaitable(handler: Handler, returned: object) -> str | None:
    """Say what is wrong when a `def` processor returned an awaitable, which nobody awaits; `None` when it did not.

    A coroutine is closed, so that Python does not warn of it a second time.
    """
    if not inspect.isawaitable(returned):
        return None
    if inspect.iscoroutine(returned):
        cast("Coroutine[Any, Any, Any]", returned).close()
    kind = type(returned).__name__
    return (
        f"{handler.name} is a plain function but returned a {kind}, so its work was not done: "
        "declare it with async def and await inside"
    )


_Checks = tuple[tuple[Callable[[object], bool], str], ...]

_WRONG_KINDS: _Checks = (
    (inspect.isasyncgenfunction, "is an async generator function: a processor must not yield"),
    (inspect.isgeneratorfunction, "is a generator function: a processor must not yield"),
)


def _callable_of(processor: object) -> tuple[Callable[[Any], Any], str] | str:
    """Return what to call and its name, or what is wrong."""
    if inspect.isroutine(processor):
        return processor, _name(processor)
    process = getattr(processor, "process", None)
    if callable(process):
        return process, f"{_name(type(processor))}.process"
    kind = _name(type(processor))
    if process is not None:
        return f"the process of {kind} cannot be called: it must be a method process(self, msg)"
    if callable(processor):
        # `inspect` looks through a partial; of other objects only the bound __call__ tells async from sync.
        return (processor if isinstance(processor, functools.partial) else processor.__call__), kind
    return f"{kind} is no processor: it needs a method process(self, msg), or give a function of one argument"


def _argument_faults(call: Callable[[Any], Any]) -> list[str]:
    try:
        # Not through `__wrapped__`: a decorator that adds or removes arguments is called by its own signature.
        signature = inspect.signature(call, follow_wrapped=False)
    except ValueError:
        return []  # some functions written in C have no signature; Python itself complains when they are called
    try:
        signature.bind(object())
    except TypeError:
        return [f"takes {signature}, but is called with one positional argument, the message"]
    return []


def _name(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", None) or type(thing).__qualname__)
