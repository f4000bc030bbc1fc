"""Where a command's output goes: results to stdout, all that is for a person alone to stderr."""

import json
import sys
from typing import Annotated, Any, Final

import typer
from rich.console import Console

__all__ = ["Json", "note", "out", "print_json", "table_console"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
"""The option of every command whose result a script would read."""

_UNCUT: Final = 10_000
"""Columns of a table that nobody looks at: nothing in it is cut."""


def out(text: str = "") -> None:
    """Print a line of the result."""
    typer.echo(text)


def note(text: str) -> None:
    """Tell the person at the terminal something that is no part of the result."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a value as one JSON document: a line by itself, or indented on a terminal."""
    typer.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str))


def table_console() -> Console:
    """Return the console for tables and live displays, on stdout; where that is no terminal, nothing is cut.

    Foreign text goes in as `rich.text.Text`, or square brackets in it are taken for markup.
    """
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _UNCUT)
