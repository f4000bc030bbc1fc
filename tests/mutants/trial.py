"""One mutant put to the test: a copy of the source with the fault in it, and its named test run on that."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from tests.mutants.mutant import SRC, Mutant, Stale
from tests.mutants.witness import REPORT, SOURCE

__all__ = ["TIMEOUT", "Result", "Verdict", "on_unchanged", "stop_all", "try_out"]

TIMEOUT: Final = 300.0
"""Seconds that a named test may take, with the start of a Kafka where it needs one."""
_ROOT: Final = SRC.parent
_NOTICED: Final = frozenset({"AssertionError", "Failed", "TimeoutError", "Empty"})
"""How a test says that something does not hold: an assertion, `pytest.fail`, or what it waited for did not come."""

_running: set[subprocess.Popen[str]] = set()


class Verdict(Enum):
    """What became of a mutant; all but the first are failures."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    STALE = "STALE"
    BROKEN = "BROKEN"
    TIMED_OUT = "TIMED OUT"


@dataclass(frozen=True, slots=True)
class Result:
    """How a mutant fared; `why` says what the named test said, or what is wrong with the mutant."""

    mutant: Mutant
    verdict: Verdict
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Run:
    code: int | None  # None: it took too long
    reports: list[dict[str, Any]]
    said: str

    def of(self, test: str) -> list[dict[str, Any]]:
        """Return what is known of one named test, whatever its parameters."""
        return [line for line in self.reports if line["test"] == test or line["test"].startswith(f"{test}[")]


def try_out(mutant: Mutant, *, source: Path = SRC, timeout: float = TIMEOUT) -> Result:
    """Run the named test on a source with this fault. Any thread."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="humus-mutant-") as folder:
        try:
            copy = _copy(source, Path(folder), mutant)
        except Stale as stale:
            return Result(mutant, Verdict.STALE, str(stale), time.monotonic() - began)
        run = _run(["-x", mutant.killed_by], copy, Path(folder), timeout)  # one failure is enough
    verdict, why = _judge(mutant, run)
    return Result(mutant, verdict, why, time.monotonic() - began)


def on_unchanged(mutants: Iterable[Mutant], *, timeout: float = TIMEOUT) -> list[str]:
    """Run the named tests on the source as it is; return what is wrong with them. Any thread."""
    tests = sorted({mutant.killed_by for mutant in mutants})
    with tempfile.TemporaryDirectory(prefix="humus-mutant-") as folder:
        run = _run(tests, _copy(SRC, Path(folder), None), Path(folder), timeout)
    if run.code is None:
        return [f"the named tests took longer than {timeout:g} s on the unchanged source"]
    faults = [f"{line['test']}: {line['text']}" for line in run.reports if line["outcome"] != "passed"]
    faults += [f"{test}: it did not run" for test in tests if not run.of(test)]
    return faults or ([] if run.code == 0 else [run.said])


def stop_all() -> None:
    """Kill what is still running. Any thread."""
    for process in list(_running):
        _kill(process)


def _copy(source: Path, folder: Path, mutant: Mutant | None) -> Path:
    copy = folder / "src"
    shutil.copytree(source, copy)
    if mutant is not None:
        at = copy / mutant.file
        at.write_text(mutant.of(at.read_text(encoding="utf-8")), encoding="utf-8")
        for compiled in (at.parent / "__pycache__").glob(f"{at.stem}.*"):  # would pass for it, if of the same second
            compiled.unlink()
    return copy


def _run(arguments: list[str], source: Path, folder: Path, timeout: float) -> _Run:
    report = folder / "report"
    report.touch()
    path = [str(source), *filter(None, [os.environ.get("PYTHONPATH")])]  # before what is installed
    process = subprocess.Popen(  # noqa: S603 - pytest, on tests of ours
        [sys.executable, "-m", "pytest", "-p", "tests.mutants.witness", "-p", "no:cacheprovider", "-q", *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), REPORT: str(report), SOURCE: str(source)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _running.add(process)
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill(process)
        said, _ = process.communicate()
        return _Run(None, [], said)
    finally:
        _running.discard(process)
    return _Run(process.returncode, [json.loads(line) for line in report.read_text().splitlines()], said)


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)


def _judge(mutant: Mutant, run: _Run) -> tuple[Verdict, str]:
    """Tell a test that noticed something from one that could not run at all."""
    if run.code is None:
        return Verdict.TIMED_OUT, "the named test came to no end"
    reports = run.of(mutant.killed_by)
    failed = [line for line in reports if line["outcome"] == "failed"]
    if failed:
        return _judge_failed(failed)
    if not reports:
        return Verdict.BROKEN, f"the named test did not run: {' '.join(run.said.split()[-20:])}"
    if any(line["outcome"] == "skipped" for line in reports):
        return Verdict.BROKEN, "the named test was skipped"
    return Verdict.SURVIVED, "the named test passes"


def _judge_failed(failed: list[dict[str, Any]]) -> tuple[Verdict, str]:
    too_long = [line for line in failed if "Timeout (>" in line["text"]]  # the words of pytest-timeout
    if too_long:
        return Verdict.TIMED_OUT, too_long[0]["text"]
    noticed = [line for line in failed if line["phase"] == "call" and _notices(line["errors"])]
    if noticed:
        return Verdict.KILLED, noticed[0]["text"]
    return Verdict.BROKEN, f"the named test fails, but not by an assertion: {failed[0]['text']}"


def _notices(errors: list[str]) -> bool:
    return bool(errors) and not any(_NOTICED.isdisjoint(kinds.split()) for kinds in errors)
