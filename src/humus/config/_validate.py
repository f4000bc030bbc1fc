"""A tree and a model -> the model's object, or every fault at its place.

pydantic reports a path through the model; unions add labels to it that no user wrote, and one error for each
alternative. Walking the tree along the path tells keys from labels, and alternatives become one message.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from humus.config._keys import keys_at
from humus.config._messages import phrases
from humus.config._tree import Fault, Leaf, Node, Path, descend, nearest, plain, walk

__all__ = ["validate"]

M = TypeVar("M", bound=BaseModel)

_Error = Mapping[str, Any]
_Errors = Sequence[tuple[Path, _Error]]
"""Errors with what is left of their path below the node that is looked at."""


def validate(root: Node, model: type[M]) -> M | list[Fault]:
    """Return the validated object, or all faults."""
    second_reading: set[Path] = set()
    while True:
        try:
            return model.model_validate(plain(root, second_reading))
        except ValidationError as error:
            # Neither the input nor pydantic's links; the context is what the messages are made of.
            details = error.errors(include_url=False, include_input=False)
        faults = _Faults(root, model).of(root, (), [(detail["loc"], detail) for detail in details])
        misread = {fault.path for fault in faults if _has_second_reading(nearest(root, fault.path))} - second_reading
        if not misread:
            broken = [path for path, node in walk(root) if isinstance(node, Leaf) and node.broken]
            return [fault for fault in faults if not any(fault.path[: len(path)] == path for path in broken)]
        second_reading |= misread


def _has_second_reading(node: Node) -> bool:
    return isinstance(node, Leaf) and node.other is not node.value


class _Faults:
    def __init__(self, root: Node, model: type[BaseModel]) -> None:
        self._root = root
        self._model = model

    def of(self, node: Node, path: Path, errors: _Errors) -> list[Fault]:
        """Return the faults of one node and what is below it."""
        faults: list[Fault] = []
        below: dict[str | int, list[tuple[Path, _Error]]] = {}
        alternatives: dict[str | int, list[tuple[Path, _Error]]] = {}
        for rest, error in errors:
            if not rest or rest == ("[key]",):
                faults += self._describe(path, error)
            elif descend(node, rest[0]) is not None:
                below.setdefault(rest[0], []).append((rest[1:], error))
            elif error["type"] == "missing" and len(rest) == 1:
                faults += self._describe((*path, rest[0]), error)
            else:
                alternatives.setdefault(rest[0], []).append((rest[1:], error))
        for part, inner in below.items():
            child = descend(node, part)
            assert child is not None
            faults += self.of(child, (*path, part), inner)
        if alternatives:
            faults += self._one_of(path, [self.of(node, path, inner) for inner in alternatives.values()])
        return faults

    def _one_of(self, path: Path, alternatives: list[list[Fault]]) -> list[Fault]:
        """Return what to say of a value that none of a union's alternatives takes."""
        if len(alternatives) == 1:  # told apart by a discriminator
            return alternatives[0]
        nearly = [faults for faults in alternatives if all(len(fault.path) > len(path) for fault in faults)]
        if nearly:  # the right kind of value with something wrong inside: the alternative with the least wrong
            return min(nearly, key=len)
        messages = dict.fromkeys(fault.message for faults in alternatives for fault in faults if fault.path == path)
        return [self._fault(path, _join(list(messages)))]

    def _describe(self, path: Path, error: _Error) -> list[Fault]:
        if error["type"] == "extra_forbidden":
            return [self._fault(path, self._unknown_key(path))]
        return [self._fault(path, phrase) for phrase in phrases(error)]

    def _unknown_key(self, path: Path) -> str:
        known = keys_at(self._model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]).lower(), known, n=1)
        return f"unknown key; did you mean {close[0]}?" if close else "unknown key"

    def _fault(self, path: Path, message: str) -> Fault:
        return Fault(nearest(self._root, path).place, path, message)


def _join(messages: list[str]) -> str:
    """Return `must be a list or a text` for `must be a list` and `must be a string`."""
    prefix = "must be "
    if all(message.startswith(prefix) for message in messages):
        return prefix + " or ".join(message.removeprefix(prefix) for message in messages)
    return ", or ".join(messages)
