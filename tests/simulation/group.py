"""The group's coordinator: members, generations, who owns what. Cooperative: partitions move in two steps.

A rebalance names what each member is to give back. When all of it is given back, or the rebalance time-out has removed
who did not, a new generation begins and what is free is assigned. A commit counts for the generation in which it was
sent, and only from a member that is known. Nobody tells a removed member: it finds out by a heartbeat or a commit.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from humus.queue.kafka._message import TopicPartition
from tests.simulation.luck import Luck

__all__ = ["Group", "Heard", "Membership"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a member's client hears at its next poll: "assigned", "revoked", "lost" or "unreadable"."""

    what: str
    tps: list[TopicPartition]
    generation: int | None = None
    member_id: int | None = None


@dataclass(slots=True)
class Membership:
    """One member as the coordinator knows it."""

    id: int
    hear: Callable[[Heard], None]
    generation: int = -1
    giving_back: set[TopicPartition] = field(default_factory=set)


class Group:
    """The coordinator. It drops nobody but at `expire`, `leave`, or past the rebalance time-out."""

    def __init__(
        self,
        tps: Sequence[TopicPartition],
        rebalance_timeout: float,
        removed: Callable[[int, list[TopicPartition]], None],
    ) -> None:
        self.members: dict[int, Membership] = {}
        self.owners: dict[TopicPartition, int] = {}
        self.generation = 0
        self.wanted: dict[TopicPartition, int] = {}
        self.rebalance_due = False
        self._tps = tps
        self._rebalance_timeout = rebalance_timeout
        self._removed = removed
        self._give_back_by = math.inf
        self._ids = 0

    @property
    def waiting(self) -> bool:
        """Whether partitions are still to be given back."""
        return self._give_back_by < math.inf

    def join(self, hear: Callable[[Heard], None]) -> Membership:
        """Take a new member; it gets partitions in the next rebalance."""
        self._ids += 1
        membership = self.members[self._ids] = Membership(self._ids, hear)
        self.rebalance_due = True
        return membership

    def leave(self, member_id: int) -> None:
        """Let a member go, and all that it owned be free."""
        membership = self.members.pop(member_id, None)
        if membership is None:
            return
        for tp in [tp for tp, owner in self.owners.items() if owner == member_id]:
            del self.owners[tp]
        self.rebalance_due = True
        self._go_on()

    def expire(self, member_id: int) -> None:
        """Remove a member that was not heard of: its partitions are free, whatever it believes."""
        self._removed(member_id, [tp for tp, owner in self.owners.items() if owner == member_id])
        self.leave(member_id)

    def tick(self, now: float) -> None:
        """Remove who has not given back in time."""
        if now >= self._give_back_by:
            for membership in [one for one in self.members.values() if one.giving_back]:
                self.expire(membership.id)

    def rebalance(self, luck: Luck, now: float, back: Collection[TopicPartition] = ()) -> None:
        """Distribute the partitions anew: most stay where they are. Those in `back` are given back in any case."""
        assert not self.waiting
        self.rebalance_due = False
        ids = list(self.members)
        if not ids:
            return
        for tp in self._tps:
            owner = self.owners.get(tp)
            if owner is None or luck.one_in(3):
                self.wanted[tp] = luck.choice(ids)
            else:
                self.wanted[tp] = owner
        self.generation += 1
        for membership in self.members.values():
            mine = [tp for tp, owner in self.owners.items() if owner == membership.id]
            moving = [tp for tp in mine if self.wanted[tp] != membership.id or tp in back]
            membership.generation = self.generation
            membership.giving_back = set(moving)
            if moving:
                membership.hear(Heard("revoked", luck.shuffled(moving), self.generation, membership.id))
                self._give_back_by = now + self._rebalance_timeout
        if not self.waiting:
            self._distribute()

    def given_back(self, member_id: int, tps: Sequence[TopicPartition]) -> None:
        """A member has given partitions back."""
        membership = self.members.get(member_id)
        if membership is None:
            return
        for tp in tps:
            if self.owners.get(tp) == member_id:
                del self.owners[tp]
        membership.giving_back.difference_update(tps)
        self._go_on()

    def _go_on(self) -> None:
        if self.waiting and not any(membership.giving_back for membership in self.members.values()):
            self._give_back_by = math.inf
            self.generation += 1
            self._distribute()

    def _distribute(self) -> None:
        for membership in self.members.values():
            membership.generation = self.generation
            coming = [tp for tp in self._tps if tp not in self.owners and self.wanted.get(tp) == membership.id]
            self.owners.update(dict.fromkeys(coming, membership.id))
            # A rebalance that changes nothing for a member assigns nothing, and says so.
            membership.hear(Heard("assigned", coming, self.generation, membership.id))
