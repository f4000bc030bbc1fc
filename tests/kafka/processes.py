"""Child processes and folders that never outlive the test run."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

__all__ = ["end", "make_folder", "remove_folder", "start"]

_WATCHDOG = Path(__file__).with_name("_watchdog.py")


def start(
    command: Sequence[str], *, output: IO[bytes] | int, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process in a group of its own, with no input and `output` as both its outputs."""
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    _tell("add process", process.pid)
    return process


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and its group, stopped or not, and wait until it is gone."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _tell("drop process", process.pid)


def make_folder(prefix: str) -> Path:
    """Make a folder for one broker's or test's files, in the system's folder for such."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    _tell("add folder", folder)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder of `make_folder` with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _tell("drop folder", folder)


def _tell(what: str, value: object) -> None:
    pipe = _watchdog().stdin
    assert pipe is not None
    pipe.write(f"{what} {value}\n".encode())
    pipe.flush()


@cache
def _watchdog() -> "subprocess.Popen[bytes]":
    # A session of its own, so that Ctrl-C in the terminal reaches the test run and not this.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_WATCHDOG)], stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    atexit.register(process.wait)
    atexit.register(process.stdin.close)
    return process
