"""Groups of every kind at once, served by processes that write down what they handle, and their ledger.

A fault hits a process, and with it a member of each group: all combinations of protocol, kind of processor and
semantic come through the same fault in one test.
"""

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from tests.integration.ledger_app import Membership
from tests.integration.service import Kind, Protocol
from tests.kafka import processes
from tests.kafka.access import Kafka
from tests.kafka.admin import eventually
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

__all__ = ["Groups", "Line", "Member"]

_WITHIN: Final = 60.0
_BURST_SECONDS: Final = 0.1


class Line(NamedTuple):
    """What became of one record, `started` or `handled`, in which process, and when (`time.monotonic()`)."""

    what: str
    topic: str
    partition: int
    offset: int
    pid: int
    at: float


class Member:
    """A process with a member of each group."""

    def __init__(self, folder: Path, number: int, config: dict[str, Any]) -> None:
        path, self._log = folder / f"config-{number}.yaml", folder / f"member-{number}.log"
        path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "tests.integration.ledger_app", str(path)]
            self._process = processes.start(command, output=log)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def leaves(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return self._process.wait(_WITHIN)

    def log(self) -> str:
        """Return what it wrote."""
        return self._log.read_text("utf-8", "replace")

    def assert_runs(self) -> None:
        """Fail, with its log, if it has ended."""
        assert self._process.poll() is None, self.log()

    def kill(self) -> None:
        """Kill it with SIGKILL, should it still run, and wait until it is gone."""
        processes.end(self._process)


class Groups:
    """A group and a topic of each combination, the processes that serve them, and the ledger of these."""

    def __init__(self, kafka: Kafka, folder: Path, *, partitions: int, each: int, **config: Any) -> None:
        self.groups = [
            Membership(name=fresh(f"{semantic}-{kind}-{protocol}"), protocol=protocol, kind=kind, semantic=semantic)
            for protocol, kind, semantic in product(
                get_args(Protocol), get_args(Kind), ("at-least-once", "at-most-once")
            )
        ]
        self.each = 0
        self._kafka = kafka
        self._folder = folder
        self._partitions = range(partitions)
        self._ledger = folder / "ledger"
        self._ledger.touch()
        self._release = folder / "release"
        self._config = {"work": 0.0, "hold_at": -1, "options": {}, **config}
        self._members: list[Member] = []
        for group in self.groups:
            kafka.admin.create_topic(group.name, partitions)
        self.produce(each)

    def produce(self, each: int) -> None:
        """Put so many more records into every partition of every topic."""
        for group in self.groups:
            self._kafka.records.produce(
                group.name, *(Record(b"", partition=at) for _ in range(each) for at in self._partitions)
            )
        self.each += each

    @contextmanager
    def under_load(self, rate: int) -> Iterator[None]:
        """Put about so many records a second into every partition during the block."""
        enough = threading.Event()

        def load() -> None:
            while not enough.wait(_BURST_SECONDS):
                self.produce(max(1, int(rate * _BURST_SECONDS)))

        with ThreadPoolExecutor(1) as executor:
            loading = executor.submit(load)
            try:
                yield
            finally:
                enough.set()
                loading.result()

    def member(self, **config: Any) -> Member:
        """Start a process."""
        files = {"ledger": str(self._ledger), "release": str(self._release)}
        names = [group.model_dump() for group in self.groups]
        config = {"brokers": self._kafka.bootstrap, "groups": names, **files, **self._config, **config}
        self._members.append(Member(self._folder, len(self._members), config))
        return self._members[-1]

    def release(self) -> None:
        """Let the records that are held go on."""
        self._release.touch()

    def lines(self) -> list[Line]:
        """Return the ledger so far, in order."""
        return [
            Line(what, topic, int(partition), int(offset), int(pid), float(at))
            for what, topic, partition, offset, pid, at in (
                line.split() for line in self._ledger.read_text("utf-8").splitlines() if line.count(" ") == 5
            )
        ]

    def of(self, group: Membership, what: str) -> dict[int, list[Line]]:
        """Return the group's lines of one kind, by partition."""
        found: defaultdict[int, list[Line]] = defaultdict(list)
        for line in self.lines():
            if line.topic == group.name and line.what == what:
                found[line.partition].append(line)
        return found

    def all_at_work(self, *members: Member) -> None:
        """Wait until each of these processes has begun a record of every group, from now on."""
        since = time.monotonic()
        wanted = {(member.pid, group.name) for member in members for group in self.groups}

        def missing() -> set[tuple[int, str]]:
            for member in members:
                member.assert_runs()
            return wanted - {(line.pid, line.topic) for line in self.lines() if line.at > since}

        eventually(missing, lambda left: not left, within=_WITHIN)

    def all_committed(self) -> None:
        """Wait until every group has committed the end of its topic."""

        def left() -> list[str]:
            return [group.name for group in self.groups if self._kafka.admin.lag(group.name, group.name)]

        eventually(left, lambda names: not names, within=_WITHIN)

    def committed(self, group: Membership) -> dict[int, int]:
        """Return the group's committed offset of every partition, 0 where it has none."""
        return dict.fromkeys(self._partitions, 0) | self._kafka.admin.committed(group.name, group.name)

    def evictions(self, group: Membership) -> str:
        """Name the group and, by its members' logs, what was taken from them: all is over with 0 duplicates then."""
        lines = [line for member in self._members for line in member.log().splitlines() if group.name in line]
        return "\n".join([group.name, *(line for line in lines if " lost" in line or "not know" in line)])

    def end(self) -> None:
        """Kill all processes that still run."""
        for member in self._members:
            member.kill()

    @classmethod
    @contextmanager
    def served(cls, kafka: Kafka, folder: Path, *, partitions: int, each: int, **config: Any) -> Iterator["Groups"]:
        """Make groups for the block; `config` is for all processes."""
        groups = cls(kafka, folder, partitions=partitions, each=each, **config)
        try:
            yield groups
        finally:
            groups.end()
