"""Processes that leave at SIGTERM in the middle of their work: they finish it, commit, and only then go (D40, D60)."""

import signal
from pathlib import Path

from tests.integration.ledger import Groups
from tests.kafka.access import Kafka

PARTITIONS, RATE = 2, 20


def test_leaving_with_handlers_at_work(kafka: Kafka, tmp_path: Path) -> None:
    """Under load, with a record in flight in every partition, every record is handled exactly once (D40, D60, D61)."""
    with Groups.served(kafka, tmp_path, partitions=PARTITIONS, each=1, work=0.04) as groups:
        with groups.under_load(RATE):
            members = [groups.member(), groups.member()]
            groups.all_at_work(*members)
            leaving = members.pop(0)
            members.append(groups.member())
            leaving.signal(signal.SIGTERM)
            assert leaving.leaves() == 0, leaving.log()
            groups.all_at_work(*members)
        groups.all_committed()
        for member in members:
            member.signal(signal.SIGTERM)
        assert [member.leaves() for member in members] == [0, 0]
        for group in groups.groups:
            for what in ("started", "handled"):
                found = {at: [line.offset for line in lines] for at, lines in groups.of(group, what).items()}
                assert found == {at: list(range(groups.each)) for at in range(PARTITIONS)}, groups.evictions(group)
