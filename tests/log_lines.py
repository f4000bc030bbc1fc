"""Collects from the source what humus can say to whoever runs a service: log lines, problems, what errors ask for.

A line's parts that vary are written as an ellipsis, as the documentation does.
"""

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src/humus"

_LOUD = {"warning", "error", "exception", "critical"}
_LEVELS = {"WARNING", "ERROR", "CRITICAL"}
_CARRIERS = {
    # What hands a text on to the log, and which of its arguments that is.
    "_note": 1,
    "begin": 1,
    "end_process": 1,
    "_halt_unburied": 2,
}
_FIELD = re.compile(r"%[-#0 +]*[\d.]*[sdrgf]|…")
_STATES = ("health/_verdicts.py", "queue/kafka/_snapshot.py")
_SAYS_SOMETHING = re.compile(r"[a-z]{3}")


@dataclass(frozen=True)
class Line:
    """Something that may be said, and where in the source."""

    text: str
    place: str

    def __str__(self) -> str:
        return self.text


def log_lines() -> Iterator[Line]:
    """Find every line of level warning or above, by whatever way it gets into the log."""
    for path, tree in _modules():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            names = _Names(function, tree)
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    for text in map(_tidied, _said(call, names)):
                        if _SAYS_SOMETHING.search(text):
                            yield Line(text, f"{path}:{call.lineno}")


def states() -> Iterator[Line]:
    """Find what probes and `status()` say of a state."""
    for name in _STATES:
        tree = ast.parse((SOURCE / name).read_text())
        for function in tree.body:
            if isinstance(function, ast.FunctionDef):
                for node in _without_docstring(function):
                    for text in map(_tidied, _texts(node, _Names(function, tree))):
                        if _SAYS_SOMETHING.search(text) and " " in text:
                            yield Line(text, f"{name}:{function.lineno}")


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield str(path.relative_to(SOURCE)), ast.parse(path.read_text())


def _without_docstring(function: ast.FunctionDef) -> Iterator[ast.AST]:
    inside: set[int] = set()
    for statement in function.body[ast.get_docstring(function) is not None :]:
        for node in ast.walk(statement):
            if isinstance(node, ast.JoinedStr):
                inside |= {id(part) for part in ast.walk(node)} - {id(node)}
            if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in inside:
                yield node


class _Names:
    """What the names in a function stand for: texts that are built there, and the module's constants."""

    def __init__(self, function: ast.AST, module: ast.Module) -> None:
        self._nodes = sorted(
            (node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.AugAssign)),
            key=lambda node: node.lineno,
        )
        self._constants = [node for node in module.body if isinstance(node, ast.Assign)]

    def values(self, name: str) -> list[list[ast.expr]]:
        """Return what is assigned to a name, each with what is added to it later."""
        found: list[list[ast.expr]] = []
        for node in self._nodes or ():
            if isinstance(node, ast.AugAssign):
                if found and isinstance(node.target, ast.Name) and node.target.id == name:
                    found[-1].append(node.value)
            elif _assigns(node, name):
                found.append([node.value])
        return found or [[node.value] for node in self._constants if _assigns(node, name)]


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _said(call: ast.Call, names: _Names) -> Iterator[str]:
    """Return what a call says, if it speaks loudly."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    is_log = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).endswith("_log")
    if is_log and name in _LOUD and call.args:
        yield from _texts(call.args[0], names)
    elif is_log and name == "log" and len(call.args) > 1 and _may_be_loud(call.args[0], names):
        yield from _texts(call.args[1], names)
    elif name in _CARRIERS and len(call.args) > _CARRIERS[name]:
        quiet = name == "_note" and isinstance(call.args[0], ast.Constant) and call.args[0].value == "info"
        if not quiet:
            yield from _texts(call.args[_CARRIERS[name]], names)


def _may_be_loud(level: ast.expr, names: _Names) -> bool:
    values = names.values(level.id) if isinstance(level, ast.Name) else []
    expressions = [level, *(value for pieces in values for value in pieces)]
    said = {node.attr for one in expressions for node in ast.walk(one) if isinstance(node, ast.Attribute)}
    return bool(said & _LEVELS)


def _texts(expression: ast.AST, names: _Names) -> Iterator[str]:
    """Return the texts that an expression may be, with an ellipsis for what varies."""
    match expression:
        case ast.Constant(value=str(text)):
            yield _FIELD.sub("…", text)
        case ast.JoinedStr(values=parts):
            yield from _joined([_part(part, names) for part in parts])
        case ast.Name(id=name):
            for pieces in names.values(name):
                yield from _joined([list(_texts(piece, names)) or ["…"] for piece in pieces])
        case _:
            pass


def _part(part: ast.expr, names: _Names) -> list[str]:
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    return (list(_texts(inner, names)) if isinstance(inner, ast.Name) else []) or ["…"]


def _joined(pieces: list[list[str]]) -> Iterator[str]:
    yield from map("".join, itertools.product(*pieces))


def _tidied(text: str) -> str:
    return re.sub(r"…+", "…", " ".join(text.split()))
