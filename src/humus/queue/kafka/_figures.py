"""What a runtime has counted, as its metrics are read from; made by the poll thread, read from any."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Counts

__all__ = ["Figures"]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a runtime has counted, as of a moment ago; immutable.

    `behind_since` is when the oldest record was handled that is not committed, in seconds of `time.monotonic()`.
    """

    counts: Mapping[TopicPartition, Counts] = field(default_factory=dict)
    lag: Mapping[TopicPartition, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    buffered: int = 0
    behind_since: float | None = None
    rebalances: Mapping[str, int] = field(default_factory=dict)
