"""The whole world of a run: logs, the group, its members, what handlers will do; and what has been seen."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import State
from humus.queue.kafka._subscription import Semantic
from tests.simulation.broker import SEMANTICS, Log, place
from tests.simulation.group import Group, Heard
from tests.simulation.luck import Luck
from tests.simulation.member import Answer, Member
from tests.simulation.worker import Run

__all__ = ["WORLDS", "Rules", "World", "world_of"]

_QUICK = (Run(0.0), Run(0.0), Run(0.0005), Run(0.002))


@dataclass(frozen=True, slots=True)
class Rules:
    """How large the world is, and the runtime's options."""

    members: int = 1
    at_least_once: int = 2
    at_most_once: int = 1
    commit_interval: float = 0.5
    drain_timeout: float = 1.0
    rebalance_timeout: float = 2.5
    buffer_max_bytes: int = 480_000
    max_fetches: int | None = None
    graceful: bool = False  # nothing ends badly: each record is handled exactly once


WORLDS: Final = {
    "one": Rules(),
    "two": Rules(members=2),
    "three": Rules(members=3, rebalance_timeout=4.0, drain_timeout=0.5),
    "long": Rules(members=2, commit_interval=1.0, drain_timeout=5.0, rebalance_timeout=10.0),
    "turns": Rules(at_least_once=3, max_fetches=1),
    "tight": Rules(
        at_least_once=3, buffer_max_bytes=80_000, drain_timeout=0.5, rebalance_timeout=1.5, commit_interval=0.1
    ),
    "at-least-once": Rules(members=2, at_least_once=3, at_most_once=0),
    "at-most-once": Rules(members=2, at_least_once=0, at_most_once=2),
    "graceful": Rules(commit_interval=1.0, drain_timeout=5.0, rebalance_timeout=10.0, graceful=True),
    "graceful-two": Rules(members=2, commit_interval=1.0, drain_timeout=5.0, rebalance_timeout=10.0, graceful=True),
    "graceful-three": Rules(members=3, commit_interval=1.0, drain_timeout=5.0, rebalance_timeout=10.0, graceful=True),
}


