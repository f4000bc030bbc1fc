"""Judges the evidence: what was lost, what came twice and why, and whether D10, D11, D40 and D43 hold. Pure.

Whatever is handled again needs a reason, or it is `twice`: the member that had it before was killed or frozen, a broker
was gone, or a frozen member woke up and had not heard yet. How much may come again is bounded (D11): what was handled
within the commit interval before the fault, and what was in flight. A member that leaves in good order is no reason.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.chaos.evidence import Attempt, Committed, Evidence, GroupEvidence, Happened
from tests.chaos.plan import Fault

__all__ = ["Effect", "GroupTotals", "Limits", "Verdict", "judge"]

_S: Final = 1_000_000_000
_MS: Final = 1_000_000
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may last, in seconds."""

    commit_interval: float = 1.0
    commit_takes: float = 2.0
    """From a commit that is due to its confirmation, on a machine with much to do."""
    held_back: float = 15.0
    """A classic group holds commits back while it rebalances: as long as a dead member's session, and a little."""
    notices: float = 3.0
    """How long a member that wakes up may go on before it hears that it was expelled."""
    recovers: float = 25.0
    """How long after a broker is back it may still be the reason: sessions ran out, coordinators moved."""


@dataclass(slots=True)
class Effect:
    """What one fault did: records handled again, the oldest of them (seconds before it), the longest standstill."""

    happened: Happened
    again: int = 0
    oldest: float = 0.0
    standstill: float = 0.0


@dataclass(slots=True)
class GroupTotals:
    """What one group did, in records."""

    number: int
    protocol: str
    handled: int = 0
    lost: int = 0
    twice: int = 0
    again: int = 0
    said: int = 0
    """Of `again`: handed over unconfirmed while another fault was on, as the member's log says (D12)."""
    by_zombies: int = 0
    """Of `again`: begun by a member that had been frozen."""


@dataclass(slots=True)
class Verdict:
    """What is wrong (nothing, if all is well), and what was seen."""

    failures: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    groups: list[GroupTotals] = field(default_factory=list)


def judge(evidence: Evidence, limits: Limits | None = None) -> Verdict:
    """Judge it."""
    verdict = Verdict(effects=[Effect(one) for one in evidence.happened])
    _check_source(evidence, verdict)
    for number, topic in enumerate(evidence.topics, 1):
        _check_topic(number, topic, evidence, verdict)
    for at, group in enumerate(evidence.groups):
        _GroupJudge(group, evidence, limits or Limits(), verdict).judge(evidence.topics[at])
        if at + 1 < len(evidence.topics):
            _check_sends(group, evidence.topics[at + 1], verdict)
    return verdict


def _check_source(evidence: Evidence, verdict: Verdict) -> None:
    missing = evidence.records - len(evidence.confirmed)
    _complain(verdict, "source: not confirmed", [missing] if missing else [])
    found = Counter(number for numbers in evidence.topics[0].values() for number in numbers)
    wrong = [number for number in range(evidence.records) if found[number] != 1]
    _complain(verdict, "source: not once in topic 1", wrong)


def _check_topic(number: int, topic: Mapping[int, Sequence[int]], evidence: Evidence, to: Verdict) -> None:
    """All records are there, each key's at first in its order and in one partition."""
    found: set[int] = set()
    last: dict[int, tuple[int, int]] = {}  # key -> its last new record, and where it was
    wrong = []
    for partition, numbers in topic.items():
        for one in numbers:
            if one in found:
                continue
            found.add(one)
            before, where = last.get(one % evidence.keys, (-1, partition))
            if one < before or where != partition:
                wrong.append(f"{one} in {partition} after {before} in {where}")
            last[one % evidence.keys] = (one, partition)
    lost = [one for one in range(evidence.records) if one not in found]
    _complain(to, f"topic {number}: records are missing", lost)
    _complain(to, f"topic {number}: out of their key's order", wrong)


def _check_sends(group: GroupEvidence, topic: Mapping[int, Sequence[int]], verdict: Verdict) -> None:
    """What a group handled is in the next topic: each record as often as it was done, at most as often as it began."""
    found = Counter(number for numbers in topic.values() for number in numbers)
    done: Counter[int] = Counter()
    sent: Counter[int] = Counter()
    for attempts in group.attempts.values():
        for attempt in attempts:
            sent[attempt.number] += attempt.sends
            done[attempt.number] += attempt.done is not None
    what = f"group {group.number}"
    _complain(verdict, f"{what}: done, not in the next topic", [one for one in done if found[one] < done[one]])
    _complain(verdict, f"{what}: in the next topic more often than begun", [n for n in found if found[n] > sent[n]])


