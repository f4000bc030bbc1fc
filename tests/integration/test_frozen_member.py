"""A process that stands still past its session and goes on as if nothing had been: a zombie (D41, D43)."""

import signal
import time
from itertools import pairwise
from pathlib import Path

from tests.integration.commit_log import commits
from tests.integration.ledger import Groups, Line, Member
from tests.integration.ledger_app import Membership
from tests.kafka.access import Kafka
from tests.kafka.admin import eventually

PARTITIONS, EACH, MORE, HOLD_AT = 2, 300, 40, 20
WORK = 0.03


def all_held(groups: Groups, member: Member) -> None:
    """Wait until the member has a record in flight in every partition, and has committed all before it."""

    def held() -> int:
        member.assert_runs()
        return sum(line.offset == HOLD_AT for line in groups.lines() if line.what == "started")

    eventually(held, lambda count: count == len(groups.groups) * PARTITIONS, within=60)
    eventually(lambda: [min(groups.committed(group).values()) >= HOLD_AT for group in groups.groups], all)


def shares(groups: Groups, kafka: Kafka) -> set[tuple[int, ...]]:
    """Return how many partitions the members of each group have."""
    return {
        tuple(sorted(len(member.assignment.topic_partitions) for member in kafka.admin.members(group.name)))
        for group in groups.groups
    }


def assert_the_zombie_changed_nothing(
    kafka: Kafka, group: Membership, begun: dict[int, list[Line]], zombie: int, thawed: float
) -> None:
    """Tell by the broker's log of commits and by the ledger what the zombie did with what had been its own."""
    written = commits(kafka, group.name, group.name)
    for partition in range(PARTITIONS):
        offsets = [commit.offset for commit in written if commit.partition == partition]
        assert all(earlier <= later for earlier, later in pairwise(offsets)), "a commit went back"
        lines = begun[partition]
        late = [line.offset for line in lines if line.pid == zombie and line.at > thawed and line.offset < EACH]
        assert len(late) < EACH / 2, "it went on with what it had"
        by_others = {line.offset for line in lines if line.pid != zombie}
        all_of_them = [line.offset for line in lines]
        if group.semantic == "at-most-once":
            assert len(all_of_them) == len(set(all_of_them))
            assert by_others | {line.offset for line in lines if line.pid == zombie} >= set(range(HOLD_AT))
        else:
            assert by_others >= set(range(HOLD_AT, EACH)), "lost"
        new = [offset for offset in all_of_them if offset >= EACH]
        assert sorted(new) == list(range(EACH, EACH + MORE))


def test_a_member_that_was_frozen_past_its_session(kafka: Kafka, tmp_path: Path) -> None:
    """Thawed, it commits nothing of what it had, drops it, and takes part again; at most once repeats nothing (D43)."""
    with Groups.served(kafka, tmp_path, partitions=PARTITIONS, each=EACH, work=WORK, hold_at=HOLD_AT) as groups:
        zombie = groups.member()
        all_held(groups, zombie)
        zombie.signal(signal.SIGSTOP)
        heir = groups.member(hold_at=-1, work=0.0)
        groups.all_committed()
        groups.release()
        thawed = time.monotonic()
        zombie.signal(signal.SIGCONT)
        eventually(lambda: shares(groups, kafka), lambda found: found == {(1, 1)}, within=60)
        groups.produce(MORE)
        groups.all_committed()
        for member in (zombie, heir):
            member.signal(signal.SIGTERM)
        assert [member.leaves() for member in (zombie, heir)] == [0, 0], zombie.log() + heir.log()
        for group in groups.groups:
            try:
                assert_the_zombie_changed_nothing(kafka, group, groups.of(group, "started"), zombie.pid, thawed)
            except AssertionError as error:
                error.add_note(f"group {group.name}")
                raise
