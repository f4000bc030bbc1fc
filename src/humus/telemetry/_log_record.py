"""A record of `logging` -> its message and its fields, the same for whoever writes it: JSON, text, OTLP.

Fields are what the caller gave as `extra` (structlog's event dictionary comes to the same), then which record of Kafka
is being handled where it was logged. Nothing here looks at a record's key, value or headers.
"""

import logging
import sys
from typing import Any, Final, NamedTuple

__all__ = ["Event", "event_of", "trace_fields"]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SAID_BY_LOGGING: Final = frozenset({"level", "logger", "timestamp", "exc_info", "stack_info", "exception", "stack"})
"""What structlog's processors may have put into the event dictionary, and the record has itself."""


class Event(NamedTuple):
    """What a log record says. `exception` and `stack` are formatted, empty where there is none."""

    message: str
    fields: dict[str, Any]
    exception: str
    stack: str


def event_of(record: logging.LogRecord, formatter: logging.Formatter) -> Event:
    """Take a log record apart; call it where it was logged. The formatter is what writes a traceback."""
    said: Any = record.msg
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD and name[:1] != "_"}
    exc_info, stack, exception = _exc_info(record.exc_info), record.stack_info, record.exc_text or ""
    if isinstance(said, dict) and "event" in said:  # structlog's ProcessorFormatter.wrap_for_formatter
        message = str(said["event"])
        fields |= {str(name): value for name, value in said.items() if name not in {"event", *_SAID_BY_LOGGING}}
        exc_info = exc_info or _exc_info(said.get("exc_info"))
        exception, stack = exception or said.get("exception", ""), stack or said.get("stack")
    else:
        message = record.getMessage()
    if not exception and exc_info:
        exception = formatter.formatException(exc_info)
    for name, value in _handled_fields().items():
        fields.setdefault(name, value)
    return Event(message, fields, str(exception), str(stack or ""))


def trace_fields() -> dict[str, str]:
    """Return the ids of the current span, if there is one."""
    trace = sys.modules.get("opentelemetry.trace")  # not imported: there is none
    if trace is None:
        return {}
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span.is_valid else {}


def _handled_fields() -> dict[str, object]:
    kafka = sys.modules.get("humus.queue.kafka._delivery_context")  # not imported: no record of Kafka is being handled
    return {} if kafka is None else kafka.handled_fields()


def _exc_info(given: Any) -> Any:
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if given is True:  # structlog's; `logging` has looked it up itself
        given = sys.exc_info()
    return given if isinstance(given, tuple) and given[0] is not None else None
