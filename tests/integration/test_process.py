"""A service in a process of its own, its signals and its exit codes (D60, D61)."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import defaults
from tests.integration.service import Kind, Protocol
from tests.kafka import processes
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually
from tests.kafka.fresh import fresh
from tests.kafka.records import Record
from tests.kafka.wire import remove_member

_CLOSED_WITHIN = 10.0
"""Seconds from the end of the drain to the end of the process (D60)."""


class Service:
    """The process, its journal and its log."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder = folder
        self.journal, self.release, self._log = folder / "journal", folder / "release", folder / "log"
        paths = {"journal": str(self.journal), "release": str(self.release)}
        (folder / "config.yaml").write_text(json.dumps({**config, **paths}), "utf-8")  # JSON is YAML
        self.journal.touch()
        command = [sys.executable, "-m", "tests.integration.service_app", str(folder / "config.yaml")]
        with self._log.open("wb") as log:
            self._process = processes.start(command, output=log)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, within: float) -> int:
        """Wait until it has ended, and return its exit code."""
        return self._process.wait(within)

    def end(self) -> None:
        """Kill it, should it still run."""
        processes.end(self._process)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def log(self) -> str:
        """Return what it wrote to stdout and stderr."""
        return self._log.read_text("utf-8")

    def offsets(self, what: str) -> dict[int, list[int]]:
        """Return the offsets that were `started` or `handled`, by partition."""
        found: dict[int, list[int]] = {}
        for line in self.journal.read_text("utf-8").splitlines():
            word, partition, offset = line.split()
            if word == what:
                found.setdefault(int(partition), []).append(int(offset))
        return found

    def held(self, partitions: int, at: int) -> bool:
        """Whether every partition stands at the record that waits; fails when the process has ended."""
        assert self.running, self.log()
        started = self.offsets("started")
        return len(started) == partitions and all(offsets[-1] == at for offsets in started.values())


StartService = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartService]:
    """Start services: `start(kafka, group, topic, kind, protocol, hold_at=..., **options)`."""
    services: list[Service] = []

    def start(
        at: Kafka, group: str, topic: str, kind: Kind, protocol: Protocol, *, hold_at: int = -1, **options: Any
    ) -> Service:
        section = {"brokers": at.bootstrap, "group_id": group, "topics": [{"name": topic, "semantic": "at-least-once"}]}
        config = {"kafka": {**section, **defaults(protocol), **options}, "kind": kind, "hold_at": hold_at}
        folder = tmp_path / str(len(services))
        folder.mkdir()
        services.append(Service(folder, config))
        return services[-1]

    yield start
    for service in services:
        service.end()