def _complain(verdict: Verdict, what: str, wrong: Sequence[object]) -> None:
    if wrong:
        examples = ", ".join(map(str, wrong[:_EXAMPLES])) + (", ..." if len(wrong) > _EXAMPLES else "")
        verdict.failures.append(f"{what}: {len(wrong)} ({examples})")


class _GroupJudge:
    def __init__(self, group: GroupEvidence, evidence: Evidence, limits: Limits, verdict: Verdict) -> None:
        self._group = group
        self._limits = limits
        self._verdict = verdict
        self._totals = GroupTotals(group.number, group.protocol)
        self._what = f"group {group.number}"
        self._mine = [one for one in evidence.happened if not one.fault.of_broker and one.number == group.number]
        self._brokers = [one for one in evidence.happened if one.fault.of_broker]
        self._effects = {id(effect.happened): effect for effect in verdict.effects}
        faults = [one.began for one in evidence.happened if not one.fault.graceful]
        self._calm_until = min(faults, default=None)
        self._commits: defaultdict[int, list[Committed]] = defaultdict(list)
        for commit in group.commits:
            self._commits[commit.partition].append(commit)
        verdict.groups.append(self._totals)

    def judge(self, topic: Mapping[int, Sequence[int]]) -> None:
        first_done = {partition: self._first_done(partition, numbers) for partition, numbers in topic.items()}
        _complain(self._verdict, f"{self._what}: two records of a partition in one process (D1)", self._group.overlaps)
        for partition, times in first_done.items():
            self._check_commits(partition, times)
        self._check_starts()
        self._check_agains()
        self._check_end(topic)
        self._measure_standstills(first_done)

    def _first_done(self, partition: int, numbers: Sequence[int]) -> list[int]:
        """Return when each record was done first: all were, in order, each as the topic has it."""
        times: list[int] = []
        lost, strange = [], []
        for offset, number in enumerate(numbers):
            attempts = self._group.attempts.get((partition, offset), ())
            done = [attempt.done for attempt in attempts if attempt.done is not None]
            strange += [offset for attempt in attempts if attempt.number != number]
            if done:
                times.append(min(done))
            else:
                lost.append(offset)
        place = f"{self._what}, partition {partition}"
        _complain(self._verdict, f"{place}: offsets never handled", lost)
        _complain(self._verdict, f"{place}: another record than the log has", strange)
        late = [offset for offset, (one, two) in enumerate(pairwise(times)) if two < one]
        _complain(self._verdict, f"{place}: handled out of order (D1)", late)
        self._totals.lost += len(lost)
        self._totals.handled += len(times)
        return times

    def _check_commits(self, partition: int, first_done: Sequence[int]) -> None:
        """A commit never passes what is not handled (D10), and never goes back (D43)."""
        too_far, back, highest = [], [], 0
        for _, offset, at in self._commits[partition]:
            # The broker's clock is cut to the millisecond.
            if offset > len(first_done) or (offset and first_done[offset - 1] > at + 2 * _MS):
                too_far.append(offset)
            if offset < highest:
                back.append(f"{offset} after {highest}")
            highest = max(highest, offset)
        place = f"{self._what}, partition {partition}"
        _complain(self._verdict, f"{place}: commits past what is handled (D10)", too_far)
        _complain(self._verdict, f"{place}: commits of a member that had lost it (D43)", back)

    def _check_starts(self) -> None:
        """Nothing is begun that was committed before, but by who could not know."""
        highest = {at: _running_maximum(commits) for at, commits in self._commits.items()}
        times = {at: [commit.at for commit in commits] for at, commits in self._commits.items()}
        wrong = []
        for (partition, offset), attempts in self._group.attempts.items():
            for attempt in attempts:
                known = bisect_right(times.get(partition, ()), attempt.started - 2 * _MS)
                if not known or highest[partition][known - 1] <= offset:
                    continue
                if not self._zombie(attempt) and self._broker_fault(attempt.started) is None:
                    wrong.append(f"{partition}@{offset} by {attempt.pid}")
        _complain(self._verdict, f"{self._what}: begun though committed (D11)", wrong)

    # -- what came again ----------------------------------------------------------------------------------------

    def _check_agains(self) -> None:
        twice, too_old = [], []
        for (partition, offset), attempts in self._group.attempts.items():
            for before, again in pairwise(attempts):
                place = f"{partition}@{offset}"
                reason = self._reason(partition, before, again)
                if reason is None:
                    self._totals.twice += 1
                    twice.append(f"{place} by {before.pid} and {again.pid}")
                    continue
                self._totals.again += 1
                if isinstance(reason, str):
                    self._totals.said += 1
                    continue
                effect = self._effects[id(reason)]
                effect.again += 1
                if before.done is not None and reason.pid in {before.pid, None}:
                    age = (reason.began - before.done) / _S
                    effect.oldest = max(effect.oldest, age)
                    if age > self._allowed(reason):
                        too_old.append(f"{place}, {age:.1f} s before")
        _complain(self._verdict, f"{self._what}: twice without a reason (D40)", twice)
        _complain(self._verdict, f"{self._what}: handled again, older than the bound (D11)", too_old)

    def _reason(self, partition: int, before: Attempt, again: Attempt) -> Happened | str | None:
        """Return the fault why a record came again; a string where a log announced it; `None` for no reason."""
        for one in self._mine:
            if one.pid != before.pid or again.started < one.began:
                continue
            if one.fault is Fault.KILL or (one.fault is Fault.FREEZE and self._around(one, before)):
                return one
        zombie = self._zombie(again)
        if zombie is not None:
            self._totals.by_zombies += 1
            return zombie
        fault = self._broker_fault(again.started)
        if fault is not None:
            return fault
        calm = self._calm_until is None or (before.done or before.started) < self._calm_until
        return "announced" if not calm and (before.pid, partition) in self._group.announced else None

    def _around(self, freeze: Happened, before: Attempt) -> bool:
        """Whether a frozen member had the record unconfirmed when it froze, or began it before it heard of its end."""
        left_over = freeze.began - int(self._allowed(freeze) * _S)
        ended = before.started if before.done is None else before.done
        return ended >= left_over and before.started <= freeze.ended + int(self._limits.notices * _S)

    def _zombie(self, attempt: Attempt) -> Happened | None:
        for one in self._mine:
            if one.fault is Fault.FREEZE and one.pid == attempt.pid:
                until = one.ended + int(self._limits.notices * _S)
                if one.began <= attempt.started <= until:
                    return one
        return None

    def _broker_fault(self, at: int) -> Happened | None:
        """Return the last broker fault that can still be felt."""
        felt = [one for one in self._brokers if one.began <= at <= one.ended + int(self._limits.recovers * _S)]
        return max(felt, key=lambda one: one.began, default=None)

    def _allowed(self, fault: Happened) -> float:
        """Return how long before a member's end what it handled may be unconfirmed."""
        limits = self._limits
        allowed = limits.commit_interval + limits.commit_takes
        if self._group.protocol == "classic" and self._rebalancing(fault):
            allowed += limits.held_back
        return allowed + (fault.began - self._unwell_since(fault.began)) / _S

    def _unwell_since(self, at: int) -> int:
        """Return when the broker faults began that are felt at this time, one after the other."""
        for one in sorted(self._brokers, key=lambda one: one.began, reverse=True):
            if one.began <= at <= one.ended + int(self._limits.recovers * _S):
                at = one.began
        return at

    def _rebalancing(self, fault: Happened) -> bool:
        held_back = int(self._limits.held_back * _S)
        return any(
            moment <= fault.began <= moment + held_back
            for other in self._mine
            if other is not fault
            for moment in (other.began, other.ended)
        )

    # -- the end ------------------------------------------------------------------------------------------------

    def _check_end(self, topic: Mapping[int, Sequence[int]]) -> None:
        """All is committed, as Kafka's own tool says."""
        wrong = []
        for partition, numbers in topic.items():
            says = self._group.kafka_says.get(partition)
            if says is None or says.end != len(numbers) or (numbers and (says.committed != says.end or says.lag != 0)):
                wrong.append(f"partition {partition} of {len(numbers)} records: {says}")
        _complain(self._verdict, f"{self._what}: not all committed at the end (D61)", wrong)

    def _measure_standstills(self, first_done: Mapping[int, Sequence[int]]) -> None:
        for one in [*self._mine, *self._brokers]:
            effect = self._effects[id(one)]
            until = one.ended + int(self._limits.held_back * _S)
            longest = max((_longest_gap(times, one.began, until) for times in first_done.values()), default=0)
            effect.standstill = max(effect.standstill, longest / _S)


def _longest_gap(times: Sequence[int], begin: int, end: int) -> int:
    """Return the longest time between two records that were done, of which some part is in between."""
    first = max(0, bisect_left(times, begin) - 1)
    last = bisect_right(times, end) + 1
    return max((two - one for one, two in pairwise(times[first:last])), default=0)


def _running_maximum(commits: Iterable[Committed]) -> list[int]:
    return list(_maxima(commits))


def _maxima(commits: Iterable[Committed]) -> Iterator[int]:
    highest = 0
    for commit in commits:
        highest = max(highest, commit.offset)
        yield highest
