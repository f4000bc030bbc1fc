"""The JSON schema of a configuration file, for editors: pydantic's, and what the file may say instead of a value."""

from collections.abc import Mapping
from typing import Any, Final

from humus.config import Config

__all__ = ["file_schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = {"type": "string", "pattern": r"\$\{", "description": "a reference: ${NAME} or ${NAME:-default}"}
_NOT_TEXT: Final = frozenset({"integer", "number", "boolean"})
_NARROW: Final = ("enum", "const", "pattern")
_ABOUT: Final = ("title", "description", "default", "examples", "deprecated")
_BY_NAME: Final = ("properties", "$defs", "patternProperties")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = ("items", "additionalProperties")


def file_schema(model: type[Config]) -> dict[str, Any]:
    """Return the schema of a file that `model` is loaded from."""
    return {"$schema": _DIALECT, **_with_references(model.model_json_schema())}


def _with_references(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Let `${NAME}` stand for any scalar that is not just text."""
    found = dict(schema)
    for key in _BY_NAME:
        if key in found:
            found[key] = {name: _with_references(one) for name, one in found[key].items()}
    for key in _LISTS:
        if key in found:
            found[key] = [_with_references(one) for one in found[key]]
    for key in _SINGLE:
        if isinstance(found.get(key), Mapping):
            found[key] = _with_references(found[key])
    kind = found.get("type")
    if (isinstance(kind, str) and kind in _NOT_TEXT) or any(key in found for key in _NARROW):
        about: dict[str, Any] = {key: found.pop(key) for key in _ABOUT if key in found}
        return {**about, "anyOf": [found, _REFERENCE]}
    return found
