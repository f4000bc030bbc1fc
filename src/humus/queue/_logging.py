"""What `run` does to `logging`: readable lines on stderr, levels from the `log:` section, undone at the end."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humus.errors import HumusError, ProcessingFailed

if TYPE_CHECKING:
    from humus.config import LogSettings

__all__ = ["logging_to_stderr", "traceback_of"]


def traceback_of(error: BaseException) -> BaseException | None:
    """Return what to log as `exc_info` of an error that ends a runtime: nothing where its text says it all.

    Never the cause of a `ProcessingFailed`: it is the processor's own exception, whose text may repeat the record. What
    may be said of it is in our error's text, and its stack was logged when it was raised.
    """
    says_it_all = isinstance(error, ProcessingFailed) or (isinstance(error, HumusError) and error.__cause__ is None)
    return None if says_it_all else error


@contextmanager
def logging_to_stderr(settings: "LogSettings") -> Iterator[None]:
    """Log as the settings say for as long as the block runs.

    An application that has given the root logger handlers of its own keeps them, and gets no other.
    """
    root = logging.getLogger()
    handler = None if root.handlers else _handler()
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


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s %(levelname)-8s %(name)s: %(message)s")
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    return handler
