"""A service in a process of its own, as a user would write and start it: app.py, config.yaml, environment variables."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.kafka import processes
from tests.kafka.admin import eventually

__all__ = ["Service"]

_WITHIN: Final = 40.0
_OTHERS: Final = re.compile(r"HUMUS|KAFKA|OTEL", re.IGNORECASE)


class Service:
    """Writes app.py and config.yaml to a folder and runs them there; a context manager, at whose end it is killed.

    Several may share a folder, and with it the files.
    """

    def __init__(self, folder: Path, app: str, config: str, environment: Mapping[str, str] | None = None) -> None:
        (folder / "app.py").write_text(textwrap.dedent(app), encoding="utf-8")
        (folder / "config.yaml").write_text(textwrap.dedent(config), encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if not _OTHERS.match(name)}
        command = [sys.executable, str(folder / "app.py")]
        self._log = folder / f"output-{len(list(folder.iterdir()))}.log"
        with self._log.open("wb") as output:
            self._process: subprocess.Popen[bytes] = processes.start(
                command, output=output, environment={**inherited, **(environment or {})}
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file with what it writes, to either of its outputs."""
        return self._log

    def output(self) -> str:
        """Return what it has written so far, to either of its outputs."""
        return self._log.read_text("utf-8", "replace")

    def assert_runs(self) -> None:
        """Fail, with its output, if it has ended."""
        assert self._process.poll() is None, self.output()

    def wait_for(self, text: str) -> None:
        """Wait until it has written this text; fails when it ends before."""
        eventually(lambda: text in self.output() or self._process.poll() is not None, within=_WITHIN)
        assert text in self.output(), self.output()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        processes.end(self._process)

    def freeze(self) -> None:
        """Halt it where it stands (SIGSTOP): its connections stay open, nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def exit_code(self) -> int:
        """Wait for the end, and return the exit code."""
        return self._process.wait(_WITHIN)
