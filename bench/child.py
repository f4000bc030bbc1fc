"""The conductor's side of a candidate's process: start it, wait for it, take its figures or say what went wrong."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests.kafka import processes

from bench.peers.environments import last_line
from bench.work import Figures, Order

__all__ = ["Child", "Outcome", "judge", "own"]

_ROOT = Path(__file__).parents[1]
_GRACE = 5.0
"""Seconds that a process has to end by itself after its own time-out, which leaves the stacks of its threads behind."""
_POLL = 0.01
_TAIL = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended: with figures, or with a fault (one line) and the end of what the process wrote."""

    candidate: str
    total_s: float
    figures: Figures | None = None
    fault: str | None = None
    said: str = ""

    def failed(self, fault: str) -> "Outcome":
        """Return the same run as one that counts for nothing."""
        return replace(self, figures=None, fault=fault)


def own(candidate: str, order: Order) -> list[str]:
    """Return the command that runs one of the bench's own candidates."""
    return [sys.executable, "-m", "bench", "--candidate", candidate, "--order", order.as_json()]


class Child:
    """A candidate in a process of its own, started at once; it never outlives the conductor."""

    def __init__(self, candidate: str, command: Sequence[str], timeout: float) -> None:
        self._candidate = candidate
        self._timeout = timeout
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `wait` or `discard`
        self._began = time.monotonic()
        self._process = processes.start(
            command, output=self._output, environment={**os.environ, "PYTHONPATH": str(_ROOT)}
        )

    def wait(self) -> Outcome:
        """Wait until it has ended, or end it at its time-out."""
        try:
            code = self._process.wait(max(0.0, self._began + self._timeout + _GRACE - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
        finally:
            total = time.monotonic() - self._began
            processes.end(self._process)
        said = self._said()
        outcome = Outcome(self._candidate, total, said=said)
        return judge(outcome, code, self._timeout)

    def discard(self) -> None:
        """End it, if it still runs."""
        processes.end(self._process)
        self._output.close()

    def _said(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").splitlines()
        self._output.close()
        return "\n".join(lines[-_TAIL:])


def judge(outcome: Outcome, code: int | None, timeout: float) -> Outcome:
    """Return what a process with this exit code (`None`: it had to be ended) has come to: its figures, or its fault."""
    last = last_line(outcome.said)
    if code is None or (code != 0 and outcome.total_s >= timeout):
        return outcome.failed(f"not done within {timeout:g} s; the last it said: {last}")
    if code != 0:
        return outcome.failed(f"exit code {code}: {last}")
    for line in reversed(outcome.said.splitlines()):  # some libraries have a last word after it
        with suppress(ValueError):
            figures = json.loads(line)
            if isinstance(figures, dict):
                return replace(outcome, figures=figures)
    return outcome.failed(f"it ended without figures: {last}")
