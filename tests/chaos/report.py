"""The table: what was done, and what was seen."""

from collections.abc import Iterable, Sequence

from tests.chaos.plan import Fault
from tests.chaos.verdict import Effect, Verdict

__all__ = ["report"]

_COLUMNS = ("fault", "times", "handled again", "most", "oldest s", "longest standstill s")
_TOTALS = ("group", "protocol", "records", "lost", "twice", "handled again", "announced", "by zombies")


def report(verdict: Verdict) -> str:
    """Return the tables, and what is wrong."""
    kinds = [(fault, [one for one in verdict.effects if one.happened.fault is fault]) for fault in Fault]
    rows = [_row(fault, effects) for fault, effects in kinds if effects]
    groups = [
        (one.number, one.protocol, f"{one.handled:,}", one.lost, one.twice, one.again, one.said, one.by_zombies)
        for one in verdict.groups
    ]
    wrong = [f"FAILED: {failure}" for failure in verdict.failures] or ["0 lost, 0 twice without a reason"]
    return "\n".join([*_table(_COLUMNS, rows), "", *_table(_TOTALS, groups), "", *wrong])


def _row(fault: Fault, effects: Sequence[Effect]) -> Sequence[object]:
    again = [effect.again for effect in effects]
    oldest = max(effect.oldest for effect in effects)
    standstill = max(effect.standstill for effect in effects)
    return (fault, len(effects), sum(again), max(again), f"{oldest:.2f}", f"{standstill:.1f}")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lay a table out in Markdown, which reads well on a terminal, too."""
    texts = [tuple(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *texts)]
    rule = " | ".join("-" * width for width in widths)
    return [f"| {line} |" for line in (lines[0], rule, *lines[1:])]
