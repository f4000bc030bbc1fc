"""`humus dlq`: its arguments and its help."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from humus.cli._commands import examples, group, usage_error
from humus.cli._kafka import Brokers, ConfigFiles, connect
from humus.cli._output import Json

if TYPE_CHECKING:
    from humus.cli._dlq import Filters

__all__ = ["dlq"]

_FILTERS: Final = "Filters"
_Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="The dead-letter topic.", show_default=False)]
_Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Written at this time or later: 2026-01-31T12:00:00Z, or how long ago, 2h.",
        rich_help_panel=_FILTERS,
    ),
]
_Until = Annotated[str | None, typer.Option(metavar="TIME", help="Written before this time.", rich_help_panel=_FILTERS)]
_Exception = Annotated[
    list[str] | None,
    typer.Option(
        "--exception",
        "-e",
        metavar="TYPE",
        help="Failed with this exception, by its name or its full name; * stands for anything. Repeatable.",
        rich_help_panel=_FILTERS,
    ),
]
_Source = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TOPIC[:P,...]",
        help="Came from this topic, or these partitions of it. Repeatable.",
        rich_help_panel=_FILTERS,
    ),
]
_Letter = Annotated[
    list[str] | None,
    typer.Option(metavar="P:OFFSET", help="This one letter. Repeatable.", rich_help_panel=_FILTERS),
]
_MaxReplays = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Was replayed N times before, at most.", rich_help_panel=_FILTERS),
]
_GroupName = Annotated[
    str | None,
    typer.Option(
        "--group", metavar="NAME", help="The consumer group that holds the progress. Default: humus-replay-TOPIC."
    ),
]
_LIST: Final = examples(
    ("humus dlq list orders.dlt -b localhost:9092", "how many of each kind"),
    ("humus dlq list orders.dlt -c app.yaml --letters --since 2h", "one by one, of the last two hours"),
    ("humus dlq list orders.dlt -c app.yaml -e ValueError --source orders:0 --json", "for a script"),
)
_SHOW: Final = examples(
    ("humus dlq show orders.dlt 0 1234 -b localhost:9092", "the headers of one letter"),
    ("humus dlq show orders.dlt 0 --last --payload -c app.yaml", "the newest of a partition, with key and value"),
)
_REPLAY: Final = examples(
    ("humus dlq replay orders.dlt -c app.yaml", "a dry run: shows what would be"),
    ("humus dlq replay orders.dlt -c app.yaml --execute", "all letters that were not replayed yet"),
    ("humus dlq replay orders.dlt -c app.yaml -e TimeoutError --limit 10 --execute", "some; the others stay"),
    ("humus dlq replay orders.dlt -c app.yaml --letter 0:1234 --execute", "one letter"),
    ("humus dlq replay others.dlt -c app.yaml --to orders --execute", "letters that do not say where they are from"),
)

dlq = group("Look through dead letters, and replay them.")


@dlq.command("list", epilog=_LIST)
def list_letters(
    topic: _Topic,
    *,
    letters: Annotated[bool, typer.Option("--letters", help="A line for each letter.")] = False,
    since: _Since = None,
    until: _Until = None,
    exception: _Exception = None,
    source: _Source = None,
    letter: _Letter = None,
    max_replays: _MaxReplays = None,
    group_name: _GroupName = None,
    brokers: Brokers = None,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Count the dead letters of a topic by exception and by the partition that they came from.

    REPLAYED are those that humus dlq replay has sent back; FAILED AGAIN those that had been replayed before they came
    here.
    """
    from humus.cli import _dlq  # noqa: PLC0415 - the client is not for `--help`

    filters = _filters(since, until, exception, source, letter, max_replays)
    _dlq.list_letters(connect(brokers, config), topic, filters, group_name, each=letters, json=json)


@dlq.command(epilog=_SHOW)
def show(
    topic: _Topic,
    partition: Annotated[int, typer.Argument(min=0, metavar="PARTITION", show_default=False)],
    offset: Annotated[int | None, typer.Argument(min=0, metavar="[OFFSET]", show_default=False)] = None,
    *,
    last: Annotated[bool, typer.Option("--last", help="The newest one, instead of an offset.")] = False,
    payload: Annotated[
        bool, typer.Option("--payload", help="Show key and value as well: they may be private.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, metavar="BYTES", help="So much of key and value, at most.")] = 4096,
    brokers: Brokers = None,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Show one dead letter: its headers, which say where it came from and why it failed."""
    if last == (offset is not None):
        usage_error("say which letter: either its OFFSET, or --last")
    from humus.cli import _dlq  # noqa: PLC0415

    _dlq.show(connect(brokers, config), topic, partition, offset, payload=payload, limit=limit, json=json)


@dlq.command(epilog=_REPLAY)
def replay(
    topic: _Topic,
    *,
    execute: Annotated[bool, typer.Option("--execute", help="Do it. Without, it is a dry run.")] = False,
    to: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Send all to this topic, instead of where each came from.")
    ] = None,
    skip_foreign: Annotated[
        bool, typer.Option("--skip-foreign", help="Pass letters over that do not say where they came from.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Send so many, at most.")] = None,
    first_time: Annotated[
        bool,
        typer.Option("--first-time", help="Say that letters older than the broker's memory were never replayed."),
    ] = False,
    since: _Since = None,
    until: _Until = None,
    exception: _Exception = None,
    source: _Source = None,
    letter: _Letter = None,
    max_replays: _MaxReplays = None,
    group_name: _GroupName = None,
    brokers: Brokers = None,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Send dead letters back to the topic and partition that they came from: a dry run, unless --execute is given.

    Key, value and headers are those of the record that failed; the header humus.replays counts its replays. What was
    replayed is kept as offsets of a consumer group, in one transaction with the letters: nothing is replayed twice,
    whichever filters are given and whenever it is interrupted. Letters that the filters pass over stay for a later
    replay.
    """
    from humus.cli import _dlq  # noqa: PLC0415
    from humus.cli._replay_plan import Rules  # noqa: PLC0415

    filters = _filters(since, until, exception, source, letter, max_replays)
    rules = Rules(topic, to=to, skip_foreign=skip_foreign, limit=limit, first_time=first_time)
    _dlq.replay(connect(brokers, config), topic, filters, group_name, rules, execute=execute, json=json)


def _filters(  # noqa: PLR0917 - as typed
    since: str | None,
    until: str | None,
    exception: list[str] | None,
    source: list[str] | None,
    letter: list[str] | None,
    max_replays: int | None,
) -> "Filters":
    from humus.cli._dlq import Filters  # noqa: PLC0415

    return Filters(since, until, exception or (), source or (), letter or (), max_replays)
