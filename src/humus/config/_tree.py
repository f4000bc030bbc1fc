"""The values of a configuration with the places they stand at, and how several of them become one."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

__all__ = ["Branch", "Fault", "Items", "Leaf", "Node", "Path", "Place", "descend", "merge", "nearest", "plain", "walk"]

Path = tuple[str | int, ...]
"""Keys and list indices from the root."""

PlainScalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: a file and a line (from 1), or an environment variable."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value. The message never shows the value."""

    place: Place
    path: Path
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), dotted(self.path), self.message) if part)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar.

    A value out of the environment or a file has a second reading, `other`: the text where `value` is what YAML's types
    make of it, or the other way round. Only the model knows which one it wants. `broken`: the fault is known already.
    `from_files`: what of it came out of files, and so is not to be shown.
    """

    place: Place
    value: PlainScalar
    other: PlainScalar
    broken: bool = False
    from_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping."""

    place: Place
    items: Mapping[str, "Node"]


Node = Leaf | Items | Branch


def dotted(path: Path) -> str:
    """Return a path as people write it: `kafka.topics[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def merge(base: Node, over: Node) -> Node:
    """Lay `over` on `base`: mappings merge, everything else is replaced."""
    if not (isinstance(base, Branch) and isinstance(over, Branch)):
        return over
    items = dict(base.items)
    for key, node in over.items.items():
        items[key] = merge(items[key], node) if key in items else node
    return Branch(base.place, items)


def descend(node: Node | None, part: str | int) -> Node | None:
    """Return the child under a key or an index, `None` where there is none."""
    if isinstance(node, Branch):
        return node.items.get(str(part))
    if isinstance(node, Items) and isinstance(part, int) and 0 <= part < len(node.items):
        return node.items[part]
    return None


def nearest(root: Node, path: Path) -> Node:
    """Return the node at `path`, or the deepest one on the way to it."""
    for part in path:
        child = descend(root, part)
        if child is None:
            break
        root = child
    return root


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Return all nodes with their paths, parents first."""
    yield path, node
    if isinstance(node, Branch):
        for key, child in node.items.items():
            yield from walk(child, (*path, key))
    elif isinstance(node, Items):
        for index, child in enumerate(node.items):
            yield from walk(child, (*path, index))


def plain(node: Node, second_reading: AbstractSet[Path], path: Path = ()) -> object:
    """Return the values alone; leaves at the paths of `second_reading` give their other reading."""
    match node:
        case Leaf():
            return node.other if path in second_reading else node.value
        case Items():
            return [plain(child, second_reading, (*path, index)) for index, child in enumerate(node.items)]
        case Branch():
            return {key: plain(child, second_reading, (*path, key)) for key, child in node.items.items()}
