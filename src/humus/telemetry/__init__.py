"""Telemetry: traces, metrics and logs, set up for a service and taken down with it.

Nothing is imported of OpenTelemetry until something is configured: an `otel:` section, the `OTEL_*` environment
variables, or the application's own providers. Whoever wants to record something asks `tracer_provider()` and
`meter_provider()`, and leaves it where they give `None`.

- `_providers.py`: which providers are there
- `_setup.py`: builds them out of a section or the environment; flushes and shuts them down
- `_environment.py`: which of the `OTEL_*` variables ask for what
- `_watch.py`: an exporter whose collector is away is one log line when that begins and one when it ends
- `_log_record.py`, `_log_format.py`, `_log_export.py`: a record of `logging` -> message and fields -> JSON, text, OTLP
"""

from humus.telemetry._providers import meter_provider, tracer_provider

__all__ = ["meter_provider", "tracer_provider"]
