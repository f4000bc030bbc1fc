"""The queue framework: processors, runtimes over them, the application and its configuration."""

from typing import TYPE_CHECKING, Any

from humus.queue._app import App
from humus.queue._delivery import AtLeastOnceRuntime, AtMostOnceRuntime
from humus.queue._protocols import Acknowledger, Consumer, EndOfQueue, Processor, Runtime

if TYPE_CHECKING:
    from humus.config import Config, yaml_source
    from humus.queue._run import run

__all__ = [
    "Acknowledger",
    "App",
    "AtLeastOnceRuntime",
    "AtMostOnceRuntime",
    "Config",
    "Consumer",
    "EndOfQueue",
    "Processor",
    "Runtime",
    "run",
    "yaml_source",
]


def __getattr__(name: str) -> Any:
    # They bring pydantic and YAML with them, half of the import's time: only for who asks.
    if name in ("Config", "yaml_source"):
        from humus import config  # noqa: PLC0415

        return getattr(config, name)
    if name == "run":
        from humus.queue._run import run  # noqa: PLC0415

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
