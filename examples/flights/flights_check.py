"""The account: what was written against what the members handled. Pure; this is what decides the demo's exit code."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flights_data import Truth

__all__ = ["Account", "Handled", "Report", "Span", "account", "add_up", "faults", "handled_once", "merge"]

Span = tuple[int, int]
"""Offsets that were handled one after the other: the first, and the one behind the last."""

Handled = Mapping[int, Iterable[Span]]
"""By partition, in the order in which they were handled."""

Report = Mapping[str, Mapping[str, int]]
"""What the service writes: `flights` and `minutes`, by route."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the records: numbers of records."""

    handled: int
    lost: int
    twice: int


def account(written: Mapping[int, int], members: Iterable[Handled]) -> Account:
    """Compare the number of records written to each partition with what all members handled.

    `lost` records were handled by nobody; `twice` counts every further time that a record was handled.
    """
    everything = merge(members)
    runs = sum(end - start for spans in everything.values() for start, end in spans)
    once = handled_once(everything)
    return Account(handled=runs, lost=sum(written.values()) - once, twice=runs - once)


def merge(members: Iterable[Handled]) -> dict[int, list[Span]]:
    """Return the spans of all members, by partition."""
    everything: dict[int, list[Span]] = {}
    for member in members:
        for partition, spans in member.items():
            everything.setdefault(partition, []).extend(spans)
    return everything


def handled_once(handled: Handled) -> int:
    """Return how many different records were handled."""
    count = 0
    for spans in handled.values():
        reached = 0
        for start, end in sorted(spans):
            count += max(0, end - max(start, reached))
            reached = max(reached, end)
    return count


def faults(truth: Truth, counted: Mapping[str, tuple[int, int]], reports: Iterable[Report]) -> list[str]:
    """Return everything that is not as it should be, one line each; nothing, if all is well.

    `counted` holds, by what was counted, the number found and the number it should be; the sums of the `reports` are
    compared with the file's, route by route.
    """
    found = [f"{what}: {n:,}, and it should be {should:,}" for what, (n, should) in counted.items() if n != should]
    sums = add_up(reports)
    for what, should_be in (("flights", truth.flights), ("minutes", truth.minutes)):
        for route in sorted(should_be.keys() | sums[what].keys()):
            n, should = sums[what].get(route, 0), should_be.get(route, 0)
            if n != should:
                found.append(f"{what} of {route}: {n:,}, and the file says {should:,}")
    return found


def add_up(reports: Iterable[Report]) -> dict[str, dict[str, int]]:
    """Return the sum of several reports."""
    sums: dict[str, dict[str, int]] = {"flights": {}, "minutes": {}}
    for report in reports:
        for what, by_route in sums.items():
            for route, number in report[what].items():
                by_route[route] = by_route.get(route, 0) + number
    return sums
