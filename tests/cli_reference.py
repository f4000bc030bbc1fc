"""The reference of the command line, made of the commands themselves: `python -m tests.cli_reference` writes it.

It stands in docs/cli.md between two comments; a test holds it against the commands.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import typer.main
from rich.markup import render

from humus.cli._app import make_app
from humus.cli._exit import EXIT_CODES
from tests.docs import DOCS

__all__ = ["PAGE", "commands", "reference", "replaced"]

PAGE: Final = DOCS / "cli.md"
_PART: Final = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)
_MARKUP: Final = re.compile(r"[|<_*`]")
_SPARE: Final = {"help", "install_completion", "show_completion"}


def commands() -> Iterator[tuple[str, Any]]:
    """Return every command that does something, by its whole name, in the order of `--help`."""
    yield from _below("humus", typer.main.get_command(make_app()))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below in command.commands.values():
        yield from _below(f"{name} {below.name}", below)


def reference() -> str:
    """Return the part of the page."""
    return "\n".join([*(line for name, command in commands() for line in _of(name, command)), *_exit_codes()])


def replaced(page: str) -> str:
    """Return the page with its part made anew."""
    return _PART.sub(lambda _: f"\n{reference()}\n", page)


def _of(name: str, command: Any) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"## {name}"
    yield ""
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"`{re.sub(r'[{}]', '', usage)}`"
    yield ""
    yield _plain(command.help or "")
    yield ""
    rows = [row for parameter in command.get_params(context) if (row := _row(parameter)) is not None]
    if rows:
        yield "| argument, option | |"
        yield "|---|---|"
        yield from rows
        yield ""
    examples = list(_examples(command.epilog or ""))
    if examples:
        width = max(len(line) for line, _ in examples)
        yield "```console"
        yield from (f"{line:<{width}}  # {what}" for line, what in examples)
        yield "```"
        yield ""


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes"
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    for code, meaning in EXIT_CODES.items():
        yield f"| {code.value} | {meaning} |"


def _row(parameter: Any) -> str | None:
    if parameter.name in _SPARE or parameter.hidden:
        return None
    value = parameter.metavar or parameter.name.upper()
    if parameter.param_type_name == "argument":
        return f"| `{value}` | {_plain(parameter.help or '')} |"
    names = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
    return f"| {names}{'' if parameter.is_flag else f' `{value}`'} | {_plain(parameter.help or '')} |"


def _examples(epilog: str) -> Iterator[tuple[str, str]]:
    part = re.search(r"Examples:\n((?:  .*\n?)*)", render(epilog).plain)
    for line in part[1].splitlines() if part else ():
        command, _, what = line.strip().partition("  ")
        yield command, what.strip()


def _plain(text: str) -> str:
    """Return a help's text as Markdown."""
    parts = render(text).plain.strip().split("\n\n")
    return _MARKUP.sub(r"\\\g<0>", "\n\n".join(" ".join(part.split()) for part in parts))


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text()))
