"""What the health server of a service says through a life on a real broker."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.process import Service
from tests.integration.service import Protocol
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually
from tests.kafka.fresh import fresh
from tests.kafka.proxy import FETCH, Proxy

APP: Final = """
    import asyncio
    from pathlib import Path
    from humus import queue
    from humus.queue import kafka

    HERE = Path(__file__).parent

    class Config(queue.Config):
        kafka: kafka.Settings

    async def process(msg):
        if msg.value == b"poison":
            raise kafka.Reject("no such customer")
        if msg.value == b"slow":
            print("slow", flush=True)
            while not (HERE / "release").exists():
                await asyncio.sleep(0.01)

    async def database():
        return "connection refused" if (HERE / "database-down").exists() else None

    def init(cfg: Config):
        return queue.App(kafka.Runtime.from_settings(cfg.kafka, {cfg.kafka.topics[0].name: process}), health=[database])

    queue.run(queue.yaml_source(HERE / "config.yaml"), init)
"""
CONFIG: Final = """
    kafka:
      brokers: ${BROKERS}
      group_id: ${GROUP}
      topics: [{name: "${TOPIC}", semantic: at-least-once}]
      group_protocol: ${PROTOCOL}
      commit_interval: 200ms
      stall_timeout: ${STALL_TIMEOUT:-60s}
    health: {port: 0}
"""
LIVENESS, STARTUP, READINESS = "/health/liveness", "/health/startup", "/health/readiness"


def service(
    folder: Path, kafka: Kafka, group: str, topic: str, protocol: str = "classic", **environment: str
) -> Service:
    """Start a member; `environment` adds to its variables."""
    own = {"BROKERS": kafka.bootstrap, "GROUP": group, "TOPIC": topic, "PROTOCOL": protocol}
    return Service(folder, APP, CONFIG, {**own, **environment})


class Probes:
    """Asks a service's health server."""

    def __init__(self, member: Service) -> None:
        member.wait_for("health server: ")
        found = re.search(r"health server: (http://[\w.:]+)", member.output())
        assert found, member.output()
        self._address = found[1]

    def get(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        """Ask for a page."""
        request = urllib.request.Request(self._address + path, headers={"Accept": accept})  # noqa: S310 - the service's
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        """Ask for a page as JSON."""
        return json.loads(self.get(path, "application/json")[1])

    def until(self, path: str, code: int, text: str = "", within: float = 60.0) -> str:
        """Ask until the answer has this code and this text."""
        answers: list[tuple[int, str]] = []

        def holds() -> bool:
            answers.append(self.get(path))
            return answers[-1][0] == code and text in answers[-1][1]

        try:
            eventually(holds, within=within)
        except AssertionError:
            pytest.fail(f"{path}: {code} {text!r} expected; the last answer: {answers[-1]}")
        return answers[-1][1]


def test_a_life(kafka: Kafka, produce: Produce, group: str, protocol: Protocol, tmp_path: Path) -> None:
    """A missing topic, ready, a check of the user's, a halted partition by name, stopping: each as it is (D31, D70)."""
    name = fresh("topic")
    with service(tmp_path, kafka, group, name, protocol) as member:
        probes = Probes(member)
        probes.until(READINESS, 503, f"topic {name} does not exist")
        assert probes.get(LIVENESS) == probes.get(STARTUP) == (200, "ok\n")
        kafka.admin.create_topic(name, 2)
        produce(name, b"good", partition=0)
        produce(name, b"good", partition=1)
        assert probes.until(READINESS, 200) == "ok\n"

        (tmp_path / "database-down").touch()
        assert probes.until(READINESS, 503) == "database: connection refused\n"
        (tmp_path / "database-down").unlink()
        probes.until(READINESS, 200)

        produce(name, b"poison", b"good", partition=1)
        probes.until(READINESS, 503, f"{name}[1]@1: halted: ")
        [line] = probes.json(READINESS)["problems"]
        assert line.startswith(f"{name}[1]@1: halted: ")
        assert "no such customer" in line
        [partition] = probes.json(READINESS)["partitions"]
        assert (partition["topic"], partition["partition"], partition["state"]) == (name, 1, "halted")
        assert partition["failure"]["offset"] == 1
        assert [one["state"] for one in probes.json("/status")["partitions"]] == ["running", "halted"]
        assert probes.get(LIVENESS) == (200, "ok\n")

        produce(name, b"slow", partition=0)
        member.wait_for("slow")
        member.terminate()
        said = probes.until(READINESS, 503, "stopping", within=5)
        assert said.startswith("stopping\n")
        assert probes.get(LIVENESS) == (200, "ok\n")
        assert probes.json("/status")["state"] in {"running", "stopping"}
        (tmp_path / "release").touch()
        assert member.exit_code() == 0, member.output()


def test_a_member_without_partitions_is_ready(kafka: Kafka, topic: MakeTopic, group: str, tmp_path: Path) -> None:
    """Of two members of a group with one partition both are ready."""
    name = topic()
    with service(tmp_path, kafka, group, name) as one, service(tmp_path, kafka, group, name) as other:
        both = [Probes(one), Probes(other)]
        for probes in both:
            probes.until(READINESS, 200)
        eventually(lambda: sorted(len(probes.json("/status")["partitions"]) for probes in both) == [0, 1], within=60)
        for probes in both:
            probes.until(READINESS, 200)


def test_a_broker_that_is_away(breakable: Kafka, tmp_path: Path) -> None:
    """While no broker can be reached it is alive and not ready, and says so; it is ready again by itself (D71)."""
    name = fresh("topic")
    breakable.admin.create_topic(name)
    [broker] = breakable.cluster.brokers
    with service(tmp_path, breakable, fresh("group"), name) as member:
        probes = Probes(member)
        probes.until(READINESS, 200)
        broker.kill()
        said = probes.until(READINESS, 503)
        assert "brokers" in said or breakable.bootstrap in said, said
        assert probes.get(LIVENESS) == (200, "ok\n")
        breakable.cluster.start(broker)
        breakable.disconnect()
        probes.until(READINESS, 200, within=90)
        # A connection of it may still be told as away, as a warning, until the client's next statistics.
        eventually(lambda: probes.get(READINESS) == (200, "ok\n"), within=30)
        member.assert_runs()


def test_a_stalled_partition(kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, tmp_path: Path) -> None:
    """A broker that answers all but fetches: the partition is named by liveness and log until records come (D72)."""
    name = topic()
    [broker] = kafka.cluster.brokers
    with (
        Proxy(broker.place) as proxy,
        service(tmp_path, kafka, group, name, BROKERS=proxy.address, STALL_TIMEOUT="1s") as member,
    ):
        probes = Probes(member)
        produce(name, b"good")
        probes.until(READINESS, 200)
        eventually(lambda: kafka.admin.committed(group, name) == {0: 1})
        proxy.hold_back(FETCH)
        produce(name, b"good")
        assert probes.until(LIVENESS, 503).startswith(f"{name}[0]@1: stalled for ")
        [partition] = probes.json(LIVENESS)["partitions"]
        assert (partition["topic"], partition["partition"], partition["state"]) == (name, 0, "stalled")
        assert [one["state"] for one in probes.json("/status")["partitions"]] == ["stalled"]
        member.wait_for(f"{name}[0]@1: stalled for ")
        proxy.pass_on()
        probes.until(LIVENESS, 200)
        member.wait_for("no longer stalled")
        eventually(lambda: kafka.admin.committed(group, name) == {0: 2})
