"""A plugin of pytest: writes down how each test ended, and makes sure that the mutant is what it ran on."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["REPORT", "SOURCE"]

REPORT: Final = "HUMUS_MUTANT_REPORT"
"""The file that is written: a line of JSON for each phase of a test that did not pass, and for each test that did."""
SOURCE: Final = "HUMUS_MUTANT_SOURCE"
"""The folder that `humus` must come from."""


def _write(**line: Any) -> None:
    with Path(os.environ[REPORT]).open("a", encoding="utf-8") as report:
        report.write(json.dumps(line) + "\n")


def pytest_configure() -> None:
    """Refuse to test anything but the mutant, such as the package that is installed."""
    import humus  # noqa: PLC0415 - a source that cannot be imported is to be told apart from a plugin that cannot

    found = Path(str(humus.__file__)).resolve()
    if not found.is_relative_to(Path(os.environ[SOURCE]).resolve()):
        pytest.exit(f"humus was imported from {found}, not from the mutant", returncode=3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a phase of a test ended."""
    report = yield
    if report.when == "call" or not report.passed:
        error = None if call.excinfo is None else call.excinfo.value
        _write(test=item.nodeid, phase=report.when, outcome=report.outcome, errors=[*_kinds(error)], text=_line(error))
    return report


def _kinds(error: BaseException | None) -> Generator[str, None, None]:
    """Name the error's classes, base classes too, of a group those of its members."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _kinds(member)
    elif error is not None:
        yield " ".join(kind.__qualname__ for kind in type(error).__mro__)


def _line(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__qualname__}: {error}".split("\n", 1)[0]
