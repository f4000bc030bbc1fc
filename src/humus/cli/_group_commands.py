"""`humus lag` and `humus offsets`: their arguments and their help."""

from typing import Annotated, Final

import typer

from humus.cli._commands import examples, group
from humus.cli._kafka import Brokers, ConfigFiles, connect
from humus.cli._output import Json

__all__ = ["LAG_EXAMPLES", "lag", "offsets"]

_Group = Annotated[str, typer.Argument(metavar="GROUP", help="The consumer group.", show_default=False)]
_Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic", "-t", metavar="TOPIC[:P,...]", help="Only this topic, or these partitions of it. Repeatable."
    ),
]
LAG_EXAMPLES: Final = examples(
    ("humus lag billing -b localhost:9092", "of all topics"),
    ("humus lag billing -c app.yaml --topic orders --json", "of one, for a script"),
)
_SHOW_EXAMPLES: Final = examples(("humus offsets show billing -b localhost:9092", "of all topics"))
_RESET_EXAMPLES: Final = examples(
    ("humus offsets reset billing -c app.yaml -t orders --to earliest", "a dry run: shows what would be"),
    ("humus offsets reset billing -c app.yaml -t orders --to earliest --execute", "does it"),
    ("humus offsets reset billing -c app.yaml -t orders --to 2026-01-31T12:00:00Z", "from a time on"),
    ("humus offsets reset billing -c app.yaml -t orders:0,3 --to 1234", "one offset"),
    ("humus offsets reset billing -c app.yaml -t orders --shift -100", "the last 100 of each again"),
)

offsets = group("Look at a consumer group's committed offsets, and move them.")


def lag(
    group_id: _Group,
    topic: _Topics = None,
    brokers: Brokers = None,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Show how far a consumer group is behind, partition by partition.

    END is the end of the log (its high watermark), as Kafka's own tools have it. A dash is where nothing is committed.
    """
    from humus.cli import _groups  # noqa: PLC0415 - the client is not for `--help`

    _groups.lag(connect(brokers, config), group_id, topic or [], json=json)


@offsets.command(epilog=_SHOW_EXAMPLES)
def show(
    group_id: _Group,
    topic: _Topics = None,
    brokers: Brokers = None,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Show what a consumer group has committed, and where the logs begin and end."""
    from humus.cli import _groups  # noqa: PLC0415

    _groups.show(connect(brokers, config), group_id, topic or [], json=json)


@offsets.command(epilog=_RESET_EXAMPLES)
def reset(
    group_id: _Group,
    *,
    topic: _Topics = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="earliest, latest, an offset, a time with its zone (2026-01-31T12:00:00Z), or how long ago (2h).",
        ),
    ] = None,
    shift: Annotated[
        int | None,
        typer.Option(metavar="N", help="By so many offsets, back where negative; not beyond the log's ends."),
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="The group may be one that does not exist yet.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="Do it. Without, it is a dry run.")] = False,
    brokers: Brokers = None,
    config: ConfigFiles = None,
    json: Json = False,
) -> None:
    """Move a consumer group's committed offsets: a dry run, unless --execute is given.

    The group must have no members; the broker itself refuses, should one join in between. All partitions move, or
    none.
    """
    from humus.cli import _groups  # noqa: PLC0415

    _groups.reset(
        connect(brokers, config),
        group_id,
        topic or [],
        to=to,
        shift=shift,
        create=create,
        execute=execute,
        json=json,
    )
