"""The harness itself: what it starts serves, and goes away."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import Admin, eventually
from tests.kafka.broker import Broker, BrokerDied
from tests.kafka.cluster import Cluster
from tests.kafka.distribution import VERSION, KafkaUnavailable, java
from tests.kafka.fresh import fresh
from tests.kafka.properties import Place
from tests.kafka.records import Records
from tests.kafka.tools import GroupOffset

ROOT = Path(__file__).parents[2]


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    # In a container nobody may reap an orphan: a zombie is gone as well.
    with suppress(FileNotFoundError):
        return status.exists() and status.read_text("utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    return True


def _processes_with(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if text.encode() in entry.read_bytes():
                found.append(entry.parent.name)
    return found


def test_the_documented_version_is_the_one_that_runs() -> None:
    """CONTRIBUTING.md names the version of Kafka that the POM brings."""
    assert f"Apache Kafka {VERSION}" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_a_broker_stops_starts_freezes_and_goes_away(kafka: Kafka) -> None:
    """A broker that was stopped or frozen serves its records again; afterwards nothing of it is left."""
    assert kafka.cluster  # the run's own Kafka, or the test is skipped
    with Cluster(1) as cluster:
        (broker,) = cluster.brokers
        name, folder, first = fresh("topic"), broker.log_file.parent, broker.pid
        _write_and_let_go(cluster.bootstrap, name)
        broker.stop()
        assert _gone(first)
        cluster.start(broker)
        second = broker.pid

        client = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
        assert client.list_topics(timeout=20).topics[name].error is None
        broker.freeze()
        with pytest.raises(KafkaException):
            client.list_topics(timeout=0.3)
        broker.thaw()
        assert Admin(cluster.bootstrap).end_offsets(name) == {0: 3}
    assert _gone(second)
    assert not folder.exists()
    assert _processes_with(str(folder)) == []


def _write_and_let_go(bootstrap: str, name: str) -> None:
    # Clients that see their broker go away complain on standard error.
    Admin(bootstrap).create_topic(name)
    Records(bootstrap).produce(name, b"1", b"2", b"3")


def test_a_broker_that_cannot_start_shows_its_log(kafka: Kafka) -> None:
    """A port that is taken is told with the end of the broker's log."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        place = Place(1, *range(port, port + 6))
        broker = Broker(place, [place], kafka.cluster.distribution, heap_mb=256)
        try:
            broker.launch("AAAAAAAAAAAAAAAAAAAAAA")
            with pytest.raises(BrokerDied, match="Address already in use"):
                broker.wait_started()
        finally:
            broker.discard()


_STARTS_AND_WAITS = """
import signal, subprocess
from tests.kafka import processes
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so their children
folder = processes.make_folder("humus-kafka-test-")
started = processes.start(["sleep", "600"], output=subprocess.DEVNULL)
print(started.pid, folder, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_run_that_is_killed(how: signal.Signals) -> None:
    """However the run dies, SIGKILL included, what it started and its folders go away."""
    run = subprocess.Popen([sys.executable, "-c", _STARTS_AND_WAITS], cwd=ROOT, stdout=-1, stderr=-1, text=True)
    assert run.stdout is not None
    pid, folder = run.stdout.readline().split()
    assert not _gone(int(pid))
    run.send_signal(how)
    run.communicate()
    assert eventually(lambda: _gone(int(pid)))
    assert eventually(lambda: not Path(folder).exists())


def test_no_java_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Java, or with one that is too old, the error says what to install and which variable helps."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(
        KafkaUnavailable, match=r"no java in JAVA_HOME.*install a Java of at least 17.*HUMUS_TEST_KAFKA"
    ):
        java()
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n", "utf-8")
    old.chmod(0o755)
    with pytest.raises(KafkaUnavailable, match=r"needs Java 17 or later.*11\.0\.2.*HUMUS_TEST_KAFKA"):
        java()


def test_kafkas_own_tools(kafka: Kafka, topic: MakeTopic, group: str) -> None:
    """Kafka's own tools and the quick ways of the harness agree on topics, records and committed offsets."""
    name, tools, data = topic(), kafka.tools, kafka.cluster.brokers[0].log_file.parent / "data"
    assert "PartitionCount: 1" in tools.topics("--describe", "--topic", name)
    assert tools.verifiable_producer(name, 20) == list(range(20))
    assert tools.producer_performance(name, 30, 100) > 0
    assert kafka.admin.end_offsets(name) == {0: 50}
    tools.groups("--group", group, "--topic", name, "--reset-offsets", "--to-offset", "7", "--execute")
    assert kafka.admin.committed(group, name) == {0: 7}
    assert kafka.admin.lag(group, name) == 43
    assert tools.group_offsets(group, name) == {0: GroupOffset(7, 50, 43)}
    assert "baseOffset: 0" in tools.dump_log(*(data / f"{name}-0").glob("*.log"))


def test_transactions_leave_control_records(kafka: Kafka, topic: MakeTopic, produce: Produce) -> None:
    """A transaction takes one offset more than its records; an open one holds back the last stable offset."""
    name = topic()
    produce(name, b"plain")
    with kafka.records.transaction() as transaction:
        transaction.produce(name, b"1", b"2")
        assert kafka.admin.end_offsets(name, committed_only=True) == {0: 1}
    assert eventually(lambda: kafka.admin.end_offsets(name, committed_only=True), lambda ends: ends == {0: 4})


def test_a_leader_moves_when_its_broker_dies(kafka_cluster: Kafka) -> None:
    """In the cluster of three a killed leader is replaced, confirmed records stay, and the broker comes back."""
    name = fresh("topic")
    kafka_cluster.admin.create_topic(name)
    kafka_cluster.records.produce(name, b"1", b"2")
    leader = kafka_cluster.admin.leader(name)
    broker = kafka_cluster.cluster.broker(leader)
    broker.kill()
    try:
        eventually(lambda: kafka_cluster.admin.leader(name), lambda now: now not in {-1, leader}, within=40)
        kafka_cluster.records.produce(name, b"3")
        assert kafka_cluster.admin.end_offsets(name) == {0: 3}
    finally:
        kafka_cluster.cluster.start(broker)
