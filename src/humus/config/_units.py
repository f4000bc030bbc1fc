"""Durations and sizes as people write them.

Durations: `10s`, `1m30s`, `250ms`, ISO 8601 (`PT1M30S`), or a number of seconds. Sizes: `50MiB`, `1MB`, or bytes.
Both are refused when negative, not finite, or a boolean; whether zero makes sense is up to the field.
"""

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = ["Duration", "Size", "parse_duration", "parse_size"]

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"

_SECONDS = {
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("1e-3"),
    "us": Decimal("1e-6"),
    "ns": Decimal("1e-9"),
}
"""Each unit at most once, from the longest to the shortest."""

_COMPACT = re.compile("".join(rf"(?:(?P<{unit}>{_NUMBER}){unit}(?![a-z]))?" for unit in _SECONDS), re.ASCII)

_ISO_SECONDS = {"W": Decimal(604800), "D": Decimal(86400), "H": Decimal(3600), "M": Decimal(60), "S": Decimal(1)}
_ISO = re.compile(
    rf"P(?:(?P<W>{_NUMBER})W)?(?:(?P<D>{_NUMBER})D)?"
    rf"(?:T(?=[0-9])(?:(?P<H>{_NUMBER})H)?(?:(?P<M>{_NUMBER})M)?(?:(?P<S>{_NUMBER})S)?)?",
    re.ASCII,
)

_BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(rf"(?P<number>{_NUMBER}) ?(?P<unit>[a-z]+)?", re.ASCII)

_A_DURATION = "must be a duration such as 10s, 1m30s, 250ms, PT1M30S, or a number of seconds, and not negative"
_A_SIZE = "must be a size such as 50MiB, 64KiB, 1MB, or a whole number of bytes, and not negative"


def parse_duration(value: object) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: `value` is none; the message does not show it.
    """
    seconds = _seconds(value)
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(_A_DURATION)
    return seconds


def parse_size(value: object) -> int:
    """Return a size in bytes.

    Raises:
        ValueError: `value` is none; the message does not show it.
    """
    size = _bytes(value)
    if size is None or size < 0:
        raise ValueError(_A_SIZE)
    return size


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _as_float(value)
    if not isinstance(value, str):
        return None
    if re.fullmatch(_NUMBER, value, re.ASCII):
        return _as_float(Decimal(value))
    for pattern, units in ((_COMPACT, _SECONDS), (_ISO, _ISO_SECONDS)):
        found = pattern.fullmatch(value)
        parts = {unit: number for unit, number in found.groupdict().items() if number} if found else {}
        if parts:
            return _as_float(sum((Decimal(number) * units[unit] for unit, number in parts.items()), Decimal()))
    return None


def _as_float(number: float | Decimal) -> float | None:
    try:
        return float(number)
    except OverflowError:
        return None


def _bytes(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value.lower()) if isinstance(value, str) else None
    factor = _BYTES.get(found["unit"] or "b") if found else None
    if found is None or factor is None:
        return None
    size = Decimal(found["number"]) * factor
    return int(size) if size == size.to_integral_value() else None


def _duration(value: Any) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", _A_DURATION) from error


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except ValueError as error:
        raise PydanticCustomError("size", _A_SIZE) from error


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": ["number", "string"], "description": "a duration: 10s, 1m30s, 250ms, PT1M30S, or seconds"}),
]
"""A field of a model that takes a duration; its value is a float in seconds."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": ["integer", "string"], "description": "a size: 50MiB, 64KiB, 1MB, or bytes"}),
]
"""A field of a model that takes a size; its value is an int in bytes."""
