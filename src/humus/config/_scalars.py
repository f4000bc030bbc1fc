"""What a plain scalar means: the core schema of YAML 1.2.

PyYAML's own rules are those of YAML 1.1, where `no` and `off` are booleans, `1:30` is 90 and `2026-01-01` a date.
OpenTelemetry's configuration files, whose rules this project shares, ask for 1.2.
"""

import re

__all__ = ["core_value"]

_CONSTANTS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + text: float(sign + "inf") for sign in ("", "+", "-") for text in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}

_NUMBERS = (
    (re.compile(r"[-+]?[0-9]+", re.ASCII), int),
    (re.compile(r"0o[0-7]+", re.ASCII), lambda text: int(text, 0)),
    (re.compile(r"0x[0-9a-fA-F]+", re.ASCII), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII), float),
)


def core_value(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar of this text is in YAML 1.2."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    for pattern, convert in _NUMBERS:
        if pattern.fullmatch(text):
            try:
                return convert(text)
            except ValueError:  # more digits than Python converts
                return text
    return text
