"""`humus status` on a service that runs: its records, its failures, its end; on a terminal and off it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from tests.integration.process import Service
from tests.kafka.admin import eventually
from tests.unit.test_health_process import address_of

from humus.testing import KafkaBroker, kafka_broker

SCRIPT = Path(sys.executable).with_name("humus")
SECRET = "hunter2"  # noqa: S105 - to be looked for
APP = """
    from pathlib import Path

    from humus import queue
    from humus.queue import kafka

    class Broken(Exception): ...

    async def handle(msg: kafka.Message) -> None:
        if msg.value.startswith(b"bad"):
            raise Broken(f"cannot read {msg.value.decode()}")

    class Config(queue.Config):
        kafka: kafka.Settings

    def init(cfg: Config) -> queue.App:
        return queue.App(kafka.Runtime.from_settings(cfg.kafka, {"orders": handle}))

    queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
"""
CONFIG = """
    kafka:
      brokers: ${BROKERS}
      group_id: order-service
      group_protocol: consumer
      commit_interval: 100ms
      topics:
        - {name: orders, semantic: at-least-once, retry: {max_attempts: 2, initial: 10ms}}
    health: {port: 0}
"""


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    """Run an embedded broker with a topic of three partitions: the second one ends at a bad record."""
    with kafka_broker(topics={"orders": 3}, heartbeat_interval=0.2) as running:
        producer = Producer({"bootstrap.servers": running.brokers, "log_level": 0})
        for number in range(3):
            for value in (b"good", b"bad " + SECRET.encode() if number == 1 else b"good", b"good"):
                producer.produce("orders", value, partition=number)
        assert producer.flush(10) == 0
        yield running


@pytest.fixture
def service(broker: KafkaBroker, tmp_path: Path) -> Iterator[Service]:
    """Run a service on it."""
    with Service(tmp_path, APP, CONFIG, {"BROKERS": broker.brokers}) as running:
        running.wait_for("health server: ")
        yield running


def humus_status(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script, off a terminal."""
    return subprocess.run(  # noqa: S603 - ours
        [str(SCRIPT), "status", *arguments, "-n", "0.2"], check=False, capture_output=True, text=True, timeout=60
    )


def wait_until_halted(address: str) -> None:
    """Wait until the good partitions are through and committed, and the bad one is halted."""

    def there() -> bool:
        shown: dict[str, Any] = json.loads(humus_status(address, "--json").stdout)
        partitions = shown["runtimes"][0]["partitions"]
        seen = [(one["position"], one["committed"], one["lag"]) for one in partitions]
        return seen == [(3, 3, 0), (1, 1, 2), (3, 3, 0)]

    eventually(there, within=40)


def test_a_running_service(service: Service) -> None:
    """It shows each partition as it is, fails for the halted one, and repeats nothing of the record."""
    address = address_of(service)
    wait_until_halted(address)
    done = humus_status(address)
    assert done.returncode == 1, "it has a problem"
    assert SECRET not in done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert " ".join(lines[0]) == "order-service: running, 3 partitions"
    assert " ".join(lines[1]) == "problem: orders[1]@1: halted: __main__.Broken, 2 attempts"
    assert lines[3] == ["orders", "0", "running", "3", "3", "0", "0", "0"]
    assert lines[4][:10] == ["orders", "1", "halted", "1", "1", "2", "0", "0", "__main__.Broken", "at"]
    assert lines[6] == ["all", "2", "0", "0"]

    service.terminate()
    assert service.exit_code() == 0, service.output()
    gone = humus_status(address)
    assert gone.returncode == 1
    assert "connection refused: is the service running" in gone.stderr


def test_its_brokers_away(tmp_path: Path) -> None:
    """Brokers that cannot be reached are a problem of the service: told, with exit code 1."""
    with Service(tmp_path, APP, CONFIG, {"BROKERS": "127.0.0.1:1"}) as service:
        service.wait_for("health server: ")
        address = address_of(service)
        eventually(lambda: "problem: " in humus_status(address).stdout, within=40)
        done = humus_status(address)
    assert done.returncode == 1
    assert "order-service: starting, 0 partitions" in done.stdout
    assert "127.0.0.1:1" in done.stdout


def test_live_on_a_terminal(service: Service) -> None:
    """On a terminal it goes on looking, tells when the service goes away, and ends with Ctrl-C and 130."""
    address = address_of(service)
    wait_until_halted(address)
    master, slave = pty.openpty()
    watching = subprocess.Popen(  # noqa: S603 - ours
        [str(SCRIPT), "status", address, "-n", "0.2"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
        start_new_session=True,
    )
    os.close(slave)
    try:
        seen = read_until(master, "__main__.Broken at 1")
        service.terminate()
        assert service.exit_code() == 0, service.output()
        seen += read_until(master, "connection refused")
        assert "halted" in read_until(master, "\x1b["), "the last table stays"
        watching.send_signal(signal.SIGINT)
        seen += read_until(master, "\x1b[?25h")  # the cursor is back
        assert watching.wait(10) == 130
    finally:
        watching.kill()
        watching.wait()
        os.close(master)
    assert SECRET not in seen
    assert "Traceback" not in seen


def test_watched_by_a_script(service: Service) -> None:
    """`--watch --json` off a terminal is a line a look, until it is interrupted: 130."""
    command = [str(SCRIPT), "status", address_of(service), "-n", "0.1", "--watch", "--json"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    try:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
    finally:
        watching.kill()
        watching.communicate()
    assert [look["runtimes"][0]["name"] for look in looks] == ["order-service"] * 3


def read_until(master: int, text: str) -> str:
    """Read from a terminal until a text is there."""
    seen = ""
    deadline = time.monotonic() + 30
    ready = select.poll()  # `select.select` takes no descriptor above 1023
    ready.register(master, select.POLLIN)
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if ready.poll(1000):
            seen += os.read(master, 65536).decode("utf-8", "replace")
    return seen
