"""How a log line looks: JSON for machines, text for people, in colours on a terminal."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from humus.telemetry._log_record import event_of, trace_fields

__all__ = ["JsonLines", "TextLines"]

_encode: Final = json.JSONEncoder(default=str, allow_nan=False).encode
_OWN_KEYS: Final = ("timestamp", "level", "logger", "message", "trace_id", "span_id", "exception", "stack")
_TOPIC, _PARTITION = "messaging.destination.name", "messaging.destination.partition.id"
_OFFSET, _GROUP = "messaging.kafka.offset", "messaging.consumer.group.name"

_DIM, _RESET = "\x1b[2m", "\x1b[0m"
_COLOURS: Final = (
    (logging.CRITICAL, "\x1b[1;31m"),
    (logging.ERROR, "\x1b[31m"),
    (logging.WARNING, "\x1b[33m"),
    (logging.INFO, "\x1b[32m"),
    (logging.NOTSET, "\x1b[36m"),
)


class JsonLines(logging.Formatter):
    """One JSON object a line: `timestamp`, `level`, `logger`, `message`, the fields, trace ids, `exception`, `stack`.

    A field of the caller's with one of these names is written as `extra.NAME`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Never raises for a value that is no JSON: its `str` is written."""
        event = event_of(record, self)
        line: dict[str, Any] = {
            "timestamp": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": event.message,
        }
        for name, value in event.fields.items():
            line[f"extra.{name}" if name in _OWN_KEYS else name] = value
        line |= trace_fields()
        line |= {key: text for key, text in (("exception", event.exception), ("stack", event.stack)) if text}
        try:
            return _encode(line)
        except (ValueError, TypeError):  # not a number, a key that is no text, a loop
            plain = {key: value if isinstance(value, (str, int)) else str(value) for key, value in line.items()}
            return json.dumps(plain)


class TextLines(logging.Formatter):
    """`time LEVEL logger: message  field=value ...`, then a traceback; `colour` for a terminal that shows it."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        event = event_of(record, self)
        level = f"{record.levelname:<8}"
        name, details = f"{record.name}:", " ".join(_details(event.message, event.fields | trace_fields()))
        if self._colour:
            colour = next(code for number, code in _COLOURS if record.levelno >= number)
            level, name = f"{colour}{level}{_RESET}", f"{_DIM}{name}{_RESET}"
            details = f"{_DIM}{details}{_RESET}" if details else ""
        line = f"{_time(record)} {level} {name} {event.message}"
        return "\n".join([f"{line}  {details}" if details else line, *filter(None, (event.exception, event.stack))])


def _details(message: str, fields: dict[str, Any]) -> list[str]:
    """Return the fields that a reader does not know yet; a record's place in one word, as messages write it."""
    rest = {name: value for name, value in fields.items() if str(value) not in message}
    rest.pop(_GROUP, None)  # the same in every line of most services
    if fields.keys() >= {_TOPIC, _PARTITION, _OFFSET}:
        place = f"{fields[_TOPIC]}[{fields[_PARTITION]}]@{fields[_OFFSET]}"
        for name in (_TOPIC, _PARTITION, _OFFSET):
            rest.pop(name, None)
        if place not in message:
            rest = {"record": place, **rest}
    return [f"{name}={value}" for name, value in rest.items()]


def _time(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
