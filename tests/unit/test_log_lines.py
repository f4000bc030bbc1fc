"""How log lines look: the same fields whoever logs, JSON for machines and text for people."""

import asyncio
import json
import logging
import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from humus.queue.kafka._delivery_context import worker_var
from humus.queue.kafka._message import Message
from humus.telemetry._log_format import JsonLines, TextLines
from humus.testing import message

RECORD = {
    "messaging.destination.name": "orders",
    "messaging.destination.partition.id": "3",
    "messaging.kafka.offset": 42,
    "messaging.consumer.group.name": "shop",
}
SPAN = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=False, trace_flags=TraceFlags(1))


class Worker:
    """What handles a record."""

    attempt = 1
    group_id = "shop"
    stopping = False
    deadline = None

    def __init__(self, handled: Message | None) -> None:
        self.message = handled


class Lines:
    """A logger `mine`, and what it writes."""

    def __init__(self) -> None:
        self._stream = StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(JsonLines())
        self.log = logging.getLogger("mine")

    def text(self) -> str:
        """Return what was written."""
        return self._stream.getvalue()

    def one(self) -> dict[str, Any]:
        """Return the one line, without its time."""
        (line,) = self.text().splitlines()
        found: dict[str, Any] = json.loads(line)
        assert len(found.pop("timestamp")) == len("2026-01-01T00:00:00.000Z")
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Give a logger that writes JSON lines and nothing else."""
    lines = Lines()
    lines.log.addHandler(lines.handler)
    lines.log.propagate = False
    lines.log.setLevel(logging.DEBUG)
    yield lines
    lines.log.removeHandler(lines.handler)
    lines.log.propagate = True
    lines.log.setLevel(logging.NOTSET)


@pytest.fixture
def handling() -> Iterator[None]:
    """Be inside a processor that handles `orders[3]@42`."""
    handled = message("payload-secret", key="key-secret", topic="orders", partition=3, offset=42)
    token = worker_var.set(Worker(handled))
    yield
    worker_var.reset(token)


def test_json_of_a_plain_call(lines: Lines) -> None:
    """A call of `logging` is one object with level, logger, message and the caller's fields."""
    lines.log.warning("booked %d\n%s", 7, "é", extra={"currency": "EUR", "amount": 9.5})
    assert lines.one() == {
        "level": "warning",
        "logger": "mine",
        "message": "booked 7\né",
        "currency": "EUR",
        "amount": 9.5,
    }


@pytest.mark.usefixtures("handling")
def test_fields_inside_a_processor(lines: Lines) -> None:
    """A line logged inside a processor says which record is handled and in which trace; never its key or value."""
    with use_span(NonRecordingSpan(SPAN)):
        lines.log.info("booked")
    assert "secret" not in lines.text()
    assert lines.one() == {
        "level": "info",
        "logger": "mine",
        "message": "booked",
        **RECORD,
        "trace_id": f"{0xABC:032x}",
        "span_id": f"{0xDEF:016x}",
    }


@pytest.mark.usefixtures("handling")
def test_fields_follow_the_context(lines: Lines) -> None:
    """Tasks and threads that a processor starts log its record too."""

    async def run() -> None:
        await asyncio.gather(asyncio.to_thread(lines.log.info, "thread"), asyncio.create_task(say()))

    async def say() -> None:
        lines.log.info("task")

    asyncio.run(run())
    found = [json.loads(line) for line in lines.text().splitlines()]
    assert sorted(line["message"] for line in found) == ["task", "thread"]
    assert all(RECORD.items() <= line.items() for line in found)


@pytest.mark.usefixtures("handling")
def test_a_field_of_the_caller_wins(lines: Lines) -> None:
    """What the call says itself is not overwritten by what surrounds it."""
    lines.log.info("booked", extra={"messaging.kafka.offset": 41})
    assert lines.one()["messaging.kafka.offset"] == 41


def test_a_field_never_hides_what_every_line_has(lines: Lines) -> None:
    """A field called like one of the line's own keys gets a name of its own."""
    lines.log.info("booked", extra={"level": "gold", "logger": 1})
    found = lines.one()
    assert (found["level"], found["logger"]) == ("info", "mine")
    assert (found["extra.level"], found["extra.logger"]) == ("gold", 1)


@pytest.mark.parametrize("value", [float("nan"), {1: {2}}, {(1, 2): 3}, b"\xff", "\ud800", object, Path("/x")])
def test_any_value_makes_a_line(lines: Lines, value: object) -> None:
    """Whatever is given as a field, there is one line, and it is JSON."""
    lines.log.info("odd", extra={"value": value})
    found = lines.one()
    assert found["message"] == "odd"
    json.dumps(found, allow_nan=False)


