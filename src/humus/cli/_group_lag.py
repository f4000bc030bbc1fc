"""A group partition by partition: what it has committed, where the log ends, who has it. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from humus.queue.kafka._message import TopicPartition

__all__ = ["GroupView", "Lag", "Member", "lag_rows", "total_lag"]


class Member(NamedTuple):
    """A member of a group, as its coordinator sees it."""

    member_id: str
    client_id: str
    host: str
    instance_id: str | None
    partitions: frozenset[TopicPartition]

    @property
    def name(self) -> str:
        """The name of its own, where it has one: its static one, else that of its client."""
        return self.instance_id or self.client_id

    def __str__(self) -> str:
        return f"{self.name} at {self.host.lstrip('/')}"


class GroupView(NamedTuple):
    """A group; `known` is whether its coordinator knows of it."""

    group: str
    known: bool
    state: str
    protocol: str
    members: tuple[Member, ...]


class Lag(NamedTuple):
    """A partition of a group. `lag` is `None` where nothing is committed, or what is committed is past the end."""

    topic: str
    partition: int
    committed: int | None
    end: int | None
    lag: int | None
    member: Member | None

    @property
    def at(self) -> TopicPartition:
        """The partition."""
        return TopicPartition(self.topic, self.partition)

    @property
    def past_end(self) -> bool:
        """Whether more is committed than there is: the topic was made anew, or lost its last records."""
        return self.committed is not None and self.end is not None and self.committed > self.end

    def as_json(self) -> dict[str, Any]:
        """Return it by name, the member in parts."""
        member = self.member
        return {
            **self._asdict(),
            "member": member and member.member_id,
            "client_id": member and member.client_id,
            "instance_id": member and member.instance_id,
            "host": member and member.host,
        }


def lag_rows(
    committed: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], members: Iterable[Member]
) -> list[Lag]:
    """Return a row for each partition that the group has committed or a member has, in order."""
    owners = {at: member for member in members for at in member.partitions}
    rows = []
    for at in sorted(committed.keys() | owners.keys()):
        done, end = committed.get(at), ends.get(at)
        lag = None if done is None or end is None or done > end else end - done
        rows.append(Lag(*at, done, end, lag, owners.get(at)))
    return rows


def total_lag(rows: Iterable[Lag]) -> int:
    """Return the sum of what is known."""
    return sum(row.lag for row in rows if row.lag is not None)
