"""Telemetry of a service: built out of the `otel:` section, else of the environment; flushed and shut down at its end.

Providers that the application set before stay, and stay its own: they are not shut down here.
"""

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from humus.errors import ConfigError
from humus.telemetry import _environment
from humus.telemetry._providers import logger_provider, meter_provider, tracer_provider
from humus.telemetry._watch import exporters_of, watched

__all__ = ["FLUSH_SECONDS", "Telemetry", "telemetry"]

FLUSH_SECONDS: Final = 4.0
"""How long the last batches may take to reach the collector."""

_log = logging.getLogger("humus.telemetry")

_PROVIDERS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {"traces": tracer_provider, "metrics": meter_provider, "logs": logger_provider}
)
_SECTIONS: Final = {"traces": "tracer_provider", "metrics": "meter_provider", "logs": "logger_provider"}


@contextlib.contextmanager
def telemetry(section: Mapping[str, Any] | None, environ: Mapping[str, str] | None = None) -> Iterator["Telemetry"]:
    """Set up what is configured, for as long as the block runs.

    Args:
        section: the `otel:` section, validated; `None` where there is none: the environment's variables apply.
        environ: the environment; `None` is the process's own.

    Raises:
        ConfigError: it cannot be set up.
    """
    environ = os.environ if environ is None else environ
    theirs = {signal: provider for signal, get in _PROVIDERS.items() if (provider := get()) is not None}
    if section is not None:
        _from_section(section, theirs)
    elif (path := _environment.config_file(environ)) is not None:
        _from_file(path, theirs)
    elif wanted := _environment.exporters(environ):
        _from_environment({signal: names for signal, names in wanted.items() if signal not in theirs})
    ours = {
        signal: provider
        for signal, get in _PROVIDERS.items()
        if signal not in theirs and (provider := get()) is not None
    }
    running = Telemetry(ours)
    try:
        yield running
    finally:
        running.shut_down()


class Telemetry:
    """The providers that were set up here, by signal."""

    def __init__(self, providers: Mapping[str, Any]) -> None:
        self._providers = dict(providers)
        self._lock = threading.Lock()
        self._handler: logging.Handler | None = None
        self._speak_again: Callable[[], None] | None = None
        if not providers:
            return
        for provider in providers.values():
            atexit.unregister(provider.shutdown)  # it has no bound there, and comes after us
        self._speak_again = watched(_exporters(providers))
        if "logs" in providers:
            from humus.telemetry._log_export import LogExport  # noqa: PLC0415 - OpenTelemetry's API

            self._handler = LogExport(providers["logs"])
            logging.getLogger().addHandler(self._handler)

    @property
    def meters(self) -> Any:
        """The meter provider that was set up here; `None` where there is none, or the application's own."""
        return self._providers.get("metrics")

    def shut_down(self) -> None:
        """Flush and shut down, within `FLUSH_SECONDS`; the second call does nothing. Any thread."""
        with self._lock:
            providers, self._providers = self._providers, {}
        if not providers:
            return
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
        threads = {
            signal: threading.Thread(target=_shut_down, args=(signal, provider), name=f"humus {signal}", daemon=True)
            for signal, provider in providers.items()
        }
        for thread in threads.values():
            thread.start()
        end = time.monotonic() + FLUSH_SECONDS
        for thread in threads.values():
            thread.join(max(0.0, end - time.monotonic()))
        late = [signal for signal, thread in threads.items() if thread.is_alive()]
        if late:
            _log.warning("the last %s did not reach their collector within %g s: lost", ", ".join(late), FLUSH_SECONDS)
        elif self._speak_again is not None:  # who is late would only tell what was just told
            self._speak_again()


def _shut_down(signal: str, provider: Any) -> None:
    try:
        provider.shutdown()
    except Exception as error:  # noqa: BLE001 - an exporter of anybody's, on a thread of its own
        _log.warning("%s: the shutdown failed: %s", signal, type(error).__name__)


