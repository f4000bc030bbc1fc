"""Records of `logging` as OpenTelemetry's log records."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from humus.telemetry._log_export import LogExport


class Exported:
    """A logger, and what was exported of it."""

    def __init__(self) -> None:
        self._exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        self.handler = LogExport(provider)
        self.log = logging.getLogger("mine")

    def one(self) -> ReadableLogRecord:
        """Return the one record."""
        (record,) = self._exporter.get_finished_logs()
        return record


@pytest.fixture
def exported() -> Iterator[Exported]:
    """Give a logger whose lines are exported."""
    exported = Exported()
    exported.log.addHandler(exported.handler)
    yield exported
    exported.log.removeHandler(exported.handler)


def test_a_record(exported: Exported) -> None:
    """Message, level, logger and fields arrive; values that OTLP does not know as text."""
    exported.log.warning("booked %d", 7, extra={"currency": "EUR", "amounts": [1, 2], "odd": {1}, "none": None})
    found = exported.one()
    assert found.log_record.body == "booked 7"
    assert found.log_record.severity_number is SeverityNumber.WARN
    assert found.log_record.severity_text == "WARN"
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == "mine"
    assert dict(found.log_record.attributes or {}) == {"currency": "EUR", "amounts": (1, 2), "odd": "{1}"}


def test_an_exception(exported: Exported) -> None:
    """An exception is the three attributes of the semantic conventions."""
    exported.log.error("failed", exc_info=ValueError("no such order"))
    attributes = dict(exported.one().log_record.attributes or {})
    assert attributes.pop("exception.stacktrace") == "ValueError: no such order"
    assert attributes == {"exception.type": "ValueError", "exception.message": "no such order"}


def test_an_export_does_not_export_what_it_logs(exported: Exported) -> None:
    """What an exporter logs while it exports stays here: it would be exported without end."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    exported.log.error("from within an export")
    detach(token)
    exported.log.error("from outside")
    assert exported.one().log_record.body == "from outside"


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (5, SeverityNumber.TRACE),
        (logging.DEBUG, SeverityNumber.DEBUG),
        (25, SeverityNumber.INFO),
        (logging.ERROR, SeverityNumber.ERROR),
        (60, SeverityNumber.FATAL),
    ],
)
def test_levels(exported: Exported, level: int, number: SeverityNumber) -> None:
    """Levels between the known ones count as the one below."""
    exported.log.setLevel(1)
    exported.log.log(level, "line")
    exported.log.setLevel(logging.NOTSET)
    assert exported.one().log_record.severity_number is number
