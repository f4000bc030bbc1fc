"""`${NAME}` in scalars, by the rules of OpenTelemetry's configuration files (their data model, version 1.0).

`${NAME}` and `${env:NAME}` stand for the variable's value, `${NAME:-default}` for the default where it is unset or
empty, `$$` for a dollar. What is put in is not looked at again. One rule is stricter here: a name that is not set and
has no default is a fault, not an empty value.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Substituted", "is_text", "substitute"]

_REFERENCE = re.compile(
    r"\$\{(?:(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}\n]*))?|[^}]*)\}", re.ASCII
)
"""A reference, or (without a `name`) something that looks like one and is none."""


class Substituted(NamedTuple):
    """A scalar's text with the values put in, how many there were, and what was wrong with them."""

    text: str
    references: int
    faults: tuple[str, ...]


def substitute(text: str, environ: Mapping[str, str]) -> Substituted:
    """Put the environment's values into one scalar."""
    faults: list[str] = []
    references = 0

    def value(found: re.Match[str]) -> str:
        nonlocal references
        references += 1
        name, default = found["name"], found["default"]
        if name is None:
            faults.append("not a valid reference: write ${NAME} or ${NAME:-default}, and $$ for a dollar")
        elif name not in environ and default is None:
            faults.append(f"the environment variable {name} is not set, and ${{{name}}} has no default")
        elif not is_text(environ.get(name, "")):
            faults.append(f"the environment variable {name} is not valid UTF-8")
        else:
            return environ.get(name) or default or ""
        return ""

    # Split first: a dollar that came out of `$$` never starts a reference.
    pieces = [_REFERENCE.sub(value, piece) for piece in text.split("$$")]
    return Substituted("$".join(pieces), references, tuple(faults))


def is_text(value: str) -> bool:
    """Tell whether a value of the environment was valid UTF-8."""
    # Python maps bytes of the environment that are not UTF-8 to lone surrogates.
    return not any("\ud800" <= character <= "\udfff" for character in value)
