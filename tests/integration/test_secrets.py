"""No secret of a service is in anything that it says: logs, tracebacks, `repr`, dumps, probes."""

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.integration.process import Service
from tests.kafka.admin import AclOperation, eventually
from tests.kafka.secure import CLIENT_SECRET, KEY_PASSWORD, ORDERS, ORDERS_PASSWORD, SECRETS, TOKEN_SECRET, SecureKafka

APP: Final = """
    import sys, time, urllib.request
    from pathlib import Path
    from humus import queue
    from humus.queue import kafka

    class Config(queue.Config):
        kafka: kafka.Settings

    def token():
        secret = Path(__file__).with_name("token").read_text()
        raise PermissionError(f"401 for https://provider/token?client_secret={secret}")

    def process(msg):
        if msg.value == b"poison":
            raise kafka.Reject("no such customer")

    def init(cfg: Config):
        print(cfg, repr(cfg), cfg.model_dump(), cfg.model_dump_json())
        settings = cfg.kafka
        if settings.client_id == "by-token":
            sasl = kafka.SASL(mechanism="OAUTHBEARER", token=token)
            settings = settings.model_copy(update={"sasl": sasl})
        runtime = kafka.Runtime.from_settings(settings, {cfg.kafka.topics[0].name: process})
        print(runtime, settings, vars(runtime).keys(), flush=True)
        return queue.App(runtime)

    queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
"""
CONFIG: Final = """
    kafka:
      brokers: ${BROKERS}
      group_id: ${GROUP}
      client_id: ${CLIENT:-humus}
      topics:
        - {name: "${TOPIC}", semantic: at-least-once, on_failure: {dead_letter: "${DEAD}"}}
      commit_interval: 200ms
      tls: TLS
      sasl: SASL
      librdkafka: {debug: all}
    health: {port: 0}
    log: {level: debug, format: json}
"""
MTLS: Final = """{ca_file: "${CA}", cert_file: "${CERT}", key_file: "${KEY}", key_password: "${file:key-password}"}"""
BY_LOGIN: Final = """{mechanism: SCRAM-SHA-512, username: orders, password: "${file:password}"}"""
BY_PROVIDER: Final = """
        mechanism: OAUTHBEARER
        token_endpoint: ${PROVIDER}
        client_id: orders
        client_secret: ${file:client-secret}
"""
WAYS: Final = {
    "mtls": ("MTLS", MTLS, "null"),
    "password": ("SECURE", "{ca_file: '${CA}'}", BY_LOGIN),
    "provider": ("OIDC", "{ca_file: '${CA}'}", BY_PROVIDER),
}


def start(
    folder: Path, secure: SecureKafka, way: str, secrets: Mapping[str, str], **environment: str
) -> tuple[Service, str, str]:
    """Start a service whose secrets are in files; return it with its group and topic."""
    listener, tls, sasl = WAYS[way]
    for name, secret in secrets.items():
        (folder / name).write_text(f"{secret}\n")
    config = CONFIG.replace("TLS", tls).replace("SASL", sasl)
    for name in secrets:
        config = config.replace(f"${{file:{name}}}", f"${{file:{folder / name}}}")
    topic, dead, group = secure.topic(AclOperation.READ), secure.topic(AclOperation.WRITE), secure.group()
    variables = {
        "BROKERS": secure.at(listener),
        "GROUP": group,
        "TOPIC": topic,
        "DEAD": dead,
        "CA": str(secure.servers.ca_file),
        "CERT": str(secure.certificate.cert_file),
        "KEY": str(secure.certificate.key_file),
        "PROVIDER": secure.provider.token_endpoint,
        **environment,
    }
    secure.kafka.records.produce(topic, b"fine", b"poison", b"fine")
    return Service(folder, APP, config, variables), group, topic


def pages(service: Service) -> str:
    """Return all that the health server says."""
    address = re.search(r"http://127\.0\.0\.1:\d+", service.output())
    assert address
    said = []
    for path in ("/status", "/health/liveness", "/health/readiness", "/health/startup"):
        request = urllib.request.Request(address[0] + path, headers={"Accept": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
                said.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            said.append(error.read().decode())
    assert json.loads(said[0])["group_id"]
    return "\n".join(said)


def secrets_in(text: str, secure: SecureKafka) -> list[str]:
    """Return what must not be in a text and is, plain or as a header has it."""
    basic = base64.b64encode(f"{ORDERS}:{CLIENT_SECRET}".encode()).decode()
    return [secret for secret in (*SECRETS, basic, *secure.provider.issued) if secret in text]


@pytest.mark.parametrize("way", WAYS)
def test_a_service_that_works(way: str, secure_kafka: SecureKafka, tmp_path: Path) -> None:
    """With its secrets in files a service does its work, at the loudest, and none of them is in what it says."""
    secrets = {"password": ORDERS_PASSWORD, "key-password": KEY_PASSWORD, "client-secret": CLIENT_SECRET}
    service, group, topic = start(tmp_path, secure_kafka, way, secrets)
    with service:
        service.wait_for("health server: http")
        eventually(
            lambda: service.assert_runs() or secure_kafka.kafka.admin.committed(group, topic),  # type: ignore[func-returns-value]
            lambda at: at == {0: 3},
        )
        said = pages(service)
        service.terminate()
        assert service.exit_code() == 0, service.output()
    said += service.output()
    assert '"logger": "humus.kafka.client"' in said  # at debug it says a lot
    assert secrets_in(said, secure_kafka) == []


@pytest.mark.parametrize(
    ("way", "environment", "says"),
    [
        ("mtls", {}, "tls.key_file is no key in PEM, or tls.key_password does not open it"),
        ("password", {}, "check the mechanism, user name and password of the option sasl"),
        ("provider", {}, "check client_id, client_secret and scope of the option sasl"),
        ("password", {"CLIENT": "by-token"}, "no OAuth token: the function raised PermissionError"),
    ],
    ids=["key", "password", "provider", "token"],
)
def test_a_service_that_is_refused(
    way: str, environment: dict[str, str], says: str, secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    """A secret that is wrong ends the service: one clear error, exit code 1 (2 where no broker was asked), no secret.

    `debug: all` stands for somebody who looks for the cause.
    """
    # Wrong, and yet to be found in any text.
    secrets = {
        "password": f"{ORDERS_PASSWORD}x",
        "key-password": f"{KEY_PASSWORD}x",
        "client-secret": f"{CLIENT_SECRET}x",
        "token": TOKEN_SECRET,
    }
    service, _, _ = start(tmp_path, secure_kafka, way, secrets, **environment)
    with service:
        assert service.exit_code() == (2 if way == "mtls" else 1), service.output()
    said = service.output()
    assert says in said
    assert "Traceback" not in said
    assert secrets_in(said, secure_kafka) == []
    assert base64.b64encode(f"{ORDERS}:{CLIENT_SECRET}x".encode()).decode() not in said
