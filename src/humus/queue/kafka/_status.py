"""What a runtime is doing: an immutable snapshot, made by the poll thread, read from any thread."""

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["FailureStatus", "PartitionStatus", "RuntimeState", "RuntimeStatus", "Totals"]

RuntimeState = Literal["new", "starting", "running", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class FailureStatus:
    """A record that does not get through: which, how often it was tried, for how long (seconds), and why."""

    offset: int
    attempts: int
    error_type: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition of this member.

    `state`: running, paused (its share of the buffer is full), retrying, waiting (for a handler of an earlier epoch),
    draining, halted or stalled (it has records and
    does not move). `position` is the next offset to handle, `committed` the last confirmed commit of this epoch,
    `lag` the records between position and the end of the log; each `None` until it is known. `in_flight` counts
    records that are fetched and not handled.
    """

    topic: str
    partition: int
    state: str
    position: int | None
    committed: int | None
    lag: int | None
    in_flight: int
    failure: FailureStatus | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start, partitions that left included.

    `handled` counts every record that reached its end, with `skipped` and `dead_lettered` (at least once) and `failed`
    (at most once) among them; `lost` are records committed and never handled (at most once); `stale` those that came
    again from an earlier fetch and were dropped; `stalls` how often a partition was found stalled;
    `jumps` how often one could not go on at its offset, because that is not in the log any more; `commits_refused`
    commits of a partition that were tried again. `assigned`, `revoked` and `lost_partitions` count rebalances that
    changed something.
    """

    consumed: int = 0
    handled: int = 0
    skipped: int = 0
    dead_lettered: int = 0
    failed: int = 0
    lost: int = 0
    stale: int = 0
    retries: int = 0
    stalls: int = 0
    jumps: int = 0
    commits_refused: int = 0
    assigned: int = 0
    revoked: int = 0
    lost_partitions: int = 0


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """A runtime as it was a moment ago. `problems` are states that need a look, one line each: no broker, a topic
    that does not exist, a halted or stalled partition, a record retried for a minute. `warnings` are worth to be told
    while all works: one of several brokers away.

    `made_at` is when it was made, in seconds of `time.monotonic()`. The poll thread makes a new one every tenth of a
    second (later with many partitions): an old one says that this thread does not turn.
    """

    state: RuntimeState
    group_id: str
    partitions: tuple[PartitionStatus, ...] = ()
    problems: tuple[str, ...] = ()
    totals: Totals = field(default_factory=Totals)
    made_at: float = field(default_factory=time.monotonic)
    warnings: tuple[str, ...] = ()

    @property
    def stalled(self) -> tuple[PartitionStatus, ...]:
        """The partitions that have records to handle and do not move, for no reason that is known."""
        return tuple(partition for partition in self.partitions if partition.state == "stalled")

    @property
    def rebalances(self) -> int:
        """How often partitions came, were given back or were lost."""
        return self.totals.assigned + self.totals.revoked + self.totals.lost_partitions

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries."""
        return asdict(self)

    def as_json(self) -> str:
        """Return JSON text."""
        return json.dumps(self.as_dict())