def raised() -> ValueError:
    """Return an exception that was raised."""
    try:
        int("no such order")
    except ValueError as error:
        return error
    raise AssertionError


def test_exceptions(lines: Lines) -> None:
    """A traceback is one field of the line, and not lines of its own."""
    lines.log.error("failed", exc_info=raised(), stack_info=True)
    found = lines.one()
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert found["exception"].endswith("int() with base 10: 'no such order'")
    assert found["stack"].startswith("Stack (most recent call last):\n")


def wrapped() -> list[Any]:
    """Return the processors that the README recommends."""
    return [
        structlog.stdlib.filter_by_level,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ]


def as_extra() -> list[Any]:
    """Return the other way that structlog has."""
    return [
        structlog.stdlib.filter_by_level,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.render_to_log_kwargs,
    ]


@pytest.mark.usefixtures("handling")
@pytest.mark.parametrize("processors", [wrapped, as_extra])
def test_structlog_comes_out_the_same(lines: Lines, processors: Callable[[], list[Any]]) -> None:
    """A call of structlog and one of `logging` that say the same are the same line."""
    structlog.configure(
        processors=processors(),
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    try:
        with structlog.contextvars.bound_contextvars(tenant="t1"):
            structlog.stdlib.get_logger("mine").info("booked", currency="EUR")
    finally:
        structlog.reset_defaults()
    assert lines.one() == {
        "level": "info",
        "logger": "mine",
        "message": "booked",
        "currency": "EUR",
        "tenant": "t1",
        **RECORD,
    }


@pytest.mark.parametrize("given", [True, "the exception"])
@pytest.mark.parametrize("processors", [wrapped, as_extra])
def test_structlog_with_an_exception(lines: Lines, processors: Callable[[], list[Any]], given: object) -> None:
    """An exception that structlog is given brings its traceback; what repeats the record does not come twice."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.TimeStamper(), *processors()]
        if processors is wrapped
        else processors(),
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    try:
        try:
            int("no such order")
        except ValueError:
            structlog.stdlib.get_logger("mine").error("failed", exc_info=given if given is True else raised())
    finally:
        structlog.reset_defaults()
    found = lines.one()
    assert found.pop("exception").endswith("int() with base 10: 'no such order'")
    assert found == {"level": "error", "logger": "mine", "message": "failed"}


def text_of(*, colour: bool, **fields: object) -> str:
    """Return a line for people, without its time."""
    record = logging.makeLogRecord({"name": "mine", "levelno": 30, "levelname": "WARNING", "msg": "booked 7", **fields})
    return TextLines(colour=colour).format(record).partition("Z ")[2]


@pytest.mark.usefixtures("handling")
def test_text() -> None:
    """A line for people has the record in one word, and no field that the message says already."""
    assert text_of(colour=False, currency="EUR") == "WARNING  mine: booked 7  record=orders[3]@42 currency=EUR"
    assert text_of(colour=False, msg="orders[3]@42: failed") == "WARNING  mine: orders[3]@42: failed"
    assert text_of(colour=True) == (
        "\x1b[33mWARNING \x1b[0m \x1b[2mmine:\x1b[0m booked 7  \x1b[2mrecord=orders[3]@42\x1b[0m"
    )


APP = """
    import asyncio, logging
    from humus import queue

    class Ending:
        async def process_queue(self):
            logging.getLogger("mine").warning("careful")

    def init():
        return queue.App(Ending())

    queue.run(queue.yaml_source("config.yaml"), init)
"""


def on_a_terminal(folder: Path, environment: dict[str, str]) -> str:
    """Run the application with stderr on a terminal of its own; return what it shows there."""
    (folder / "app.py").write_text(textwrap.dedent(APP), encoding="utf-8")
    (folder / "config.yaml").write_text("", encoding="utf-8")
    ours, theirs = pty.openpty()
    try:
        inherited = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
        subprocess.run(
            [sys.executable, "app.py"], cwd=folder, stderr=theirs, check=True, env=inherited | environment, timeout=60
        )
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    """On a terminal `auto` is readable and coloured, and plain where the environment asks for that."""
    assert "\x1b[33mWARNING \x1b[0m \x1b[2mmine:\x1b[0m careful\r\n" in on_a_terminal(tmp_path, {"TERM": "xterm"})
    assert on_a_terminal(tmp_path, {"TERM": "xterm", "NO_COLOR": "1"}).endswith("Z WARNING  mine: careful\r\n")
