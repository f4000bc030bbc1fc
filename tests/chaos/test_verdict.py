"""The judge of chaos, on evidence that was made up: what is wrong is found, and each excuse has its limits."""

import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.evidence import Attempt, Committed, Evidence, GroupEvidence, Happened, read_notes
from tests.chaos.member import DONE, GAVE_UP, NOTE, STARTED
from tests.chaos.plan import Fault
from tests.chaos.report import report
from tests.chaos.verdict import Verdict, judge
from tests.kafka.tools import GroupOffset

MS = 1_000_000
S = 1000 * MS
START = 1000 * S
COUNT = 40
"""Records in the one partition of each topic, half a second apart, each handled within 10 ms."""
A, B = 1, 2
"""Processes."""


def began(offset: int) -> int:
    """When a record is handled."""
    return START + offset * S // 2


def well(protocol: str = "consumer") -> Evidence:
    """Return what is left when nothing goes wrong: one process a group, a commit a second."""
    groups = []
    for number in (1, 2, 3):
        attempts = {
            (0, offset): [Attempt(A, offset, began(offset), began(offset) + 10 * MS)] for offset in range(COUNT)
        }
        commits = [Committed(0, offset, began(offset - 1) + 50 * MS) for offset in range(2, COUNT + 1, 2)]
        groups.append(GroupEvidence(number, protocol, attempts, commits, {0: GroupOffset(COUNT, COUNT, 0)}))
    topics = [{0: list(range(COUNT))} for _ in range(3)]
    confirmed = {number: (0, number) for number in range(COUNT)}
    return Evidence(COUNT, 4, confirmed, topics, groups)


def again(evidence: Evidence, offsets: range, at: int, *, by: int = B) -> None:
    """Let group 3 handle records again."""
    for offset in offsets:
        evidence.groups[2].attempts[0, offset].append(Attempt(by, offset, at, at + 10 * MS))
        at += 20 * MS


def failures(evidence: Evidence) -> str:
    """Return what the judge complains of."""
    return "; ".join(judge(evidence).failures)


def test_all_is_well() -> None:
    """Nothing is found where nothing is wrong."""
    verdict = judge(well())
    assert verdict.failures == []
    assert [group.handled for group in verdict.groups] == [COUNT] * 3
    assert "0 lost, 0 twice" in report(verdict)


def lose_at_the_source(evidence: Evidence) -> None:
    """Leave a record out of what was confirmed."""
    del evidence.confirmed[7]  # type: ignore[attr-defined]


def lose_between(evidence: Evidence) -> None:
    """Let a record not arrive in topic 2."""
    evidence.topics[1][0].remove(7)  # type: ignore[attr-defined]


def swap(evidence: Evidence) -> None:
    """Let two records of a key change places."""
    numbers = evidence.topics[2][0]
    numbers[7], numbers[11] = numbers[11], numbers[7]  # type: ignore[index]


def never_handle(evidence: Evidence) -> None:
    """Let group 3 leave a record out."""
    evidence.groups[2].attempts[0, 7].clear()


def handle_late(evidence: Evidence) -> None:
    """Let group 3 come back to a record."""
    evidence.groups[2].attempts[0, 7][0].done = began(20)


def handle_another(evidence: Evidence) -> None:
    """Let group 3 see another record than the log has."""
    evidence.groups[2].attempts[0, 7][0].number = 8


def send_twice(evidence: Evidence) -> None:
    """Let a record be in topic 2 twice, handled once."""
    evidence.topics[1][0].append(7)  # type: ignore[attr-defined]


def commit_one_too_far(evidence: Evidence) -> None:
    """Let a commit cover a record that is in hand."""
    commits = evidence.groups[1].commits
    commits[3] = commits[3]._replace(offset=commits[3].offset + 1)  # type: ignore[index]


def commit_after_the_loss(evidence: Evidence) -> None:
    """Let an old commit come late."""
    late = Committed(0, 4, began(20))
    evidence.groups[1].commits.append(late)  # type: ignore[attr-defined]


