"""Source, environment, model -> configuration; every fault at once."""

import os
from collections.abc import Mapping
from typing import TypeVar

from humus.config._environment import override
from humus.config._model import Config
from humus.config._source import Source
from humus.config._tree import Fault, Leaf, walk
from humus.config._validate import validate
from humus.errors import ConfigError

__all__ = ["load", "values_of_files"]

C = TypeVar("C", bound=Config)


def load(source: Source, config_type: type[C], environ: Mapping[str, str] | None = None) -> C:
    """Read, override, validate.

    Args:
        source: where to read from, such as `yaml_source("config.yaml")`.
        config_type: the model to make of it.
        environ: the environment for substitution and overrides; `None` is the process's own.

    Raises:
        ConfigError: it cannot work; one line for each fault, in the order of the files.
    """
    environ = os.environ if environ is None else environ
    root, faults = source.read(environ)
    if root is None:
        raise ConfigError(map(str, faults))
    root, found = override(root, config_type, environ)
    faults += found
    result = validate(root, config_type)
    if isinstance(result, list):
        faults += result
    if faults or isinstance(result, list):
        raise ConfigError(map(str, _in_order(faults)))
    return result


def values_of_files(source: Source, environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return what `${file:...}` stands for anywhere in a source: to be hidden where its values are shown."""
    root, _ = source.read(os.environ if environ is None else environ)
    leaves = (node for _, node in walk(root) if isinstance(node, Leaf)) if root is not None else ()
    return frozenset(value for leaf in leaves for value in leaf.from_files)


def _in_order(faults: list[Fault]) -> list[Fault]:
    """Sort by line within each source, sources in the order in which they came."""
    sources = {source: index for index, source in enumerate(dict.fromkeys(fault.place.source for fault in faults))}
    return sorted(dict.fromkeys(faults), key=lambda fault: (sources[fault.place.source], fault.place.line or 0))
