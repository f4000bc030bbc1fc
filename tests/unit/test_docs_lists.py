"""Lists in the documentation are complete: clauses and their tests, log lines, errors, options, public names."""

import ast
import importlib
import re
import shlex
from functools import cache

import pytest
from tests import cli_reference, error_reference
from tests.docs import BLOCKS, DOCS, ROOT
from tests.log_lines import Line, log_lines, states

from humus.queue.kafka._instruments import Metric
from humus.queue.kafka._meters import STATES
from humus.queue.kafka._options import OPTION_NAMES

_CLAUSE = re.compile(r"\bD(\d{1,2})(?:-D(\d{1,2}))?\b")
_SECTION = re.compile(r"^### D(\d+): .*?$(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"^- `(tests/[\w/]+\.py)::(\w+)`$", re.MULTILINE)
_CELL = re.compile(r"^\| `(.+?)` \|", re.MULTILINE)


def page(name: str) -> str:
    """Return a page of the documentation, its lines joined."""
    return " ".join((DOCS / name).read_text().split())


# -- Delivery guarantees -------------------------------------------------------------------------------------------

CLAUSES = {int(number): text for number, text in _SECTION.findall((DOCS / "guarantees.md").read_text())}


@cache
def docstrings(path: str) -> dict[str, str]:
    """Return the docstrings of the tests of a file."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def cited(docstring: str) -> set[int]:
    """Return the clauses that a docstring names, also those in between: `D10-D12`."""
    found = ((int(first), int(last or first)) for first, last in _CLAUSE.findall(docstring))
    return {number for first, last in found for number in range(first, last + 1)}


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_clause_has_tests_that_name_it(clause: int) -> None:
    """Each clause cites tests; each of them exists, and its docstring names the clause."""
    tests = _TEST.findall(CLAUSES[clause])
    assert tests
    for path, name in tests:
        assert name in docstrings(path), f"{path} has no test {name}"
        assert clause in cited(docstrings(path)[name]), f"{path}::{name} does not name D{clause}"


def test_every_clause_is_there() -> None:
    """Each clause that a test names is in the documentation, and no other."""
    files = (str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
    texts = [text for path in files for text in docstrings(path).values()]
    named = {int(number) for text in texts for pair in _CLAUSE.findall(text) for number in pair if number}
    assert named == set(CLAUSES)


# -- Operations ----------------------------------------------------------------------------------------------------

LINES = {line.text: line for line in (*log_lines(), *states())}


def test_lines_are_found() -> None:
    """The search itself finds lines of every kind: of a logger, of the core, a condition, a state of a probe."""
    assert {
        "… with commits outstanding: up to … handled records will come again",
        "topic … does not exist: waiting until somebody creates it",
        "…: attempt … failed, …: …: …",
        "the health server has ended",
        "a task, or a thread of asyncio.to_thread, does not end; it is left behind",
        "…[…]@…: halted: …",
        "the runtime has stopped",
    } <= LINES.keys()


@pytest.mark.parametrize("line", LINES.values(), ids=str)
def test_a_line_is_explained(line: Line) -> None:
    """Each line of level warning or above, and each state that a probe shows, is in Operations."""
    assert line.text in _CELL.findall((DOCS / "operations.md").read_text()), line.place


def test_no_line_is_explained_that_is_never_said() -> None:
    """What Operations explains, the source can say."""
    named = {cell for cell in _CELL.findall((DOCS / "operations.md").read_text()) if " " in cell and "`, `" not in cell}
    assert named <= LINES.keys()


def test_each_error_of_the_client_is_explained() -> None:
    """Operations has what the source says of each code that a consumer may see."""
    text = error_reference.PAGE.read_text()
    assert "| `TOPIC_AUTHORIZATION_FAILED` | ends with exit code 1 |" in text
    assert text == error_reference.replaced(text), "write it anew: python -m tests.error_reference"


# -- Command line --------------------------------------------------------------------------------------------------


def test_the_reference_of_the_command_line_is_its_help() -> None:
    """The page says what `--help` says of each command."""
    text = cli_reference.PAGE.read_text()
    assert "## humus config check\n" in text
    assert text == cli_reference.replaced(text), "write it anew: python -m tests.cli_reference"


COMMAND_LINES = [
    (f"{block}: {line}", line)
    for block in BLOCKS
    if block.language == "console"
    for line in block.text.splitlines()
    if re.match(r"(\$ )?humus ", line)
]


@pytest.mark.parametrize("line", [line for _, line in COMMAND_LINES], ids=[name for name, _ in COMMAND_LINES])
def test_a_command_line_is_one_that_can_be_given(line: str) -> None:
    """Each line of a page that calls `humus` names a command and options that are there."""
    parse(line)


def test_a_command_line_that_cannot_be_given_is_noticed() -> None:
    """The test above can fail: no such option, no such command."""
    with pytest.raises(Exception, match="No such option"):
        parse("humus config check config.yaml --jsn")
    with pytest.raises(StopIteration):
        parse("humus confg check config.yaml")


def parse(line: str) -> None:
    """Read a command line as `humus` would, and do nothing; what stands behind `>`, `|` and `#` is the shell's."""
    words = shlex.split(re.split(r"\s[>|#]", line.removeprefix("$ "))[0])
    name, command = next(
        (name, command) for name, command in cli_reference.commands() if words[: name.count(" ") + 1] == name.split()
    )
    command.make_context(name, words[name.count(" ") + 1 :])


# -- Runtime configuration, Observability, API reference --------------------------------------------------------------


@pytest.mark.parametrize("option", OPTION_NAMES)
def test_an_option_is_explained(option: str) -> None:
    """Each option of the runtime has a row."""
    assert f"| `{option}` |" in page("runtime.md")


def test_metrics_and_states_are_explained() -> None:
    """Each metric, and each state of a partition, is in Observability."""
    text = page("observability.md")
    metrics = [name for key, name in vars(Metric).items() if key.isupper() and not key.startswith("CLIENT_")]
    assert [name for name in metrics if f"`{name}`" not in text] == []
    assert [state for state in STATES if state not in text] == []


def test_each_logger_is_named() -> None:
    """Each logger of ours is in Observability, and no other."""
    named = re.compile(r"getLogger\(\"(humus[a-z._]*)\"\)")
    loggers = {name for path in (ROOT / "src").rglob("*.py") for name in named.findall(path.read_text())}
    logs = (DOCS / "observability.md").read_text().partition("## Health")[0]
    assert loggers == set(re.findall(r"^\| `(humus\.[a-z._]+)` \|", logs, re.MULTILINE))


@pytest.mark.parametrize("module", ["humus.queue", "humus.queue.kafka", "humus.testing", "humus.errors"])
def test_each_public_name_is_in_the_reference(module: str) -> None:
    """Each public name is in the reference, or said to be described elsewhere."""
    text = "\n".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    names = importlib.import_module(module).__all__
    assert [name for name in names if f"::: {module}.{name}\n" not in f"{text}\n"] == []
