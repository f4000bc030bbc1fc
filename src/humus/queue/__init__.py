"""The queue framework: processors, runtimes over them, the application and its configuration."""

from humus.config import Config, yaml_source
from humus.queue._app import App
from humus.queue._delivery import AtLeastOnceRuntime, AtMostOnceRuntime
from humus.queue._protocols import Acknowledger, Consumer, EndOfQueue, Processor, Runtime
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
