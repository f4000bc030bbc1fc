"""Foreign bytes and text on a terminal: nothing in them may move the cursor or pretend to be ours. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

__all__ = ["as_json", "as_text", "printable", "table"]

_CONTINUED: Final = "..."


def printable(text: str, *, lines: bool = False) -> str:
    """Return text whose control characters are visible; with `lines` it keeps its lines and tabs."""
    kept = "\n\t" if lines else ""
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode("ascii") for each in text
    )


def as_text(data: bytes | None, limit: int, *, lines: bool = False) -> str:
    """Return bytes as text, or as hex digits where they are none; at most `limit` bytes of them."""
    if data is None:
        return "(none)"
    cut, more = data[:limit], len(data) - limit
    tail = f"{_CONTINUED} ({more:,} bytes more)" if more > 0 else ""
    try:
        text = cut.decode("utf-8") if more <= 0 else _whole_characters(cut)
    except UnicodeDecodeError:
        return f"0x{cut.hex()}{tail}"
    return printable(text, lines=lines) + tail


def as_json(data: bytes | None, limit: int) -> dict[str, Any] | None:
    """Return bytes for a script: their size, and as text or hex digits at most `limit` bytes of them."""
    if data is None:
        return None
    cut = data[:limit]
    try:
        shown = {"text": cut.decode("utf-8") if len(data) <= limit else _whole_characters(cut)}
    except UnicodeDecodeError:
        shown = {"hex": cut.hex()}
    return {"bytes": len(data), **shown, "cut": len(data) > limit}


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table; numbers stand to the right, `None` is a dash."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        right = any(isinstance(row[number], int) for row in rows)
        made.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    return made


def _cell(value: object) -> str:
    return "-" if value is None else printable(str(value))


def _whole_characters(data: bytes) -> str:
    """Decode a text that was cut, perhaps within its last character."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            raise
        return data[: error.start].decode("utf-8")
