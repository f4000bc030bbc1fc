"""The table of the client's errors, made of the source: `python -m tests.error_reference` writes it.

It stands in docs/operations.md between two comments; a test holds it against the source.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from humus.queue.kafka import _client_errors
from humus.queue.kafka._client_errors import CODES, Kind
from tests.docs import DOCS

__all__ = ["PAGE", "replaced"]

PAGE: Final = DOCS / "operations.md"
_PART: Final = re.compile(r"(?<=<!-- errors -->\n).*?(?=<!-- /errors -->)", re.DOTALL)

_WHAT_FOLLOWS: Final = {
    Kind.AUTH: "ends with exit code 1",
    Kind.FATAL: "ends with exit code 1",
    Kind.UNKNOWN_TOPIC: "is waited for",
    Kind.PARTITION: "halts the partition",
    Kind.OFFSET_RESET: "goes on, or halts",
    Kind.MEMBER_GONE: "joins again",
    Kind.PASSING: "passes by itself",
}
"""In the order of the table; other kinds are nothing to look at."""


def replaced(page: str) -> str:
    """Return the page with its table made anew."""
    return _PART.sub(lambda _: "\n".join(["", *_table(), "", ""]), page)


def _table() -> Iterator[str]:
    codes: dict[tuple[Kind, str], dict[str, None]] = {}
    for code, rule in _rules():
        if rule.kind in _WHAT_FOLLOWS and rule is not _client_errors._UNEXPECTED:  # noqa: SLF001 - has nothing to say
            codes.setdefault((rule.kind, rule.what_to_do), {})[code] = None
    yield "| the client's code | what follows | what to do |"
    yield "|---|---|---|"
    for kind, follows in _WHAT_FOLLOWS.items():
        for (of, what_to_do), names in codes.items():
            if of is kind:
                yield f"| {', '.join(f'`{name}`' for name in names)} | {follows} | {what_to_do} |"


def _rules() -> Iterator[tuple[str, Any]]:
    yield from CODES.items()
    for code, pairs in _client_errors._BY_REASON.items():  # noqa: SLF001 - the other half of the table
        yield from ((code, rule) for _, rule in pairs)


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text()))
