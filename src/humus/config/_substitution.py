"""`${NAME}` in scalars, by the rules of OpenTelemetry's configuration files (their data model, version 1.0).

`${NAME}` and `${env:NAME}` stand for the variable's value, `${NAME:-default}` for the default where it is unset or
empty, `$$` for a dollar. What is put in is not looked at again. One rule is stricter here: a name that is not set and
has no default is a fault, not an empty value. One is of this project's own: `${file:PATH}` stands for the text of a
file, without the line end that stands last.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from humus.config._files import BadFile, read_value

__all__ = ["Substituted", "is_text", "substitute"]

_REFERENCE = re.compile(
    r"\$\{(?:file:(?P<file>[^}\n]+)|(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}\n]*))?|[^}]*)\}",
    re.ASCII,
)
"""A reference, or (without a `file` and a `name`) something that looks like one and is none."""


class Substituted(NamedTuple):
    """A scalar's text with the values put in, how many there were, what was wrong with them, those out of files."""

    text: str
    references: int
    faults: tuple[str, ...]
    from_files: tuple[str, ...] = ()


def substitute(text: str, environ: Mapping[str, str]) -> Substituted:
    """Put the values of the environment and of files into one scalar."""
    faults: list[str] = []
    from_files: list[str] = []
    references = 0

    def value(found: re.Match[str]) -> str:
        nonlocal references
        references += 1
        name, default = found["name"], found["default"]
        if found["file"] is not None:
            try:
                from_files.append(read_value(found["file"]))
            except BadFile as error:
                faults.append(str(error))
            else:
                return from_files[-1]
        elif name is None:
            faults.append("not a valid reference: write ${NAME}, ${NAME:-default} or ${file:PATH}, and $$ for a dollar")
        elif name not in environ and default is None:
            faults.append(f"the environment variable {name} is not set, and ${{{name}}} has no default")
        elif not is_text(environ.get(name, "")):
            faults.append(f"the environment variable {name} is not valid UTF-8")
        else:
            return environ.get(name) or default or ""
        return ""

    # Split first: a dollar that came out of `$$` never starts a reference.
    pieces = [_REFERENCE.sub(value, piece) for piece in text.split("$$")]
    return Substituted("$".join(pieces), references, tuple(faults), tuple(from_files))


def is_text(value: str) -> bool:
    """Tell whether a value of the environment was valid UTF-8."""
    # Python maps bytes of the environment that are not UTF-8 to lone surrogates.
    return not any("\ud800" <= character <= "\udfff" for character in value)