def leave_a_lag(evidence: Evidence) -> None:
    """Let Kafka say that a record is not committed."""
    evidence.groups[0].kafka_says[0] = GroupOffset(COUNT - 1, COUNT, 1)  # type: ignore[index]


def commit_past_the_end(evidence: Evidence) -> None:
    """Let Kafka say that more is committed than there is."""
    evidence.groups[0].kafka_says[0] = GroupOffset(COUNT + 1, COUNT, 0)  # type: ignore[index]


WRONG = [
    (lose_at_the_source, "source: not confirmed"),
    (lose_between, "topic 2: records are missing: 1 (7)"),
    (swap, "topic 3: out of their key's order"),
    (never_handle, "group 3, partition 0: offsets never handled: 1 (7)"),
    (handle_late, "handled out of order (D1)"),
    (handle_another, "another record than the log has"),
    (send_twice, "group 1: in the next topic more often than begun: 1 (7)"),
    (commit_one_too_far, "group 2, partition 0: commits past what is handled (D10)"),
    (commit_after_the_loss, "commits of a member that had lost it (D43)"),
    (leave_a_lag, "group 1: not all committed at the end (D61)"),
    (commit_past_the_end, "group 1: not all committed at the end (D61)"),
]


@pytest.mark.parametrize(("go_wrong", "found"), WRONG, ids=[go_wrong.__name__ for go_wrong, _ in WRONG])
def test_what_is_wrong_is_found(go_wrong: Callable[[Evidence], None], found: str) -> None:
    """Each thing that may not be is a failure of its own words."""
    evidence = well()
    go_wrong(evidence)
    assert found in failures(evidence)


def with_fault(
    evidence: Evidence, fault: Fault, pid: int | None, at: int, *, lasts: int = 0, group: int = 3
) -> Verdict:
    """Judge it with a fault that happened."""
    return judge(replace(evidence, happened=[Happened(fault, group, pid, at, at + lasts)]))


def test_again_needs_a_reason() -> None:
    """What is handled again without any fault is twice (D40)."""
    evidence = well()
    again(evidence, range(38, 40), began(41))
    verdict = judge(evidence)
    assert any("group 3: twice without a reason (D40): 2" in failure for failure in verdict.failures)
    assert verdict.groups[2].twice == 2


@pytest.mark.parametrize("fault", [Fault.JOIN, Fault.LEAVE])
def test_a_graceful_leave_is_no_reason(fault: Fault) -> None:
    """Members that come, and go in good order, excuse nothing (D40)."""
    evidence = well()
    again(evidence, range(39, 40), began(41))
    assert with_fault(evidence, fault, A, began(40)).groups[2].twice == 1


def uncommitted() -> Evidence:
    """Return what is well, but for the last 2 records, which are committed after they were handled again."""
    evidence = well()
    commits = evidence.groups[2].commits
    commits[-1] = commits[-1]._replace(at=began(50))  # type: ignore[index]
    return evidence


def test_a_kill_is_a_reason_within_its_bound() -> None:
    """What was handled since the last commit comes again after a kill: that is counted, not complained of (D11)."""
    evidence = uncommitted()
    again(evidence, range(38, 40), began(45))
    verdict = with_fault(evidence, Fault.KILL, A, began(39) + 300 * MS)
    assert verdict.failures == []
    assert (verdict.effects[0].again, round(verdict.effects[0].oldest, 2)) == (2, 0.79)
    assert verdict.groups[2].again == 2


def test_a_kill_of_another_process_is_no_reason() -> None:
    """A kill excuses what the killed process had, and nobody else."""
    evidence = uncommitted()
    again(evidence, range(38, 40), began(45))
    assert with_fault(evidence, Fault.KILL, 99, began(39) + 300 * MS).groups[2].twice == 2


def test_a_kill_is_no_reason_for_what_came_again_before_it() -> None:
    """What another process took over while the first one lived is twice, whatever happens to that one later."""
    evidence = uncommitted()
    evidence.groups[2].attempts[0, 39][0].done = None
    again(evidence, range(39, 40), began(40))
    assert with_fault(evidence, Fault.KILL, A, began(41)).groups[2].twice == 1


