"""Puts the command line together: a line for each command or group of commands."""

from typing import Annotated

import typer

from humus._version import __version__
from humus.cli import _config, _new, _status
from humus.cli._commands import SETTINGS, Commands, examples, listing
from humus.cli._dlq_commands import dlq
from humus.cli._exit import EXIT_CODES, ExitCode
from humus.cli._group_commands import LAG_EXAMPLES, lag, offsets
from humus.cli._output import out

__all__ = ["make_app"]


def make_app() -> typer.Typer:
    """Make the application."""
    app = typer.Typer(
        name="humus",
        cls=Commands,
        no_args_is_help=True,
        context_settings=SETTINGS,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,  # its tracebacks show values, which may be secrets
        epilog=_epilog(),
    )
    app.callback()(_root)
    app.command("new", epilog=_new.EXAMPLES)(_new.new)
    app.command("status", epilog=_status.EXAMPLES)(_status.status)
    app.add_typer(_config.commands, name="config")
    app.command("lag", epilog=LAG_EXAMPLES)(lag)
    app.add_typer(offsets, name="offsets")
    app.add_typer(dlq, name="dlq")
    # From here on a line each: app.command("name", epilog=examples(...))(function), app.add_typer(GROUP, name="name").
    return app


def _version(asked: bool) -> None:
    if asked:
        out(f"humus {__version__}")
        raise typer.Exit(ExitCode.OK)


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Services that process Apache Kafka messages: start one, check it, look into it."""


def _epilog() -> str:
    shown = examples(
        ("humus COMMAND --help", "what a command takes, with examples"),
        ("humus --install-completion", "completion for your shell"),
    )
    codes = listing("Exit codes", [(f"{code.value:>3}", meaning) for code, meaning in EXIT_CODES.items()])
    return f"{shown}\n\n{codes}"
