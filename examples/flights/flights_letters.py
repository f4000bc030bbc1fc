"""The dead letters of the demo: how many there are, and what one looks like."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

__all__ = ["LETTERS", "LETTER_PARTITIONS", "Letter", "count_letters", "read_letter"]

LETTERS = "flights.dlt"
LETTER_PARTITIONS = 12
_WITHIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, as text."""

    key: str
    value: str
    headers: Mapping[str, str]


def count_letters(asking: Consumer) -> int:
    """Return how many dead letters the broker has."""
    return sum(end - begin for begin, end in _offsets(asking).values())


def read_letter(asking: Consumer) -> Letter | None:
    """Return one dead letter, `None` where there is none."""
    for number, (begin, end) in _offsets(asking).items():
        if end > begin:
            asking.assign([TopicPartition(LETTERS, number, begin)])
            record = asking.poll(_WITHIN_SECONDS)
            if record is not None and not record.error():
                headers = {header[0]: _text(header[1]) for header in record.headers() or []}
                return Letter(_text(record.key()), _text(record.value()), headers)
    return None


def _offsets(asking: Consumer) -> dict[int, tuple[int, int]]:
    places = [TopicPartition(LETTERS, number) for number in range(LETTER_PARTITIONS)]
    return {place.partition: asking.get_watermark_offsets(place, _WITHIN_SECONDS) for place in places}


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