class World:
    """Everything there is. `note` keeps a history where `tracing` asks for one."""

    def __init__(
        self, name: str, rules: Rules, *, tracing: bool = False, kind: Callable[[int, "World"], Member] = Member
    ) -> None:
        self.name = name
        self.rules = rules
        self.now = 0.0
        self.luck = Luck(0)
        self.history: list[str] = []
        self.seen: Counter[str] = Counter()  # what this run has come through, so that a test can ask for it
        self._tracing = tracing
        self.semantics: dict[str, Semantic] = {}
        self.logs: dict[TopicPartition, Log] = {}
        for topic, (semantic, size) in enumerate(
            zip(SEMANTICS, (rules.at_least_once, rules.at_most_once), strict=True)
        ):
            for number in range(size):
                tp = place(topic, number)
                self.semantics[tp.topic] = semantic
                self.logs[tp] = Log(tp, semantic)
        self.tps = list(self.logs)
        self.ahead: dict[TopicPartition, deque[Run]] = {tp: deque() for tp in self.tps}
        self.stubborn: set[TopicPartition] = set()  # whose next workers swallow a cancellation
        self.group = Group(self.tps, rules.rebalance_timeout, self._removed)
        self.closing: list[Callable[[], None]] = []  # what is to be done when the run is over
        self.members = [kind(number, self) for number in range(rules.members)]
        for member in self.members:
            member.start()

    def note(self, *parts: object) -> None:
        """Write down what happens."""
        if self._tracing:
            self.history.append(f"{self.now:8.3f} " + " ".join(map(str, parts)))

    def _removed(self, member_id: int, tps: list[TopicPartition]) -> None:
        self.note("the group removes", member_id)
        self.seen["removed"] += 1
        for tp in tps:
            self.logs[tp].excuse = "removed"

    def taken_over(self, tp: TopicPartition) -> None:
        """A member begins at a partition's committed offset."""
        log = self.logs[tp]
        if log.taken_over():
            self.seen["records are lost" if log.at_most_once else "records come again"] += 1

    # -- handlers -----------------------------------------------------------------------------------------------

    def swallows(self, tp: TopicPartition) -> bool:
        """Whether the handlers of a new worker swallow their cancellation, or are plain functions."""
        return tp in self.stubborn

    def run_of(self, tp: TopicPartition, offset: int) -> Run:
        """Say how the next attempt goes: as announced, else quickly and well."""
        ahead = self.ahead[tp]
        if not ahead:
            return _QUICK[offset & 3]
        run = ahead.popleft()
        if run.end in ("retry", "halt", "letter") and self.logs[tp].at_most_once:
            run = Run(run.seconds, "skip")
        self.note(f"the handler of {tp}@{offset} takes {run.seconds:.3f} s: {run.end}")
        self.seen[f"handler: {run.end}"] += 1
        if run.seconds > 1:
            self.seen["handler: long"] += 1
        return run

    # -- commits ------------------------------------------------------------------------------------------------

    def answer_commit(self, member: Member, how: str) -> None:
        """Let the broker take the oldest commit: "ok", "refused", or "silence" (in force, and a time-out said so)."""
        request = member.requests.popleft()
        tp, offset = request.tp, request.offset
        membership = self.group.members.get(request.member_id)
        if membership is None:
            error: str | None = "UNKNOWN_MEMBER_ID"
        elif request.generation != membership.generation:
            error = "ILLEGAL_GENERATION"
        elif how == "refused":
            error = "REBALANCE_IN_PROGRESS"
        else:
            owner = self.group.owners.get(tp)
            assert owner in (None, request.member_id), f"D43: {member} commits {tp}, which is {owner}'s"
            self.logs[tp].commit(offset, request.sent_at)
            error = None if how == "ok" else "_TIMED_OUT"
            if error is not None:
                self.logs[tp].excuse = "the answer to a commit was lost"
        self.seen[f"commit: {error or 'in force'}"] += 1
        self.note(f"{member}'s commit of {tp} at {offset}:", error or "in force")
        if member.alive:
            # The answer may be late: whatever else is on its way comes before it.
            (member.late if self.luck.one_in(4) else member.inbox).append(Answer(request, error))

    # -- time ---------------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and handlers go on, where the process is not frozen."""
        self.now += seconds
        for member in self.members:
            if member.alive and not member.frozen:
                member.live()

    def rounds(self, *, skip: int = 0) -> None:
        """Let each member's loop do a round; one in `skip` does none."""
        for member in self.members:
            if member.alive and not member.frozen and not (skip and self.luck.one_in(skip)):
                if member.late and (not skip or self.luck.one_in(6)):
                    member.inbox.append(member.late.popleft())
                member.round()
                if member.stopped:
                    member.after_stop()
        self.group.tick(self.now)

    def heartbeat(self, member: Member) -> None:
        """Let a member that was removed find out; it joins again, with nothing of its own."""
        if member.known or member.rebalancing:
            return
        if member.client.assigned:
            self.seen["lost"] += 1
            self.note(member, "finds out that it was removed")
            member.inbox.append(Heard("lost", list(member.client.assigned)))
        else:
            member.join()

    # -- the end ------------------------------------------------------------------------------------------------

    def halted(self) -> list[TopicPartition]:
        """Return the partitions that do not go on before they are assigned anew."""
        return [
            tp
            for member in self.members
            if member.alive
            for tp, partition in member.core._partitions.items()  # noqa: SLF001 - cheaper than views
            if partition.state is State.HALTED
        ]

    @property
    def quiet(self) -> bool:
        """Whether everything is handled and committed, and nothing is on its way."""
        return (
            not self.group.waiting
            and not self.group.rebalance_due
            and all(log.finished for log in self.logs.values())
            and all(member.quiet for member in self.members)
            and len(self.group.owners) == len(self.logs)
        )

    def check_graceful(self) -> None:
        """Hold a graceful life's promise against the account of all records."""
        if not self.rules.graceful:
            return
        assert not self.seen["cancel"], "D40: a handler that finishes in time was cancelled"
        for log in self.logs.values():
            wrong = {offset: log.handled[offset] for offset in log.records if log.handled[offset] != 1}
            assert not wrong, f"D61: {log.tp}: not handled exactly once: {wrong}"


def world_of(name: str, *, tracing: bool = False) -> World:
    """Make a world by its name."""
    return World(name, WORLDS[name], tracing=tracing)
