"""The conductor's side of a candidate's process: start it, wait for it, take its figures or say what went wrong."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests.kafka import processes

from bench.instruments import Figures, Order

__all__ = ["Child", "Outcome"]

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


class Child:
    """A candidate in a process of its own, started at once; it never outlives the conductor."""

    def __init__(self, candidate: str, order: Order, timeout: float) -> None:
        self._candidate = candidate
        self._timeout = timeout
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `wait` or `discard`
        self._began = time.monotonic()
        where = ["--brokers", order.brokers, "--topic", order.topic, "--seconds", str(order.seconds)]
        self._process = processes.start(
            [sys.executable, "-m", "bench", "--candidate", candidate, *where, "--timeout", str(timeout)],
            output=self._output,
            environment={**os.environ, "PYTHONPATH": str(_ROOT)},
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
        if code is None or (code != 0 and total >= self._timeout):
            return outcome.failed(f"not done within {self._timeout:g} s")
        if code != 0:
            last = next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
            return outcome.failed(f"exit code {code}: {last}")
        figures: Figures = json.loads(said.splitlines()[-1])
        return replace(outcome, figures=figures)

    def discard(self) -> None:
        """End it, if it still runs."""
        processes.end(self._process)
        self._output.close()

    def _said(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").splitlines()
        self._output.close()
        return "\n".join(lines[-_TAIL:])
