"""The members of the group: processes that the conductor starts, watches and stops."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flights_check import Report, Span

__all__ = ["Member", "MemberFailed", "Testimony"]

_STOP_SECONDS = 30.0
_LAST_LINES = 15


class MemberFailed(Exception):  # noqa: N818 - reads as what happened
    """A member's process ended in another way than it should have."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """What a member said last: what its witness saw, and behind that what its runtime says of itself."""

    processed: int = 0
    rejected: int = 0
    spans: Mapping[int, list[Span]] = field(default_factory=dict)
    partitions: frozenset[int] = frozenset()
    rebalances: int = 0
    runtime_handled: int = 0
    runtime_dead_lettered: int = 0

    @property
    def handled(self) -> int:
        """Records that reached their end."""
        return self.processed + self.rejected


class Member:
    """One process of the group. `testimony` is replaced by a thread that reads what the process prints.

    `stopped` is true once the process was asked to stop.
    """

    def __init__(self, name: str, program: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.stopped = False
        self.testimony = Testimony()
        self._report = folder / f"{name}.json"
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, a program of this folder
                [sys.executable, str(program)],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment, "FLIGHTS_REPORT": str(self._report)},
            )
        self._reader = threading.Thread(target=self._read, name=f"read-{name}", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise `MemberFailed` if the process ended by itself."""
        if not self.running:
            raise MemberFailed(f"{self.name} ended with exit code {self._process.returncode}{self._last_words()}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM: the member drains, commits and leaves the group."""
        self.stopped = True
        self._process.send_signal(signal.SIGTERM)

    def report(self) -> Report:
        """Return what the service wrote, once the process has ended.

        Raises:
            MemberFailed: it does not end within 30 s, its exit code is not 0, or there is no report.
        """
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise MemberFailed(f"{self.name} did not stop within {_STOP_SECONDS:.0f} s{self._last_words()}") from error
        self._reader.join(_STOP_SECONDS)
        if code != 0:
            raise MemberFailed(f"{self.name} was asked to stop and ended with exit code {code}{self._last_words()}")
        try:
            report: Report = json.loads(self._report.read_bytes())
        except (OSError, ValueError) as error:
            raise MemberFailed(f"{self.name} left no report: {error}{self._last_words()}") from error
        return report

    def kill(self) -> None:
        """End the process now, if it is still there."""
        if self.running:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            self.testimony = Testimony(
                processed=said["processed"],
                rejected=said["rejected"],
                spans={int(number): [(start, end) for start, end in spans] for number, spans in said["spans"].items()},
                partitions=frozenset(said["partitions"]),
                rebalances=said["rebalances"],
                runtime_handled=said["runtime_handled"],
                runtime_dead_lettered=said["runtime_dead_lettered"],
            )

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "".join(f"\n    {line}" for line in lines) or "; it logged nothing"
