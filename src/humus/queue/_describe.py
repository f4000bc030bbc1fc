"""What may be said about a user's exception: its type, its message in bounds, its stack without any values.

An exception's message is foreign text: it can be as large as the record, `str()` of it can raise, and pydantic's
repeats the input. Logs, status and dead letters all take it from here.
"""

import sys
import traceback
from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["error_message", "error_stack", "error_type"]

MAX_MESSAGE: Final = 1024
"""Bytes of an exception's message that are kept (D32)."""
MAX_STACK: Final = 8 * 1024
"""Bytes of a stack that are kept, its innermost end (D32)."""


def error_type(error: BaseException) -> str:
    """Return the exception's qualified class name, `json.decoder.JSONDecodeError`; a built-in's is bare."""
    kind = type(error)
    named: str | None = getattr(kind, "humus_error_type", None)  # a failure that has a name of its own (D33)
    if named is not None:
        return named
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def error_message(error: BaseException) -> str:
    """Return the exception's message, at most 1 KiB of UTF-8, whatever its `str()` does."""
    try:
        text = _without_input(error) if _is_validation_error(error) else str(error)
    except BaseException as failure:  # noqa: BLE001 - a broken __str__ must not hide the failure it describes
        text = f"(its message cannot be read: {type(failure).__name__})"
    encoded = text.encode("utf-8", "backslashreplace")
    if len(encoded) <= MAX_MESSAGE:
        return encoded.decode()
    return encoded[: MAX_MESSAGE - 3].decode("utf-8", "ignore") + "..."


def error_stack(error: BaseException) -> str:
    """Return where the exception was raised, frames alone, at most the innermost 8 KiB."""
    encoded = "".join(traceback.format_tb(error.__traceback__)).encode("utf-8", "backslashreplace")
    return encoded[-MAX_STACK:].decode("utf-8", "ignore")


def _is_validation_error(error: BaseException) -> "TypeGuard[ValidationError]":
    pydantic = sys.modules.get("pydantic")  # where it was never imported, no error is one of its
    return pydantic is not None and isinstance(error, pydantic.ValidationError)


def _without_input(error: "ValidationError") -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    faults = [f"{'.'.join(map(str, detail['loc'])) or '(record)'}: {detail['msg']}" for detail in details]
    return f"{error.error_count()} validation errors for {error.title}: " + "; ".join(faults)
