"""`humus status`: what a running service is doing, partition by partition."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.live import Live

from humus.cli._commands import examples
from humus.cli._exit import ExitCode
from humus.cli._fetch import NO_HUMUS, NoStatus, fetch, status_url
from humus.cli._looks import Look, compare, read
from humus.cli._output import Json, note, print_json, table_console
from humus.cli._status_table import render

__all__ = ["EXAMPLES", "status"]

EXAMPLES: Final = examples(
    ("humus status", "the service on this machine, live"),
    ("humus status 10.0.0.7:8080 --once", "one table"),
    ("humus status --json | jq .ok", "for a script"),
)


def status(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where the service's health server is.")
    ] = "http://127.0.0.1:8080",
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--once",
            help="Keep looking until Ctrl-C, or look twice, for the rates.",
            show_default="--watch on a terminal",
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-n", metavar="SECONDS", min=0.1, max=3600, help="Time between two looks.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Show the partitions of a running service: where each is, how far behind, how fast, and what fails.

    Exit code 1 when the service has problems (a halted partition, brokers away, ...) or cannot be asked.

    What fails is told by its type alone: what an exception says may hold a piece of a record.
    """
    address = status_url(url)
    if watch or (watch is None and sys.stdout.isatty() and not as_json):
        _watch(address, interval, as_json=as_json)
        return
    first = _look(address)
    time.sleep(interval)
    look = compare(first, _look(address))
    _print(look, address, as_json=as_json)
    if look.problems:
        raise typer.Exit(ExitCode.ERROR)


def _look(address: str) -> Look:
    look = read(fetch(address), time.monotonic())
    if look is None:
        raise NoStatus(f"{address}: {NO_HUMUS}, or one of another version")
    return look


def _print(look: Look, address: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": address, "ok": not look.problems, **look.model_dump(exclude={"at": True})})
    else:
        table_console().print(render(look))


def _watch(address: str, interval: float, *, as_json: bool) -> None:
    """Look until Ctrl-C. The first look has to succeed; later on the service may go and come back."""
    looks = _looks(address, interval)
    if as_json or not sys.stdout.isatty():
        for look, wrong in looks:
            if wrong is None:
                _print(look, address, as_json=as_json)
            else:
                note(f"error: {wrong}")
        return
    console = table_console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for look, wrong in looks:
            live.update(render(look, height=console.height, note=wrong), refresh=True)


def _looks(address: str, interval: float) -> Iterator[tuple[Look, str | None]]:
    """Yield one look after the other; while the service is away the last one, and why."""
    look, wrong = _look(address), None
    while True:
        yield look, wrong
        time.sleep(interval)
        try:
            look, wrong = compare(look, _look(address)), None
        except NoStatus as error:
            wrong = str(error)
