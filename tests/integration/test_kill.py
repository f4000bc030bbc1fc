"""Processes killed with SIGKILL under load: nothing is lost and little repeated, at most once nothing (D11, D21)."""

import random
import signal
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from tests.integration.commit_log import commits
from tests.integration.ledger import Groups
from tests.integration.ledger_app import Membership
from tests.integration.service import Protocol
from tests.kafka.access import Kafka

PARTITIONS, ROUNDS, RATE = 2, 2, 100
COMMIT_INTERVAL: Final = 0.2
ROUND_TRIP: Final = {"consumer": 3.0, "classic": 10.0}
"""Seconds that a commit may be under way on a busy machine; a classic group holds it back while it rebalances."""


def ranges(offsets: list[int]) -> list[tuple[int, int]]:
    """Return sorted offsets as (first, last) of what is consecutive."""
    found: list[tuple[int, int]] = []
    for offset in offsets:
        if found and offset == found[-1][1] + 1:
            found[-1] = (found[-1][0], offset)
        else:
            found.append((offset, offset))
    return found


class Aftermath:
    """What the ledger says of one group: `repeats` is the age, at the kill, of what was handled and came again."""

    def __init__(self, groups: Groups, group: Membership, killed: dict[int, float]) -> None:
        self._name = group.name
        self.repeats: list[float] = []
        self.repeats_of_the_living: list[int] = []
        self.handled: dict[int, Counter[int]] = {}
        self.started: dict[int, Counter[int]] = {}
        for partition, lines in groups.of(group, "handled").items():
            self.handled[partition] = Counter(line.offset for line in lines)
            by_offset = defaultdict(list)
            for line in lines:
                by_offset[line.offset].append(line)
            for earlier in (line for several in by_offset.values() for line in several[:-1]):
                if earlier.pid in killed:
                    self.repeats.append(killed[earlier.pid] - earlier.at)
                else:
                    self.repeats_of_the_living.append(earlier.offset)
        for partition, lines in groups.of(group, "started").items():
            self.started[partition] = Counter(line.offset for line in lines)

    def chunks(self, kafka: Kafka, partition: int, first: int, last: int) -> int:
        """Return how many commits it took to cover these offsets."""
        ends = sorted({at.offset for at in commits(kafka, self._name, self._name) if at.partition == partition})
        return bisect_right(ends, last) - bisect_right(ends, first) + 1


def assert_nothing_lost(after: Aftermath, each: int, protocol: Protocol) -> None:
    """At least once: every record is handled, and what came again was handled shortly before the kill."""
    assert {at: set(handled) for at, handled in after.handled.items()} == {
        at: set(range(each)) for at in range(PARTITIONS)
    }
    assert max(after.repeats, default=0.0) < COMMIT_INTERVAL + ROUND_TRIP[protocol]
    assert after.repeats_of_the_living == []


def assert_nothing_twice(after: Aftermath, each: int, kafka: Kafka) -> None:
    """At most once: no record begins twice, a kill loses at most two chunks of a partition: what two commits cover."""
    for partition in range(PARTITIONS):
        started = after.started[partition]
        assert max(started.values()) == 1
        lost = ranges(sorted(set(range(each)) - set(started)))
        assert len(lost) <= 2 * ROUNDS
        assert all(after.chunks(kafka, partition, *gap) <= 2 for gap in lost), lost


def test_killed_again_and_again(kafka: Kafka, tmp_path: Path) -> None:
    """SIGKILL at any moment: at least once loses nothing and repeats little, at most once repeats none (D11, D21)."""
    seed = random.randrange(1_000_000)  # noqa: S311 - chooses moments, as does the next line
    luck = random.Random(seed)  # noqa: S311
    killed: dict[int, float] = {}
    with Groups.served(kafka, tmp_path, partitions=PARTITIONS, each=1, work=0.002) as groups:
        members = [groups.member(), groups.member()]
        with groups.under_load(RATE):
            for _ in range(ROUNDS):
                groups.all_at_work(*members)
                successors = []
                for victim in members:
                    time.sleep(luck.uniform(0.0, 0.8))
                    victim.assert_runs()
                    victim.kill()
                    killed[victim.pid] = time.monotonic()
                    successors.append(groups.member())
                members = successors
        groups.all_committed()
        for member in members:
            member.signal(signal.SIGTERM)
        assert [member.leaves() for member in members] == [0, 0], [member.log() for member in members]
        for group in groups.groups:
            after = Aftermath(groups, group, killed)
            try:
                if group.semantic == "at-least-once":
                    assert_nothing_lost(after, groups.each, group.protocol)
                else:
                    assert_nothing_twice(after, groups.each, kafka)
            except AssertionError as error:
                error.add_note(f"group {group.name}, seed {seed}")
                raise
