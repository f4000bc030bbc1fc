"""Records of `logging` to OpenTelemetry's logger provider. Imports the API: only where a provider is set up."""

import logging
import time
from typing import Any

from opentelemetry import context
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from humus.telemetry._log_record import event_of

__all__ = ["LogExport"]

_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
    (logging.DEBUG, SeverityNumber.DEBUG, "DEBUG"),
    (logging.NOTSET, SeverityNumber.TRACE, "TRACE"),
)


class LogExport(logging.Handler):
    """Hands each record over, with its fields as attributes; the SDK adds the current span. Any thread."""

    def __init__(self, provider: Any) -> None:
        super().__init__()
        self._provider = provider
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a record, but for those of an export in progress: they would be exported without end."""
        if context.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        try:
            self._provider.get_logger(record.name).emit(self._translated(record))
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)

    def _translated(self, record: logging.LogRecord) -> LogRecord:
        event = event_of(record, self._formatter)
        attributes = {name: _attribute(value) for name, value in event.fields.items() if value is not None}
        if record.exc_info and record.exc_info[0] is not None:
            attributes["exception.type"] = record.exc_info[0].__qualname__
            attributes["exception.message"] = str(record.exc_info[1])
        if event.exception:
            attributes["exception.stacktrace"] = event.exception
        number, text = next((number, text) for level, number, text in _SEVERITIES if record.levelno >= level)
        return LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=time.time_ns(),
            context=context.get_current(),
            severity_number=number,
            severity_text=text,
            body=event.message,
            attributes=attributes,
        )


def _attribute(value: Any) -> Any:
    """Return what OpenTelemetry takes as an attribute's value."""
    if isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [one if isinstance(one, (str, bool, int, float)) else str(one) for one in value]
    return str(value)
