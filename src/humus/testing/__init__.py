"""For tests of services: a broker in the process, messages from nothing, a processor or a whole service to be run.

Each name brings what it needs when it is first asked for: pytest loads the plugin beside this (`pytest_plugin`) in
every environment that humus is installed in, and is not to be slower for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from humus.testing._broker import KafkaBroker, kafka_broker
    from humus.testing._deliver import Outcome, deliver
    from humus.testing._message import message
    from humus.testing._run_app import RunApp, run_app

__all__ = ["KafkaBroker", "Outcome", "RunApp", "deliver", "kafka_broker", "message", "run_app"]

_MODULES: Final = {
    "KafkaBroker": "_broker",
    "kafka_broker": "_broker",
    "Outcome": "_deliver",
    "deliver": "_deliver",
    "message": "_message",
    "RunApp": "_run_app",
    "run_app": "_run_app",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
