"""The list of mutants fits the source and the tests as they are, and its verdicts are right. No mutant runs here."""
# ruff: noqa: SLF001 - how a run is judged is not part of the command

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.mutants import trial
from tests.mutants.__main__ import main
from tests.mutants.faults import MUTANTS
from tests.mutants.mutant import SRC, Mutant, Stale
from tests.mutants.trial import Verdict

TEST = "tests/unit/test_x.py::test_it"
MUTANT = Mutant("wrong", "D0", "it is wrong", "humus/errors.py", "class ConfigError(", "class ConfigFault(", TEST)


def report(test: str = f"{TEST}[def]", phase: str = "call", outcome: str = "failed", *errors: str) -> dict[str, Any]:
    """Make a line of the witness."""
    return {"test": test, "phase": phase, "outcome": outcome, "errors": [*errors], "text": " ".join(errors)}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_fits_the_source(mutant: Mutant) -> None:
    """The text that it replaces is there exactly once, and what comes of it is Python of another meaning."""
    source = (SRC / mutant.file).read_text(encoding="utf-8")
    compile(mutant.of(source), mutant.file, "exec")
    assert mutant.text != mutant.instead


def test_each_named_test_is_there() -> None:
    """Pytest finds every test that is to kill a mutant; those that ask for a Kafka are called slow."""
    tests = sorted({mutant.killed_by for mutant in MUTANTS})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *tests]
    found = subprocess.run(command, cwd=SRC.parent, capture_output=True, text=True, timeout=100, check=False)  # noqa: S603
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    for mutant in MUTANTS:
        assert mutant.slow is mutant.killed_by.startswith("tests/integration/"), mutant.name


def test_names_are_used_once() -> None:
    """`--only` means one mutant."""
    assert [name for name, times in Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []


@pytest.mark.parametrize(("source", "times"), [("nothing of the kind", 0), ("class ConfigError(class ConfigError(", 2)])
def test_a_mutant_that_does_not_fit_is_told(source: str, times: int) -> None:
    """A stale mutant is an error that names it, its text and its file; it never passes for one that was killed."""
    with pytest.raises(Stale, match=rf"wrong: its text is {times} times in src/humus/errors.py.*class ConfigError"):
        MUTANT.of(source)


@pytest.mark.parametrize(
    ("code", "lines", "verdict"),
    [
        (1, [report(f"{TEST}[async]", "call", "passed"), report("", "", "", "AssertionError Exception")], "SURVIVED"),
        (1, [report(f"{TEST}[async]", "call", "passed"), report(TEST + "[x]", "call", "failed", "Failed")], "KILLED"),
        (1, [report(TEST, "call", "failed", "AssertionError Exception")], "KILLED"),
        (1, [report(TEST, "call", "failed", "ComparisonError AssertionError Exception")], "KILLED"),
        (1, [report(TEST, "call", "failed", "AssertionError", "AssertionError")], "KILLED"),
        (1, [report(TEST, "call", "failed", "AssertionError", "NameError Exception")], "BROKEN"),
        (1, [report(TEST, "call", "failed", "ModuleNotFoundError ImportError")], "BROKEN"),
        (1, [report(TEST, "call", "failed")], "BROKEN"),
        (1, [report(TEST, "setup", "failed", "AssertionError")], "BROKEN"),
        (1, [report(TEST, "call", "failed", "Failed Timeout (>120.0s)")], "TIMED_OUT"),
        (0, [report(TEST, "setup", "skipped", "Skipped")], "BROKEN"),
        (0, [report(TEST, "call", "passed")], "SURVIVED"),
        (2, [], "BROKEN"),
        (None, [], "TIMED_OUT"),
    ],
)
def test_a_verdict_tells_a_notice_from_a_crash(code: int | None, lines: list[dict[str, Any]], verdict: str) -> None:
    """Only an assertion of the named test itself kills: no error of import, set-up or collection, and no time-out."""
    assert trial._judge(MUTANT, trial._Run(code, lines, "1 error"))[0] is Verdict[verdict]


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (["--only", "wrung"], 2, "there is no mutant 'wrung': did you mean wrong?"),
        (["--only", "xyz"], 2, "there is no mutant 'xyz': --list names them all"),
        (["--list"], 0, "wrong (D0): it is wrong"),
        (["--list", "--only", "wrong"], 0, "wrong (D0): it is wrong"),
    ],
)
def test_the_command_says_what_there_is(
    given: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is none is refused with what it may be."""
    assert main(given, mutants=[MUTANT]) == code
    told = capsys.readouterr()
    assert says in told.out + told.err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows how it is called."""
    with pytest.raises(SystemExit):
        main(["--help"])
    assert 'make mutants ARGS="--only commits-one-too-far"' in capsys.readouterr().out
