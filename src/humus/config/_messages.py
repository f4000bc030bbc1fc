"""What a fault that pydantic found is called here: what the value must be, never what it is.

pydantic's own messages are the fallback; they name the expectation too.
"""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["phrases"]

_Context = Mapping[str, Any]

_PHRASES: dict[str, str] = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "none_required": "must be null",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "iterable_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dataclass_type": "must be a mapping",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "{discriminator} is missing",
    "json_invalid": "must be JSON",
    "uuid_parsing": "must be a UUID",
    "url_parsing": "must be a URL",
}

_COUNTED: dict[str, Callable[[_Context], str]] = {
    "string_too_short": lambda context: (
        "must not be empty" if context["min_length"] == 1 else f"must have at least {context['min_length']} characters"
    ),
    "too_short": lambda context: (
        "must not be empty" if context["min_length"] == 1 else f"must have at least {context['min_length']} entries"
    ),
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
}


def phrases(error: Mapping[str, Any]) -> list[str]:
    """Return what to say of one of pydantic's error details: one line, or several of a `ConfigError`'s."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _PHRASES:
        return [_PHRASES[kind].format_map(context)]
    if kind in _COUNTED:
        return [_COUNTED[kind](context)]
    if kind in {"value_error", "assertion_error"}:
        # A validator of a model raised it; its words are its author's.
        cause = context.get("error")
        return list(getattr(cause, "faults", ())) or [str(cause) or "is not valid"]
    return [str(error["msg"]).replace("Input should", "must", 1)]
