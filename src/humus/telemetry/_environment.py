"""Which of OpenTelemetry's environment variables ask for exporters, and for which.

A signal is exported where `OTEL_{TRACES,METRICS,LOGS}_EXPORTER` says how, or where an OTLP endpoint is set: `otlp` is
the standard's default then. Names of a service, samplers, limits and the like ask for nothing by themselves. They are
read by the SDK, once there is one.
"""

from collections.abc import Mapping
from typing import Final

from humus.errors import ConfigError

__all__ = ["SIGNALS", "config_file", "disabled", "entry_point_group", "exporters", "variable"]

SIGNALS: Final = ("traces", "metrics", "logs")
_PROTOCOLS: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_DEFAULT_PROTOCOL: Final = "grpc"  # of the SDK for Python


def disabled(environ: Mapping[str, str]) -> bool:
    """Tell whether the variables turn the SDK off."""
    return _value(environ, "OTEL_SDK_DISABLED").lower() == "true"


def config_file(environ: Mapping[str, str]) -> str | None:
    """Return the file with a declarative configuration that the variables name."""
    return None if disabled(environ) else _value(environ, "OTEL_CONFIG_FILE") or None


def exporters(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the exporters by signal, as their entry points are called; only signals that have any.

    Raises:
        ConfigError: a protocol that nobody speaks.
    """
    if disabled(environ):
        return {}
    found = {signal: _names(environ, signal) for signal in SIGNALS}
    return {signal: names for signal, names in found.items() if names}


def entry_point_group(signal: str) -> str:
    """Return where the exporters of a signal are registered."""
    return f"opentelemetry_{signal}_exporter"


def variable(signal: str) -> str:
    """Return the variable that names the exporters of a signal."""
    return f"OTEL_{signal.upper()}_EXPORTER"


def _names(environ: Mapping[str, str], signal: str) -> list[str]:
    given = _value(environ, variable(signal))
    if not given and _either(environ, signal, "ENDPOINT"):
        given = "otlp"
    names = [name.strip() for name in given.split(",") if name.strip()]
    return [_otlp(environ, signal) if name == "otlp" else name for name in names if name.lower() != "none"]


def _otlp(environ: Mapping[str, str], signal: str) -> str:
    protocol = _either(environ, signal, "PROTOCOL") or _DEFAULT_PROTOCOL
    if protocol not in _PROTOCOLS:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL: must be {' or '.join(_PROTOCOLS)}")
    return _PROTOCOLS[protocol]


def _either(environ: Mapping[str, str], signal: str, what: str) -> str:
    """Return a variable of OTLP's: the signal's own, else the one for all."""
    own = _value(environ, f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}")
    return own or _value(environ, f"OTEL_EXPORTER_OTLP_{what}")


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()  # set and empty is as good as not set, says the standard
