"""A real service: config.yaml, environment variables, `queue.run`, signals, exit codes."""

from pathlib import Path

import pytest

from tests.integration.process import Service
from tests.integration.service import Protocol
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.properties import USER

APP = """
    from collections.abc import AsyncIterator
    from pathlib import Path
    from pydantic import BaseModel
    from humus import queue
    from humus.queue import kafka

    class Order(BaseModel):
        number: int

    class Orders:
        def __init__(self, currency):
            self.currency = currency
            self.total = 0

        async def process(self, msg: kafka.Message) -> None:
            self.total += Order.model_validate_json(msg.value).number
            print("total", self.total, self.currency, flush=True)

    def audit(msg: kafka.Message) -> None:
        print("audited", msg.value.decode(), flush=True)
        if msg.value == b"fatal":
            raise SystemExit(0)

    class Config(queue.Config):
        kafka: kafka.Settings
        currency: str

    async def init(cfg: Config) -> AsyncIterator[queue.App]:
        processors = {cfg.kafka.topics[0].name: Orders(cfg.currency), cfg.kafka.topics[1].name: audit}
        yield queue.App(kafka.Runtime.from_settings(cfg.kafka, processors))
        print("closed", flush=True)

    queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
"""
CONFIG = """
    kafka:
      brokers: ${BROKERS}
      group_id: ${GROUP:-nobody}
      group_protocol: ${PROTOCOL:-consumer}
      commit_interval: 10m
      topics:
        - name: ${ORDERS}
          semantic: at-least-once
          retry: {max_attempts: 2, initial: 20ms}
          on_failure: skip
        - name: ${AUDIT}
          semantic: at-most-once
    currency: ${CURRENCY}
    log: {level: info}
"""


def environment(kafka: Kafka, group: str, orders: str, audit: str) -> dict[str, str]:
    """Return the environment that the service needs; the group only by an override."""
    return {
        "BROKERS": kafka.bootstrap,
        "HUMUS__KAFKA__GROUP_ID": group,
        "ORDERS": orders,
        "AUDIT": audit,
        "CURRENCY": "EUR",
    }


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_service_from_its_file(
    protocol: Protocol, kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, tmp_path: Path
) -> None:
    """It does what its file and environment say; at SIGTERM it commits, closes what it opened, exits 0 (D60)."""
    orders, audit = topic(), topic()
    produce(orders, b'{"number": 40}', b"no order", b'{"number": 2}')
    produce(audit, b"first")
    variables = environment(kafka, group, orders, audit) | {"PROTOCOL": protocol}
    with Service(tmp_path, APP, CONFIG, variables) as service:
        service.wait_for("total 42 EUR")
        service.wait_for("audited first")
        service.terminate()
        assert service.exit_code() == 0, service.output()
    said = service.output()
    assert "closed\n" in said
    assert f"{orders}[0]@1: attempt 2 failed, skipped: pydantic_core._pydantic_core.ValidationError" in said
    assert "no order" not in said  # a payload is never logged
    assert "Traceback" not in said
    assert (kafka.admin.committed(group, orders), kafka.admin.committed(group, audit)) == ({0: 3}, {0: 1})


def test_a_fatal_record_is_exit_code_1(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, tmp_path: Path
) -> None:
    """A processor that raises `SystemExit(0)` does not get away with 0: the service stops and exits 1 (D34)."""
    orders, audit = topic(), topic()
    produce(audit, b"first", b"fatal", b"third")
    with Service(tmp_path, APP, CONFIG, environment(kafka, group, orders, audit)) as service:
        assert service.exit_code() == 1, service.output()
    said = service.output()
    assert "ProcessingFailed: SystemExit: 0" in said
    assert f"(topic {audit}, partition 0, offset 1)" in said
    assert "closed\n" in said
    assert "audited third" not in said


def test_refused_credentials_are_exit_code_1(kafka: Kafka, topic: MakeTopic, group: str, tmp_path: Path) -> None:
    """A wrong password ends the service with exit code 1 and says what to do, without the password (D70)."""
    variables = environment(kafka, group, topic(), topic())
    variables |= {"BROKERS": kafka.cluster.sasl_bootstrap, "PASSWORD": "pa55-of-somebody-else"}
    sasl = f'sasl: {{mechanism: PLAIN, username: {USER}, password: "${{PASSWORD}}"}}'
    config = CONFIG.replace("commit_interval: 10m", sasl)
    with Service(tmp_path, APP, config, variables) as service:
        assert service.exit_code() == 1, service.output()
    said = service.output()
    assert "AuthenticationFailed" in said
    assert "check the mechanism, user name and password of the option sasl" in said
    assert "pa55" not in said
    assert "Traceback" not in said


def test_faults_of_the_file_are_exit_code_2(kafka: Kafka, group: str, tmp_path: Path) -> None:
    """Every fault of the file and the environment is a line with its place; nothing is started, the exit code is 2."""
    config = CONFIG.replace("commit_interval", "comit_interval").replace("20ms", "20 apples")
    variables = environment(kafka, group, "orders", "^audit") | {"HUMUS__KAFKA__FETCH_MAX_BYTES": "lots"}
    del variables["CURRENCY"]
    with Service(tmp_path, APP, config, variables) as service:
        assert service.exit_code() == 2, service.output()
    file = tmp_path / "config.yaml"
    lines = service.output().splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [f"{file}:6", "kafka.comit_interval"],
        [f"{file}:10", "kafka.topics[0].retry.initial"],
        [f"{file}:12", "kafka.topics[1].name"],
        [f"{file}:14", "currency"],
        ["HUMUS__KAFKA__FETCH_MAX_BYTES", "kafka.fetch_max_bytes"],
    ], service.output()
    assert "commit_interval?" in service.output()


def test_faults_of_the_constructor_are_exit_code_2(tmp_path: Path) -> None:
    """What only the runtime's constructor can tell is told as the file's faults are: all at once, exit code 2."""
    app = """
        from pathlib import Path
        from humus import queue
        from humus.queue import kafka

        async def twice(msg):
            yield msg

        def init(cfg: queue.Config) -> queue.App:
            orders = kafka.at_least_once("orders", print)
            return queue.App(kafka.Runtime("", "", orders, orders, kafka.at_most_once("metrics", twice),
                rebalance_timeout=5, drain_timeout=5, librdkafka={"enable.auto.commit": True}))

        queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
    """
    with Service(tmp_path, app, "log: {level: info}") as service:
        assert service.exit_code() == 2, service.output()
    lines = service.output().splitlines()
    for what in ("brokers", "group_id", "orders", "twice", "drain_timeout", "enable.auto.commit"):
        assert any(what in line for line in lines), (what, lines)
    assert "Traceback" not in service.output()