def _exporters(providers: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield signal, exporter, and what it returns for a failure."""
    # Providers are there, so the SDK is.
    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415

    kinds: dict[str, tuple[type, Any]] = {
        "traces": (SpanExporter, SpanExportResult.FAILURE),
        "metrics": (MetricExporter, MetricExportResult.FAILURE),
        "logs": (LogRecordExporter, LogRecordExportResult.FAILURE),
    }
    for signal, provider in providers.items():
        kind, failure = kinds[signal]
        for exporter in exporters_of(provider, kind):
            yield signal, exporter, failure


def _from_section(section: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Hand the section to the SDK. It was validated when the configuration was loaded."""
    try:
        from opentelemetry.configuration import ConfigurationError, OpenTelemetryConfiguration  # noqa: PLC0415
        from opentelemetry.configuration._conversion import _dict_to_dataclass  # noqa: PLC0415 - its version is pinned
    except ImportError as error:
        raise ConfigError(f"otel: needs pip install 'humus-queue[otel-config]': {error}") from error
    try:
        _configure(_dict_to_dataclass(section, OpenTelemetryConfiguration), "otel", theirs)
    except (ConfigurationError, TypeError, ValueError, OSError) as error:
        raise ConfigError(f"otel: {error}") from error


def _from_file(path: str, theirs: Mapping[str, Any]) -> None:
    try:
        from opentelemetry.configuration import ConfigurationError, load_config_file  # noqa: PLC0415
    except ImportError:
        _log.warning("OTEL_CONFIG_FILE is set, but not its package: pip install 'humus-queue[otel-config]'")
        return
    loader = logging.getLogger("opentelemetry.configuration.file._loader")
    loader.addFilter(_is_no_error)
    try:
        _configure(load_config_file(path), "OTEL_CONFIG_FILE", theirs)
    except (ConfigurationError, TypeError, ValueError, OSError) as error:
        raise ConfigError(f"OTEL_CONFIG_FILE: {path}: {_without_values(str(error))}") from error
    finally:
        loader.removeFilter(_is_no_error)


def _configure(configuration: Any, source: str, theirs: Mapping[str, Any]) -> None:
    from opentelemetry.configuration import configure_sdk  # noqa: PLC0415

    if configuration.tracer_provider is not None and configuration.propagator is None:
        _log.warning(
            "%s: there is no propagator, so traces do not go on from a record's producer: "
            "add propagator: {composite: [{tracecontext: {}}, {baggage: {}}]}",
            source,
        )
    for signal in theirs:
        if getattr(configuration, _SECTIONS[signal]) is not None:
            setattr(configuration, _SECTIONS[signal], None)
            _log.warning("%s: %s is not used: the application has set its own", source, _SECTIONS[signal])
    configure_sdk(configuration)


def _from_environment(wanted: Mapping[str, list[str]]) -> None:
    """Set up a provider for each signal; all that is not an exporter's name, the SDK reads itself."""
    if not wanted:
        return
    try:
        from humus.telemetry import _sdk  # noqa: PLC0415 - imports the SDK
    except ImportError:
        # No error: platforms set these variables for every process, whether it knows of them or not.
        _log.warning("OTEL_* variables are set, but the SDK is not there: pip install 'humus-queue[otel]'")
        return
    _sdk.set_up({signal: [_exporter(signal, name) for name in names] for signal, names in wanted.items()})


def _exporter(signal: str, name: str) -> Any:
    """Return a new exporter by the name of its entry point."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    group, variable = _environment.entry_point_group(signal), _environment.variable(signal)
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        known = ", ".join(sorted({"otlp", "none", *(point.name for point in entry_points(group=group))}))
        raise ConfigError(f"{variable}: no exporter is called {name}; there are: {known}")
    try:
        return found.load()()
    except Exception as error:
        raise ConfigError(f"{variable}: {name} cannot be set up: {type(error).__name__}: {error}") from error


def _is_no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR  # what the loader logs as an error, it raises as well


def _without_values(message: str) -> str:
    """Return where a file does not fit the schema, without what is there: the message quotes it."""
    head, found, _ = message.partition("does not match schema: ")
    at = message.rpartition(" (at ")[2] if found and message.endswith(")") else ""
    return f"{head}does not match the schema" + (f" (at {at}" if at else "") if found else message
