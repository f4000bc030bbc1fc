"""What the core tells the shell to do, and what workers tell the core. Plain values: nothing here acts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Failure, Key, Piece

__all__ = [
    "AskEnds",
    "Cancel",
    "Command",
    "Commit",
    "DeadLettered",
    "Drain",
    "Failed",
    "Failing",
    "Fatal",
    "Feed",
    "GiveBack",
    "Halted",
    "Notice",
    "Pause",
    "Resume",
    "Stopped",
    "Waits",
    "WorkerDone",
    "WorkerEvent",
]

# -- core to shell ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """Hand pieces to the partition's worker; start it with the first."""

    key: Key
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Drain:
    """Let the worker end, and say so: after the record in flight, or (`finish`) after everything it was handed."""

    key: Key
    finish: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the worker now: cancel it (async) or leave it behind (sync). It still says when it has ended."""

    key: Key


@dataclass(frozen=True, slots=True)
class Pause:
    """Fetch nothing more of these partitions."""

    tps: Sequence[TopicPartition]


@dataclass(frozen=True, slots=True)
class Resume:
    """Fetch these partitions again."""

    tps: Sequence[TopicPartition]


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit asynchronously: {partition: (offset, leader epoch, -1 where unknown)}."""

    offsets: Mapping[TopicPartition, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AskEnds:
    """Ask the cluster where the logs of these partitions begin and end.

    Of those in `unknown` nothing was received, so ask what is committed as well.
    """

    keys: Sequence[Key]
    unknown: Sequence[Key]


@dataclass(frozen=True, slots=True)
class AskStarts:
    """Ask the cluster where these partitions begin: at what is committed, else as `auto_offset_reset` says."""

    keys: Sequence[Key]


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin to fetch partitions: {partition: (offset, leader epoch, -1 where unknown)}."""

    offsets: Mapping[TopicPartition, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Complete the pending revoke: unassign these partitions."""

    tps: Sequence[TopicPartition]


@dataclass(frozen=True, slots=True)
class Stopped:
    """Everything is drained and committed, or out of time: leave the group and close."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something an operator wants to read; never a payload."""

    level: Literal["info", "warning", "error"]
    text: str
    tp: TopicPartition | None = None
    offset: int | None = None
    error_type: str | None = None


Command = Feed | Drain | Cancel | Pause | Resume | Commit | AskEnds | AskStarts | Begin | GiveBack | Stopped | Notice

# -- workers to core ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerDone:
    """The worker has ended: everything below `position` is handled, nothing else will be."""

    key: Key
    position: int


@dataclass(frozen=True, slots=True)
class Failing:
    """An attempt failed and will be repeated."""

    key: Key
    failure: Failure


@dataclass(frozen=True, slots=True)
class Waits:
    """The record in flight waits and shows why: its dead letter is not confirmed, or its handler is past its time."""

    key: Key
    failure: Failure


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """A record failed for good, its dead letter is confirmed, and the partition goes on."""

    key: Key
    failure: Failure


@dataclass(frozen=True, slots=True)
class Failed:
    """A record failed for good and the partition goes on: skipped (at least once) or consumed (at most once)."""

    key: Key
    failure: Failure


@dataclass(frozen=True, slots=True)
class Halted:
    """A record failed for good under `halt()`; the worker has ended at it."""

    key: Key
    failure: Failure


@dataclass(frozen=True, slots=True)
class Fatal:
    """A record ends the runtime; the worker has ended at `position`, the failed record's (at most once: behind it)."""

    key: Key
    position: int
    offset: int
    error: BaseException


WorkerEvent = WorkerDone | Failing | Waits | Failed | DeadLettered | Halted | Fatal
