"""The exit codes of every command: this is the one place that says what they mean."""

from enum import IntEnum
from typing import Final

__all__ = ["EXIT_CODES", "ExitCode"]


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    ERROR = 1
    USAGE = 2
    INTERRUPTED = 130


EXIT_CODES: Final = {
    ExitCode.OK: "done as asked",
    ExitCode.ERROR: "an error: something is away, refused, or not there",
    ExitCode.USAGE: "wrong arguments, or a fault in the configuration; nothing was done",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}
