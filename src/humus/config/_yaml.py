"""YAML text -> tree: PyYAML parses, this module types the scalars, substitutes, and keeps the lines.

Safe by construction: it reads PyYAML's node graph, so no tag can build an object. Anchors, aliases and merge keys
(`<<`) work; duplicate keys, recursive aliases and unknown tags are faults.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from humus.config._scalars import core_value
from humus.config._substitution import substitute
from humus.config._tree import Branch, Fault, Items, Leaf, Node, Path, Place

__all__ = ["parse_flow", "parse_yaml"]

_MOST_NODES = 100_000
"""Far above any configuration; aliases of aliases reach it quickly."""

_STR, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_TYPED = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}
_IMPLICIT = "implicit"


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars untyped: what they are is decided after substitution."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit == (True, False):
            return _MERGE if value == "<<" else _IMPLICIT
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


def parse_yaml(text: str, source: str, environ: Mapping[str, str]) -> tuple[Node | None, list[Fault]]:
    """Return the tree of a document, or `None` when it is no YAML at all, and all faults found on the way.

    An empty document is an empty mapping.
    """
    start = Place(source)
    builder = _Builder(source, environ)
    try:
        root = yaml.compose(text, Loader=_Loader)
        if root is None or (root.tag == _IMPLICIT and core_value(root.value) is None):
            return Branch(start, {}), []
        return builder.build(root, (), start), builder.faults
    except yaml.YAMLError as error:
        return None, [_syntax_fault(error, text, source)]
    except RecursionError:
        return None, [Fault(start, (), "not valid YAML: nested too deeply")]


def parse_flow(text: str, source: str) -> Node | None:
    """Return the tree of a list or a mapping in YAML's flow style, which JSON is a part of; `None` if it is neither."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    builder = _Builder(source, None)
    try:
        root = yaml.compose(text, Loader=_Loader)
        node = builder.build(root, (), Place(source)) if root is not None else None
    except (yaml.YAMLError, RecursionError):
        return None
    return None if builder.faults else node


class _Builder:
    def __init__(self, source: str, environ: Mapping[str, str] | None) -> None:
        self.faults: list[Fault] = []
        self._source = source
        self._environ = environ
        self._nodes = 0
        self._open: list[yaml.Node] = []

    def build(self, node: yaml.Node, path: Path, place: Place) -> Node:
        self._nodes += 1
        if any(node is parent for parent in self._open):
            return self._broken(place, path, "an alias inside of what it stands for")
        if self._nodes > _MOST_NODES:
            if self._nodes == _MOST_NODES + 1:
                self._fault(place, path, f"more than {_MOST_NODES:,} values: aliases of aliases?")
            return Leaf(place, None, None, broken=True)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, place)
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
                return Branch(place, dict(self._mapping(node, path)))
            if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
                children = enumerate(node.value)
                return Items(place, tuple(self.build(child, (*path, i), self._place(child)) for i, child in children))
        finally:
            self._open.pop()
        return self._unknown_tag(place, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        """Yield the items in the order in which they win: the merged ones, then the mapping's own."""
        yield from self._merged(node, path)
        seen: dict[str, Place] = {}
        for key, value in node.value:
            place = self._place(key)
            if not isinstance(key, yaml.ScalarNode):
                self._fault(place, path, "a key must be plain text, not a list or a mapping")
            elif key.tag == _MERGE:
                continue
            elif key.value in seen:
                self._fault(place, (*path, key.value), f"given twice; the first one is in line {seen[key.value].line}")
            else:
                seen[key.value] = place
                yield key.value, self.build(value, (*path, key.value), place)

    def _merged(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Node]]:
        for key, value in node.value:
            if key.tag != _MERGE:
                continue
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in reversed(sources):  # of several, the first one wins
                if isinstance(source, yaml.MappingNode) and not any(source is parent for parent in self._open):
                    self._open.append(source)
                    yield from self._mapping(source, path)
                    self._open.pop()
                else:
                    self._fault(self._place(key), path, "<< must stand before a mapping, or a list of mappings")

    def _scalar(self, node: yaml.ScalarNode, path: Path, place: Place) -> Leaf:
        if node.tag not in {_IMPLICIT, _MERGE, _STR} | _TYPED:
            return self._unknown_tag(place, path)
        text: str = node.value
        references = 0
        from_files: tuple[str, ...] = ()
        if self._environ is not None and "$" in text:
            text, references, faults, from_files = substitute(text, self._environ)
            for fault in faults:
                self._fault(place, path, fault)
            if faults:
                return Leaf(place, None, None, broken=True)
        typed = core_value(text)
        # What a file holds is a text first, such as the password `null`; a number only where the model wants one.
        value = text if from_files or node.tag in {_STR, _MERGE} else typed
        other = value if not references else typed if value is text else text
        return Leaf(place, value, other, from_files=from_files)

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._source, None if self._environ is None else node.start_mark.line + 1)

    def _fault(self, place: Place, path: Path, message: str) -> None:
        self.faults.append(Fault(place, path, message))

    def _broken(self, place: Place, path: Path, message: str) -> Leaf:
        self._fault(place, path, message)
        return Leaf(place, None, None, broken=True)

    def _unknown_tag(self, place: Place, path: Path) -> Leaf:
        return self._broken(place, path, "tags are not supported; quote a string that starts with !")


def _syntax_fault(error: yaml.YAMLError, text: str, source: str) -> Fault:
    """Say where a text stops being YAML, without any of the text: it may be a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        # Names of the parser's own are in <> or single characters; other quoted pieces are out of the file.
        problem = (
            re.sub(r"'(?!<|\\.')[^']{2,}'", "", error.problem or error.context or "not valid")
            .replace("  ", " ")
            .strip()
        )
        return Fault(Place(f"{source}:{mark.line + 1}:{mark.column + 1}"), (), f"not valid YAML: {problem}")
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Fault(Place(source, line), (), "not valid YAML: a control character, which YAML does not allow")
    return Fault(Place(source), (), "not valid YAML")
