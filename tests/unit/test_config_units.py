"""Durations and sizes as people write them, and what is refused."""

from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from humus.config import Duration, Size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("1d2h3m4s5ms6us7ns", 93784.005006007),
        ("0s", 0.0),
        ("0.1s", 0.1),
        ("PT1M30S", 90.0),
        ("P1DT12H", 129600.0),
        ("P2W", 1209600.0),
        ("PT0.5S", 0.5),
        ("45", 45.0),
        (45, 45.0),
        (0.25, 0.25),
        (timedelta(minutes=1), 60.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    """Compact, ISO 8601 and plain durations come out in seconds, without rounding on the way."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", "s", "-1s", "1s1m", "1s1s", "10 s", "10S", "1e3s", "P", "PT", "P1Y", "P1M", "PT5", "nan", "inf", "٣s"),
        *(-1, -0.5, float("nan"), float("inf"), 10**400, True, None, [], timedelta(seconds=-1)),
    ],
)
def test_no_durations(value: object) -> None:
    """Everything else is refused, without showing the value."""
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("50MiB", 50 * 2**20),
        ("64KiB", 2**16),
        ("1MB", 10**6),
        ("1kB", 1000),
        ("1 GiB", 2**30),
        ("1.5KiB", 1536),
        ("12B", 12),
        ("12", 12),
        (12, 12),
        (0, 0),
    ],
)
def test_sizes(text: object, size: int) -> None:
    """Binary and decimal units and plain numbers come out in bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("value", ["", "MiB", "1M", "1K", "-1B", "1.5B", "1e3", "50 MiBs", 1.0, -1, True, None, []])
def test_no_sizes(value: object) -> None:
    """Everything else is refused, units that may mean two things and parts of bytes included."""
    with pytest.raises(ValueError, match="must be a size such as"):
        parse_size(value)


def test_as_fields() -> None:
    """In a model of the user's own the values are seconds and bytes, and the schema allows both spellings."""

    class Mine(BaseModel):
        wait: Duration
        room: Size

    mine = Mine.model_validate({"wait": "1m", "room": "1KiB"})
    assert (mine.wait, mine.room) == (60.0, 1024)
    with pytest.raises(ValidationError, match="2 validation errors"):
        Mine.model_validate({"wait": "soon", "room": "big"})
    assert Mine.model_json_schema()["properties"]["wait"]["type"] == ["number", "string"]
