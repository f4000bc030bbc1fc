"""How all commands end in an error, and how their help is written."""

from collections.abc import Iterable
from typing import Any, Final, NoReturn

import typer
from rich.markup import escape
from typer.core import TyperGroup

from humus.cli._exit import ExitCode
from humus.cli._output import note
from humus.errors import ConfigError, HumusError

__all__ = ["Commands", "examples", "group", "listing", "usage_error"]

SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """The root of all commands: a `HumusError` out of any of them is a message and an exit code, without a traceback.

    What is no `HumusError` is a fault of ours, and keeps its traceback (which shows no values).
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for fault in error.faults:
                note(" ".join(fault.split("\n")))
            raise typer.Exit(ExitCode.USAGE) from None
        except HumusError as error:
            note(f"error: {error}")
            raise typer.Exit(ExitCode.ERROR) from None


def group(summary: str) -> typer.Typer:
    """Make a group of commands, to be added in `_app.py`."""
    return typer.Typer(help=summary, no_args_is_help=True, context_settings=SETTINGS, rich_markup_mode="rich")


def examples(*lines: tuple[str, str]) -> str:
    """Return the end of a command's help: command lines, each with what it does."""
    return listing("Examples", lines)


def listing(title: str, entries: Iterable[tuple[str, str]]) -> str:
    """Return a part of a help's end, in two columns."""
    rows = list(entries)
    width = max(len(left) for left, _ in rows)
    lines = [  # typer takes away what all lines are indented by, so none may begin with a space
        f"[bold]  {escape(left)}[/bold]{' ' * (width - len(left))}  [dim]{escape(right)}[/dim]" for left, right in rows
    ]
    return "\n".join([f"{title}:", *lines])


def usage_error(message: str) -> NoReturn:
    """End with a wrong argument: the message, a hint at `--help`, exit code 2."""
    raise typer.BadParameter(message)