@pytest.mark.parametrize(
    ("number", "kind", "protocol"),
    [(signal.SIGTERM, "async", "classic"), (signal.SIGTERM, "def", "consumer"), (signal.SIGINT, "def", "classic")],
)
def test_a_signal_and_a_restart(
    kafka: Kafka,
    group: str,
    topic: MakeTopic,
    produce: Produce,
    start: StartService,
    number: signal.Signals,
    kind: Kind,
    protocol: Protocol,
) -> None:
    """A signal lets records in flight finish, exit code 0; a restart repeats nothing and misses nothing (D60, D61)."""
    name, total = topic(2), 20_000
    produce(name, *(Record(b"x", partition=at % 2) for at in range(total)))
    first = start(kafka, group, name, kind, protocol, hold_at=100, commit_interval=60)
    eventually(lambda: first.held(2, 100), within=30)
    first.signal(number)
    eventually(lambda: "stopping gracefully" in first.log(), within=30)
    assert first.running
    first.release.touch()
    assert first.wait(_CLOSED_WITHIN) == 0, first.log()
    position = kafka.admin.committed(group, name)
    assert all(offset > 100 for offset in position.values()), "what was in flight is committed"
    expected = {at: list(range(offset)) for at, offset in position.items()}
    assert first.offsets("handled") == first.offsets("started") == expected
    assert first.log().endswith("closed\n"), "what follows the yield comes last"
    second = start(kafka, group, name, kind, protocol)
    eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0, within=30)
    second.signal(number)
    assert second.wait(_CLOSED_WITHIN) == 0, second.log()
    assert (
        second.offsets("handled")
        == second.offsets("started")
        == {at: list(range(offset, total // 2)) for at, offset in position.items()}
    )


def test_a_def_handler_that_outlasts_the_drain(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, start: StartService
) -> None:
    """It is left behind and named in the log, and keeps nothing up: exit code 0, within 10 s of the drain (D60)."""
    name = topic()
    produce(name, *(b"x" for _ in range(20)))
    service = start(kafka, group, name, "def", "classic", hold_at=7, drain_timeout=0.5)
    eventually(lambda: service.held(1, 7), within=30)
    begin = time.monotonic()
    service.signal(signal.SIGTERM)
    assert service.wait(30) == 0, service.log()
    assert time.monotonic() - begin < 0.5 + _CLOSED_WITHIN
    assert f"{name}[0]@7" in service.log()
    assert "left behind" in service.log()
    assert service.offsets("started") == {0: list(range(8))}
    assert service.offsets("handled") == {0: list(range(7))}
    assert kafka.admin.committed(group, name) == {0: 7}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, start: StartService, number: signal.Signals, code: int
) -> None:
    """The second signal ends the process at once, in the middle of the drain, with 128 and its number (D60)."""
    name = topic()
    produce(name, *(b"x" for _ in range(20)))
    service = start(kafka, group, name, "def", "classic", hold_at=7, drain_timeout=25, rebalance_timeout=60)
    eventually(lambda: service.held(1, 7), within=30)
    service.signal(number)
    eventually(lambda: "stopping gracefully" in service.log(), within=30)
    begin = time.monotonic()
    service.signal(number)
    assert service.wait(30) == code, service.log()
    assert time.monotonic() - begin < 10, "the drain would have taken 25 s"
    assert service.offsets("handled") == {0: list(range(7))}


def test_the_brokers_are_away(breakable: Kafka, start: StartService) -> None:
    """With a broker that does not answer, the process still ends within 10 s of the drain, exit code 0 (D60)."""
    name, group = fresh("topic"), fresh("group")
    breakable.admin.create_topic(name)
    breakable.records.produce(name, *(b"x" for _ in range(20)))
    service = start(breakable, group, name, "def", "classic", hold_at=7, drain_timeout=0.5)
    eventually(lambda: service.held(1, 7), within=30)
    (broker,) = breakable.cluster.brokers
    broker.freeze()
    try:
        begin = time.monotonic()
        service.signal(signal.SIGTERM)
        assert service.wait(30) == 0, service.log()
        assert time.monotonic() - begin < 0.5 + _CLOSED_WITHIN + 2, "the interpreter takes its time as well"
    finally:
        broker.thaw()
    assert "brokers do not answer" in service.log()


def test_latest_and_sigkill(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, start: StartService, protocol: Protocol
) -> None:
    """From the latest offset: killed before its first record, a service misses none that came since (D11)."""
    name = topic(2)
    produce(name, b"before", b"before", b"before", partition=0)
    options = {"auto_offset_reset": "latest", "commit_interval": 60}
    first = start(kafka, group, name, "async", protocol, **options)
    eventually(lambda: "assigned" in first.log(), within=30)
    eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 3, 1: 0})
    first.signal(signal.SIGKILL)
    first.wait(_CLOSED_WITHIN)
    produce(name, b"since", b"since", partition=0)
    produce(name, b"since", partition=1)
    for member in kafka.admin.members(group):
        remove_member(kafka.bootstrap, group, member.member_id)
    second = start(kafka, group, name, "async", protocol, **options)
    eventually(lambda: second.offsets("handled"), lambda handled: handled == {0: [3, 4], 1: [0]})
    assert first.offsets("started") == {}
