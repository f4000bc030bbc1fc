"""Where a configuration comes from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Protocol

from humus.config._tree import Branch, Fault, Node, Place, merge
from humus.config._yaml import parse_yaml

__all__ = ["Source", "YamlSource", "yaml_source"]


class Source(Protocol):
    """A configuration source; made by `yaml_source`."""

    def read(self, environ: Mapping[str, str]) -> tuple[Node | None, list[Fault]]:
        """Return the tree (`None` when there is none to validate) and the faults found while reading."""
        ...


@dataclass(frozen=True, slots=True)
class YamlSource:
    """One or several YAML files; made by `yaml_source`."""

    paths: tuple[str, ...]

    def read(self, environ: Mapping[str, str]) -> tuple[Node | None, list[Fault]]:
        """Read, parse and merge the files."""
        faults: list[Fault] = []
        merged: Node | None = Branch(Place(self.paths[0]), {})
        for path in self.paths:
            node, found = _read(path, environ)
            faults += found
            merged = merge(merged, node) if merged is not None and node is not None else None
        return merged, faults


def yaml_source(path: str | os.PathLike[str], *more: str | os.PathLike[str]) -> YamlSource:
    """Read the configuration from YAML files: mappings merge, lists are replaced, later files win.

    Relative paths start at the working directory. Nothing is read before the source is used.
    """
    return YamlSource(tuple(os.fspath(one) for one in (path, *more)))


def _read(path: str, environ: Mapping[str, str]) -> tuple[Node | None, list[Fault]]:
    place = Place(path)
    try:
        text = FilePath(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None, [Fault(place, (), f"no such file (looked in {FilePath(path).absolute().parent})")]
    except IsADirectoryError:
        return None, [Fault(place, (), "a directory, not a file")]
    except OSError as error:
        return None, [Fault(place, (), f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return None, [Fault(Place(path, line), (), "not valid UTF-8")]
    node, faults = parse_yaml(text, path, environ)
    if node is not None and not isinstance(node, Branch):
        # Nothing to validate; what substitution had to say of the value would only distract.
        return None, [Fault(Place(path, 1), (), "must be a mapping of keys to values at the top")]
    return node, faults