def test_what_is_older_than_the_commit_interval_may_not_come_again() -> None:
    """A kill is no excuse for what should have been committed long before (D11)."""
    evidence = uncommitted()
    again(evidence, range(38, 40), began(50))
    assert "older than the bound (D11)" in "".join(with_fault(evidence, Fault.KILL, A, began(48)).failures)


def test_what_was_committed_may_not_begin_again() -> None:
    """Whoever takes over begins at what is committed (D11)."""
    evidence = well()
    again(evidence, range(38, 40), began(45))
    assert "group 3: begun though committed (D11): 2" in "".join(
        with_fault(evidence, Fault.KILL, A, began(39) + 300 * MS).failures
    )


def test_a_member_that_wakes_up_may_go_on_until_it_hears() -> None:
    """A frozen member may begin what another one has handled, for a moment (D43): not for longer."""
    evidence = well()
    again(evidence, range(38, 40), began(50), by=B)
    verdict = with_fault(evidence, Fault.FREEZE, B, began(30), lasts=began(50) - began(30) - 100 * MS)
    assert verdict.failures == []
    assert (verdict.groups[2].by_zombies, verdict.effects[0].again) == (2, 2)
    assert with_fault(evidence, Fault.FREEZE, B, began(30), lasts=began(40) - began(30)).groups[2].twice == 2


def test_a_broker_fault_is_a_reason_for_a_while() -> None:
    """While a broker is away, and a while later, sessions run out: a reason; not for ever."""
    at = began(39) + 300 * MS
    evidence = uncommitted()
    again(evidence, range(38, 40), began(45))
    assert with_fault(evidence, Fault.KILL_BROKER, None, at, lasts=S).failures == []
    evidence = uncommitted()
    again(evidence, range(38, 40), began(45) + 60 * S)
    assert with_fault(evidence, Fault.KILL_BROKER, None, at, lasts=S).groups[2].twice == 2


def test_an_announcement_counts_only_beside_a_fault() -> None:
    """That a member logged what will come again excuses it while something else went wrong, never in calm times."""
    evidence = uncommitted()
    evidence.groups[2].announced = frozenset({(A, 0)})
    again(evidence, range(38, 40), began(45))
    assert judge(evidence).groups[2].twice == 2
    verdict = with_fault(evidence, Fault.KILL, 99, began(20))
    assert (verdict.groups[2].twice, verdict.groups[2].said) == (0, 2)


def notes(*of: tuple[int, int, int]) -> bytes:
    """Return notes: (offset, what, attempt), a millisecond apart."""
    return b"".join(
        NOTE.pack(START + at * MS, offset, offset, 0, what, attempt) for at, (offset, what, attempt) in enumerate(of)
    )


def test_notes_are_read() -> None:
    """A start and an end make an attempt, a retry belongs to it, and a note that was cut off is left out."""
    attempts: defaultdict[tuple[int, int], list[Attempt]] = defaultdict(list)
    text = notes((0, STARTED, 1), (0, GAVE_UP, 1), (0, STARTED, 2), (0, DONE, 2), (1, STARTED, 1))
    assert list(read_notes(A, text + struct.pack("<q", 1), attempts)) == []
    assert attempts == {
        (0, 0): [Attempt(A, 0, START, START + 3 * MS, sends=2)],
        (0, 1): [Attempt(A, 1, START + 4 * MS)],
    }


def test_two_records_in_hand_are_noticed() -> None:
    """A process that begins a record of a partition while it has another one in hand is found (D1, D42)."""
    assert list(read_notes(A, notes((0, STARTED, 1), (1, STARTED, 1)), defaultdict(list)))


def test_a_record_given_up_is_not_in_hand() -> None:
    """A handler that was cancelled as its partition left is no overlap, when the partition comes back."""
    text = notes((0, STARTED, 1), (0, GAVE_UP, 1), (0, STARTED, 1), (0, DONE, 1))
    attempts: defaultdict[tuple[int, int], list[Attempt]] = defaultdict(list)
    assert list(read_notes(A, text, attempts)) == []
    assert [attempt.done for attempt in attempts[0, 0]] == [None, START + 3 * MS]
