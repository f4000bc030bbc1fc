"""What `run` does to `logging`: lines on stderr and levels as the `log:` section says, undone at the end."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humus.errors import AuthenticationFailed, HumusError, ProcessingFailed
from humus.telemetry._log_format import JsonLines, TextLines

if TYPE_CHECKING:
    from humus.config import LogSettings

__all__ = ["logging_to_stderr", "traceback_of"]


def traceback_of(error: BaseException) -> BaseException | None:
    """Return what to log as `exc_info` of an error that ends a runtime: nothing where its text says it all.

    Never the cause of a `ProcessingFailed` or an `AuthenticationFailed`: it is the user's own exception, whose text may
    repeat the record, or a token. What may be said of it is in our error's text.
    """
    of_the_user = isinstance(error, ProcessingFailed | AuthenticationFailed)
    says_it_all = of_the_user or (isinstance(error, HumusError) and error.__cause__ is None)
    return None if says_it_all else error


@contextmanager
def logging_to_stderr(settings: "LogSettings") -> Iterator[None]:
    """Log as the settings say for as long as the block runs.

    An application that has given the root logger handlers of its own keeps them, and gets no other. One of
    OpenTelemetry's does not count: it exports, and shows nothing.
    """
    root = logging.getLogger()
    handler = None if any(map(_shows, root.handlers)) else _handler(settings.format)
    levels = {"": settings.level, **settings.levels}
    before = {name: logging.getLogger(name or None).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level.upper())
    if handler is not None:
        root.addHandler(handler)
    try:
        yield
    finally:
        if handler is not None:
            root.removeHandler(handler)
            handler.close()
        for name, number in before.items():
            logging.getLogger(name or None).setLevel(number)


def _shows(handler: logging.Handler) -> bool:
    return not type(handler).__module__.startswith("opentelemetry.")


def _handler(form: str) -> logging.Handler:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    handler = logging.StreamHandler()
    if form == "json" or (form == "auto" and not terminal):
        handler.setFormatter(JsonLines())
    else:
        # https://no-color.org, and terminals that say that they cannot.
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        handler.setFormatter(TextLines(colour=terminal and not plain))
    return handler
