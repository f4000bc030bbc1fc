"""Members in processes of their own, as in production: they come and go under load (D40)."""

from collections import defaultdict
from pathlib import Path

import pytest

from tests.integration.load import load
from tests.integration.process import Service
from tests.integration.service import Protocol
from tests.kafka.access import Kafka, MakeTopic
from tests.kafka.admin import eventually

PARTITIONS = 6
APP = """
    import os
    from pathlib import Path
    from humus import queue
    from humus.queue import kafka

    here = Path(__file__).parent
    journal = os.open(here / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def note(msg):
        os.write(journal, b"%d %d %d\\n" % (msg.partition, msg.offset, os.getpid()))

    class Config(queue.Config):
        kafka: kafka.Settings

    def init(cfg: Config) -> queue.App:
        return queue.App(kafka.Runtime.from_settings(cfg.kafka, {os.environ["TOPIC"]: note}))

    queue.run(queue.yaml_source(here / "config.yaml"), init)
"""
CONFIG = """
    kafka:
      brokers: ${BROKERS}
      group_id: ${GROUP}
      group_protocol: ${PROTOCOL}
      topics:
        - name: ${TOPIC}
          semantic: at-least-once
"""


class Journal:
    """What all members have handled, in the order in which they did: a line a record, appended by each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def size(self) -> int:
        """Return how long it is."""
        return self._path.stat().st_size

    def lines(self, since: int = 0) -> list[tuple[int, ...]]:
        """Return (partition, offset, process) of every record handled since the journal had that size."""
        with self._path.open("rb") as file:
            file.seek(since)
            return [tuple(map(int, line.split())) for line in file.read().splitlines() if line.count(b" ") == 2]

    def offsets(self) -> dict[int, list[int]]:
        """Return the offsets handled by partition, in order."""
        offsets: defaultdict[int, list[int]] = defaultdict(list)
        for partition, offset, _ in self.lines():
            offsets[partition].append(offset)
        return dict(offsets)


def all_at_work(members: list[Service], journal: Journal) -> None:
    """Wait until every member has handled a record from now on."""
    now, everybody = journal.size(), {member.pid for member in members}

    def at_work() -> set[int]:
        for member in members:
            member.assert_runs()
        return {process for _, _, process in journal.lines(now)}

    eventually(at_work, everybody.issubset, within=60)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_processes_come_and_go_under_load(
    protocol: Protocol, kafka: Kafka, topic: MakeTopic, group: str, tmp_path: Path
) -> None:
    """Processes join, and leave at SIGTERM with exit code 0: nothing is lost or comes twice (D40, D60)."""
    name = topic(PARTITIONS)
    environment = {"BROKERS": kafka.bootstrap, "GROUP": group, "TOPIC": name, "PROTOCOL": protocol}
    if protocol == "classic":  # a member hears of a rebalance within a third of it
        environment["HUMUS__KAFKA__SESSION_TIMEOUT"] = "4s"
    journal = Journal(tmp_path / "journal")
    members: list[Service] = []
    try:
        with load(kafka.bootstrap, name, PARTITIONS, rate=6_000) as records:
            for step in ("jj", "j", "l", "jl", "jll"):
                leaving = [members.pop(0) for _ in range(step.count("l"))]
                for member in leaving:
                    member.terminate()
                members += [Service(tmp_path, APP, CONFIG, environment) for _ in range(step.count("j"))]
                for member in leaving:
                    assert member.exit_code() == 0, member.output()
                all_at_work(members, journal)
            records.stop()
            eventually(lambda: len(journal.lines()), lambda count: count >= records.count, within=60)
        for member in members:
            member.terminate()
        assert [member.exit_code() for member in members] == [0] * len(members)
    finally:
        for member in members:
            member.__exit__(None, None, None)
    assert journal.offsets() == records.offsets
    assert kafka.admin.lag(group, name) == 0
