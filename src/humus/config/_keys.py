"""Which keys a model knows at a path: for near misses, and for the spelling of overrides."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from humus.config._tree import Path

__all__ = ["keys_at"]


def keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that the model takes in the mapping at `path`; none where it takes any."""
    annotations: list[Any] = [model]
    for part in path:
        annotations = [child for annotation in annotations for child in _children(annotation, part)]
    return [key for annotation in annotations for found in _models(annotation) for key in _fields(found)]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a value of this annotation may be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in _alternatives(annotation):
        yield from _models(inner)


def _children(annotation: Any, part: str | int) -> Iterator[Any]:
    """Yield the annotations of what is under a key or an index."""
    for model in _models(annotation):
        if part in (fields := _fields(model)):
            yield fields[str(part)]
    for inner in _alternatives(annotation):
        yield from _children(inner, part)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and arguments and not issubclass(origin, BaseModel):
        yield arguments[-1] if arguments[-1] is not ... else arguments[0]


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated
        return (annotation.__origin__,)
    if hasattr(annotation, "__value__"):  # an alias made by a `type` statement
        return (annotation.__value__,)
    return ()


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}
