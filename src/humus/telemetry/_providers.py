"""Which providers are there, without importing OpenTelemetry to find out that there are none."""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["logger_provider", "meter_provider", "tracer_provider"]


def tracer_provider() -> "TracerProvider | None":
    """Return the global tracer provider; `None` where nobody has set one, or one that records nothing. Any thread.

    Ask when recording begins, not at import: an application may set its own in `init`.
    """
    provider = _global("opentelemetry.trace", "OTEL_PYTHON_TRACER_PROVIDER", "get_tracer_provider")
    return None if _records_nothing(provider, "get_tracer") else provider


def meter_provider() -> "MeterProvider | None":
    """Return the global meter provider; `None` where nobody has set one, or one that records nothing. Any thread."""
    provider = _global("opentelemetry.metrics", "OTEL_PYTHON_METER_PROVIDER", "get_meter_provider")
    return None if _records_nothing(provider, "get_meter") else provider


def logger_provider() -> Any:
    """Return the global logger provider; `None` where nobody has set one. Any thread."""
    provider = _global("opentelemetry._logs", "OTEL_PYTHON_LOGGER_PROVIDER", "get_logger_provider")
    return None if _records_nothing(provider, "get_logger") else provider


def _global(module: str, variable: str, getter: str) -> Any:
    """Return what the API gives, if anybody can have set it: with a call, or with the API's own variable."""
    if module not in sys.modules:
        if not os.environ.get(variable):
            return None
        __import__(module)
    return getattr(sys.modules[module], getter)()


def _records_nothing(provider: Any, get: str) -> bool:
    """Tell a provider that is there from the API's own: a proxy for who comes later, or one that does nothing."""
    if provider is None:
        return True
    kind = type(provider).__name__
    if kind.strip("_").startswith(("Proxy", "NoOp")) and type(provider).__module__.startswith("opentelemetry."):
        return True
    return type(getattr(provider, get)("humus")).__name__.startswith("NoOp")  # OTEL_SDK_DISABLED
