"""Overrides out of the environment: `HUMUS__KAFKA__GROUP_ID=orders` wins over `kafka.group_id` in the file.

`__` separates keys; case does not matter. A value is read as an unquoted YAML scalar (or as text, where the model
wants text); one that starts with `[` or `{` as JSON or YAML's flow style.
"""

from collections.abc import Mapping

from pydantic import BaseModel

from humus.config._keys import keys_at
from humus.config._scalars import core_value
from humus.config._substitution import is_text
from humus.config._tree import Branch, Fault, Leaf, Node, Path, Place, descend, merge
from humus.config._yaml import parse_flow

__all__ = ["PREFIX", "override"]

PREFIX = "HUMUS__"


def override(root: Node, model: type[BaseModel], environ: Mapping[str, str]) -> tuple[Node, list[Fault]]:
    """Lay the environment's overrides over a tree."""
    faults: list[Fault] = []
    given: dict[Path, str] = {}
    # Short names first: of HUMUS__KAFKA={...} and HUMUS__KAFKA__GROUP_ID the one that says more wins.
    names = [name for name in environ if name.upper().startswith(PREFIX)]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):
        place = Place(name)
        path = _path(name, root, model)
        if path is None:
            faults.append(Fault(place, (), f"not a valid override: it must look like {PREFIX}SECTION__KEY"))
        elif path in given:
            faults.append(Fault(place, path, f"given twice; {given[path]} says it too"))
        elif not is_text(environ[name]):
            faults.append(Fault(place, path, "not valid UTF-8"))
        else:
            given[path] = name
            root = merge(root, _tree(path, place, environ[name]))
    return root, faults


def _path(name: str, root: Node, model: type[BaseModel]) -> Path | None:
    """Return the keys that a variable's name stands for, in the spelling of the file, else of the model."""
    path: Path = ()
    node: Node | None = root
    for part in name[len(PREFIX) :].split("__"):
        if not part:
            return None
        known = [*(node.items if isinstance(node, Branch) else ()), *keys_at(model, path)]
        key = next((key for key in known if key.lower() == part.lower()), part.lower())
        path = (*path, key)
        node = descend(node, key)
    return path


def _tree(path: Path, place: Place, text: str) -> Node:
    node: Node = parse_flow(text, place.source) or Leaf(place, core_value(text), text)
    for key in reversed(path):
        node = Branch(place, {str(key): node})
    return node
