"""What a human sees: a live panel on a terminal, plain lines elsewhere; and the tables at the end."""

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from flights_check import Report, add_up
from flights_group import Member
from flights_letters import Letter
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Screen"]

_LINE_EVERY_SECONDS = 1.0
_TOP_ROUTES = 10


class Screen:
    """Prints to `console`. Used by one thread."""

    def __init__(self, console: Console, partitions: int) -> None:
        self.console = console
        self._partitions = range(partitions)
        self._started = self._last_line = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def running(self) -> AbstractContextManager[object]:
        """While this context is open, `progress` is shown."""
        return nullcontext() if self._live is None else self._live

    def event(self, text: str) -> None:
        """Say that something happened, with the seconds since the start."""
        self.console.print(f"[dim]{time.monotonic() - self._started:5.1f} s[/]  {text}", highlight=False)

    def progress(self, handled: int, total: int, written: int, members: Iterable[Member]) -> None:
        """Show how far it is; often is fine."""
        if self._live is not None:
            self._live.update(self._panel(handled, total, written, members), refresh=True)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_SECONDS:
            self._last_line = time.monotonic()
            each = ", ".join(f"{m.name} {m.testimony.handled:,} on {len(m.testimony.partitions)}" for m in members)
            self.event(f"{handled:,} of {total:,} flights handled, {written:,} written; partitions: {each}")

    def _panel(self, handled: int, total: int, written: int, members: Iterable[Member]) -> Group:
        bars = Table.grid(padding=(0, 2))
        for name, number in (("written", written), ("handled", handled)):
            bars.add_row(name, ProgressBar(total=total, completed=number, width=50), f"{number:>9,}")
        table = Table.grid(padding=(0, 2))
        for member in members:
            said = member.testimony
            state = "" if member.running else "[dim]left[/]"
            held = "".join("■" if p in said.partitions else "·" for p in self._partitions)
            table.add_row(member.name, f"[green]{held}[/]", f"{said.handled:>9,}", state)
        return Group(Text(), bars, Text(), table)

    def result(self, reports: Iterable[Report]) -> None:
        """Print the table of delays: the routes with the most delay of all."""
        sums = add_up(reports)
        table = Table(title="Departure delays by carrier and airport", title_justify="left")
        table.add_column("carrier")
        table.add_column("airport")
        for heading in ("flights", "minutes of delay", "minutes a flight"):
            table.add_column(heading, justify="right")
        by_minutes = sorted(sums["minutes"].items(), key=lambda item: -item[1])
        for route, minutes in by_minutes[:_TOP_ROUTES]:
            carrier, airport = route.split(" ")
            flights = sums["flights"][route]
            table.add_row(carrier, airport, f"{flights:,}", f"{minutes:,}", f"{minutes / flights:.1f}")
        if len(by_minutes) > _TOP_ROUTES:
            table.caption = f"and {len(by_minutes) - _TOP_ROUTES} more"
        self.console.print(table)

    def letter(self, letter: Letter) -> None:
        """Print one dead letter: the record as it was, and what the runtime says of it."""
        table = Table(title="One of the dead letters", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(overflow="fold")
        table.add_row("key", Text(letter.key))
        table.add_row("value", Text(letter.value))
        for name, value in letter.headers.items():
            lines = value.strip().splitlines() or [""]
            table.add_row(name, Text(lines[-1].strip() if len(lines) > 1 else lines[0]))
        self.console.print(table)

    def runtime(self, rows: Mapping[str, str]) -> None:
        """Print the table of what the runtime did."""
        table = Table(title="What the runtime did", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for what, number in rows.items():
            table.add_row(what, number)
        self.console.print(table)
