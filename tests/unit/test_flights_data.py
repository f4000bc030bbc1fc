"""The demo's data set and its account: what decides whether the demo says "0 lost, 0 twice"."""

import json
from collections import Counter
from importlib import metadata

import pytest
from flights_check import Account, Span, account, add_up, faults, handled_once
from flights_data import FLIGHTS, DataSetMissing, Truth, find_file, flights, record

LINE = {
    "time_hour": "2013-01-01T10:00:00Z",
    "carrier": "UA",
    "flight": "1545",
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "sched_dep_time": "515",
    "dep_time": "517",
    "dep_delay": "-2",
    "hour": "5",
}
CANCELLED = LINE | {"tailnum": "NA", "dep_time": "NA", "dep_delay": "NA"}


def test_the_file_is_the_one_that_the_demo_promises() -> None:
    """336,776 flights of 4,043 known aeroplanes, 8,255 without a departure, 2,512 without a tail number."""
    truth, tails = Truth(), Counter[str]()
    for flight in flights(find_file()):
        truth.add(flight)
        tails[flight["tailnum"]] += 1

    assert (truth.total, truth.departed, truth.cancelled) == (FLIGHTS, 328_521, 8_255)
    assert (len(tails) - 1, tails["NA"]) == (4_043, 2_512)


def test_a_limit_takes_the_first_flights() -> None:
    """`--records 3` is the first three lines of the file."""
    assert [flight["flight"] for flight in flights(find_file(), 3)] == ["1545", "1714", "1141"]


def test_a_record_is_json_keyed_by_tail_number() -> None:
    """Numbers are numbers, the key is the aeroplane, and columns that nobody reads are left out."""
    key, value = record(LINE)
    assert key == b"N14228"
    assert json.loads(value) == {
        "time_hour": "2013-01-01T10:00:00Z",
        "carrier": "UA",
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "sched_dep_time": 515,
        "dep_time": 517,
        "dep_delay": -2,
    }


def test_what_the_file_does_not_know_is_null() -> None:
    """`NA` is JSON's null, and a flight of no known aeroplane has no key."""
    key, value = record(CANCELLED)
    assert key is None
    assert (json.loads(value)["dep_time"], json.loads(value)["tailnum"]) == (None, None)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the data set the demo names the command that brings it."""

    def nothing(_name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", nothing)
    with pytest.raises(DataSetMissing, match=r"requirements/data\.txt"):
        find_file()


@pytest.mark.parametrize(
    ("written", "members", "expected"),
    [
        ({0: 4, 1: 0}, [{0: [(0, 4)]}], Account(handled=4, lost=0, twice=0)),
        ({0: 4}, [{0: [(0, 2)]}, {0: [(2, 4)]}], Account(handled=4, lost=0, twice=0)),
        ({0: 4}, [{0: [(0, 3)]}, {0: [(2, 4)]}], Account(handled=5, lost=0, twice=1)),
        ({0: 4}, [{0: [(0, 1), (2, 4)]}], Account(handled=3, lost=1, twice=0)),
        ({0: 4, 1: 2}, [{0: [(0, 4), (0, 4)]}], Account(handled=8, lost=2, twice=4)),
        ({0: 4}, [{0: [(0, 1), (0, 1), (2, 4)]}], Account(handled=4, lost=1, twice=1)),
        ({0: 9}, [{0: [(0, 9), (2, 3), (4, 6)]}], Account(handled=12, lost=0, twice=3)),
    ],
)
def test_the_account_tells_lost_from_twice(
    written: dict[int, int], members: list[dict[int, list[Span]]], expected: Account
) -> None:
    """One record lost and another one twice do not cancel out, whoever handled them."""
    assert account(written, members) == expected


def test_a_record_counts_once_for_the_progress() -> None:
    """Progress is made by records handled for the first time."""
    assert handled_once({0: [(0, 3), (1, 4)], 1: [(5, 6)]}) == 5


def test_reports_of_several_members_add_up() -> None:
    """Each member knows its own flights; the result is their sum."""
    one = {"flights": {"UA EWR": 1}, "minutes": {"UA EWR": -3}}
    two = {"flights": {"UA EWR": 2, "AA JFK": 1}, "minutes": {"UA EWR": 5, "AA JFK": 7}}
    assert add_up([one, two]) == {
        "flights": {"UA EWR": 3, "AA JFK": 1},
        "minutes": {"UA EWR": 2, "AA JFK": 7},
    }


def test_every_difference_is_a_fault() -> None:
    """A wrong count, a wrong sum, a missing route and one too many are each named."""
    truth = Truth(flights={"UA EWR": 1, "AA JFK": 1}, minutes={"UA EWR": 5, "AA JFK": 0})
    reports = [{"flights": {"UA EWR": 1, "B6 JFK": 1}, "minutes": {"UA EWR": 6}}]
    assert faults(truth, {"records lost": (1, 0), "records written": (3, 3)}, reports) == [
        "records lost: 1, and it should be 0",
        "flights of AA JFK: 0, and the file says 1",
        "flights of B6 JFK: 1, and the file says 0",
        "minutes of UA EWR: 6, and the file says 5",
    ]
    right = [{"flights": dict(truth.flights), "minutes": dict(truth.minutes)}]
    assert faults(truth, {"records lost": (0, 0)}, right) == []
