"""A look at a service, as a table for a terminal. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from humus.cli._looks import Look, PartitionLook, RuntimeLook

__all__ = ["render"]

_STYLES: Final = {"running": "green", "halted": "bold red", "stalled": "bold red", "retrying": "yellow"}
_LINES_AROUND: Final = 6
"""Of a table: its title, head, rules and sum."""
_LEAST_ROWS: Final = 3


def render(look: Look, *, height: int | None = None, note: str | None = None) -> RenderableType:
    """Return the tables of all runtimes.

    Args:
        look: what to show.
        height: lines that there are; of more partitions those in trouble or furthest behind are shown. `None`: all.
        note: what is wrong with the looking itself.
    """
    parts: list[RenderableType] = [] if note is None else [Text(note, style="bold red")]
    said = sum(len(runtime.problems) + len(runtime.warnings) for runtime in look.runtimes)
    room = None
    if height is not None:
        room = max(_LEAST_ROWS, (height - said - bool(note)) // max(1, len(look.runtimes)) - _LINES_AROUND)
    for runtime in look.runtimes:
        parts += _runtime(runtime, room)
    return Group(*parts)


def _runtime(runtime: RuntimeLook, room: int | None) -> Iterator[RenderableType]:
    count = len(runtime.partitions)
    title = Text(runtime.name, style="bold")
    title.append(f": {runtime.state}, {count} partition{'' if count == 1 else 's'}", style="default not bold")
    yield title
    for problem in runtime.problems:
        yield Text(f"problem: {problem}", style="red")
    for warning in runtime.warnings:
        yield Text(f"warning: {warning}", style="yellow")
    if count:
        yield _table(runtime.partitions, room)


def _table(partitions: Sequence[PartitionLook], room: int | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=len(partitions) > 1, footer_style="dim")
    lag, rate = _sum([one.lag for one in partitions]), _sum([one.rate for one in partitions])
    table.add_column("TOPIC", footer="all")
    table.add_column("PARTITION", justify="right")
    table.add_column("STATE")
    table.add_column("POSITION", justify="right")
    table.add_column("COMMITTED", justify="right")
    table.add_column("LAG", justify="right", footer=_whole(lag))
    table.add_column("RATE/S", justify="right", footer=_rate(rate))
    table.add_column("IN FLIGHT", justify="right", footer=_whole(sum(one.in_flight for one in partitions)))
    table.add_column("FAILURE")
    shown = _most_telling(partitions, room)
    for one in shown:
        table.add_row(
            Text(one.topic),
            str(one.partition),
            Text(one.state, style=_STYLES.get(one.state, "")),
            _whole(one.position),
            _whole(one.committed),
            _whole(one.lag),
            _rate(one.rate),
            _whole(one.in_flight),
            Text(_failure(one), style="red"),
        )
    if len(shown) < len(partitions):
        table.add_row(Text(f"and {len(partitions) - len(shown)} more", style="dim"))
    return table


def _most_telling(partitions: Sequence[PartitionLook], room: int | None) -> Sequence[PartitionLook]:
    if room is None or len(partitions) <= room:
        return partitions
    return sorted(partitions, key=lambda one: (not one.troubled, -(one.lag or 0), one.topic, one.partition))[: room - 1]


def _failure(one: PartitionLook) -> str:
    failure = one.failure
    if failure is None:
        return ""
    return f"{failure.error_type} at {failure.offset}, attempt {failure.attempts}, for {_time(failure.seconds)}"


def _sum(numbers: Sequence[int | float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _whole(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def _rate(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}" if number >= 10 or not number else f"{number:.1f}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
