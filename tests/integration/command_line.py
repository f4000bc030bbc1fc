"""Runs commands of the command line: inside the test, or as a process to be killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner, Result

from humus.cli._app import make_app
from tests.kafka import processes

__all__ = ["fails", "humus", "humus_json", "start_humus"]

_WIDE: Final = {"TERMINAL_WIDTH": "200", "NO_COLOR": "1", "COLUMNS": "200"}


def humus(*arguments: object) -> Result:
    """Run a command; how it ended and what it printed is in the result."""
    done = CliRunner().invoke(make_app(), [str(argument) for argument in arguments], env=_WIDE)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def humus_json(*arguments: object) -> Any:
    """Run a command that must succeed, and return its JSON."""
    done = humus(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def fails(code: int, *arguments: object) -> str:
    """Run a command that must end with this exit code, and return what it says to the user."""
    done = humus(*arguments)
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done.stderr


def start_humus(log: Path, *arguments: object) -> "subprocess.Popen[bytes]":
    """Start a command as a process that writes to a file; it dies with this one."""
    command = [sys.executable, "-m", "humus.cli", *(str(argument) for argument in arguments)]
    with log.open("wb") as output:
        return processes.start(command, output=output, environment={**os.environ, **_WIDE})
