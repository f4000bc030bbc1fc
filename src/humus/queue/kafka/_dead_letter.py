"""The dead letter of a record that failed for good: what is written, byte for byte (D32). Nothing here writes it.

The letter is the record itself, with headers behind its own that say where it comes from and why it failed. A record
that is a dead letter already keeps its `humus.dlt.original.*` headers, so that they always name the first topic; what
is said of a failure is always of the last one, and replaces what was said before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from humus.queue.kafka._message import Header, Message

__all__ = ["PREFIX", "Answered", "DeadLetter", "LastFailure", "Post", "Refusal", "dead_letter_of"]

PREFIX: Final = "humus.dlt."
"""What the names of all headers begin with that a dead letter has beside the record's own."""
_ORIGINAL: Final = f"{PREFIX}original."
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class LastFailure(NamedTuple):
    """What there is to say of a record's last failure: `message` and `stack` are cut to size already."""

    group: str
    attempts: int
    type: str
    message: str
    stack: str


class DeadLetter(NamedTuple):
    """A record for the dead-letter topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]

    def header(self, key: str) -> bytes | None:
        """Return the last header of that name, `None` where there is none, as `Message.header`."""
        return next((value for name, value in reversed(self.headers) if name == key), None)


def dead_letter_of(message: Message, failure: LastFailure, topic: str) -> DeadLetter:
    """Return the dead letter of a record: text in UTF-8, numbers in decimal, the timestamp in ms since the epoch."""
    headers = message.headers
    is_letter = any(header.key.startswith(_ORIGINAL) for header in headers)
    kept = tuple(header for header in headers if not _is_of_a_failure(header.key))
    added = [] if is_letter else _original(message)
    added += [
        ("group", failure.group),
        ("attempts", str(failure.attempts)),
        ("exception.type", failure.type),
        ("exception.message", failure.message),
        ("exception.stacktrace", failure.stack),
    ]
    return DeadLetter(
        topic,
        message.key,
        message.value,
        (*kept, *(Header(PREFIX + name, text.encode("utf-8", "backslashreplace")) for name, text in added)),
    )


def _original(message: Message) -> list[tuple[str, str]]:
    place = [
        ("original.topic", message.topic),
        ("original.partition", str(message.partition)),
        ("original.offset", str(message.offset)),
    ]
    when = message.timestamp
    return place if when is None else [*place, ("original.timestamp", str((when - _EPOCH) // _MILLISECOND))]


def _is_of_a_failure(name: str) -> bool:
    return name.startswith(PREFIX) and not name.startswith(_ORIGINAL)


_NEVER: Final = frozenset(
    {
        "MSG_SIZE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
        "INVALID_MSG_SIZE",
        "INVALID_MSG",
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "POLICY_VIOLATION",
        "TOPIC_EXCEPTION",
        "_BAD_MSG",
        "_INVALID_ARG",
    }
)
"""Refusals of the letter itself, which the same letter meets again; all others may pass."""
_MAY_NOT_WRITE: Final = (
    "grant this user WRITE on the dead-letter topic (brokers before 2.8 also want IDEMPOTENT_WRITE on the cluster)"
)
_WHAT_TO_DO: Final = {
    "MSG_SIZE_TOO_LARGE": "it is larger than the dead-letter topic takes: raise max.message.bytes of the topic",
    "RECORD_LIST_TOO_LARGE": "it is larger than a segment of the dead-letter topic: raise segment.bytes of the topic",
    "INVALID_RECORD": "the dead-letter topic does not take such a record (a compacted topic takes none without a key)",
    "UNKNOWN_TOPIC_OR_PART": "create the dead-letter topic",
    "_UNKNOWN_TOPIC": "create the dead-letter topic",
    "_UNKNOWN_PARTITION": "create the dead-letter topic",
    "TOPIC_AUTHORIZATION_FAILED": _MAY_NOT_WRITE,
    "CLUSTER_AUTHORIZATION_FAILED": _MAY_NOT_WRITE,
    "NOT_ENOUGH_REPLICAS": "too few replicas of the dead-letter topic are in sync: look at its brokers",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "too few replicas of the dead-letter topic are in sync: look at its brokers",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a dead letter is not written: the client's code and words."""

    code: str
    reason: str

    @property
    def final(self) -> bool:
        """Whether the same letter would be refused for ever."""
        return self.code in _NEVER

    @property
    def what_to_do(self) -> str | None:
        """What a person can do about it, `None` where nothing is known; several codes may ask for the same."""
        return _WHAT_TO_DO.get(self.code)

    def __str__(self) -> str:
        return f"{self.reason} ({self.code}){f': {self.what_to_do}' if self.what_to_do else ''}"


Answered = Callable[[Refusal | None], None]
"""Called once, on a thread of the letter box or the caller's own; must neither block nor raise."""


class Post(Protocol):
    """What a worker needs of a letter box."""

    def post(self, letter: DeadLetter, answered: Answered) -> None:
        """Write a letter. Any thread."""
        ...
