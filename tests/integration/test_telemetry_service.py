"""Telemetry of a service in a process of its own, started by `queue.run`: what reaches a collector, and when."""

import json
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import Producer

from humus.testing import KafkaBroker, kafka_broker
from tests.integration.process import Service
from tests.kafka.admin import eventually
from tests.otlp import Collector, attributes, collector

SPANS: Final = {"book", "process orders", "commit orders"}
"""Names of spans that must have arrived: the application's, and the runtime's own."""
METRICS: Final = {"orders.booked", "messaging.process.duration", "humus.messages.handled", "humus.rebalances"}
RECORDS: Final = 5
APP = """
    import logging
    from pathlib import Path
    from opentelemetry import metrics, trace
    from humus import queue
    from humus.queue import kafka

    booked = metrics.get_meter("mine").create_counter("orders.booked")
    log = logging.getLogger("mine")

    async def book(msg: kafka.Message) -> None:
        with trace.get_tracer("mine").start_as_current_span("book"):
            booked.add(1)
            log.info("booked %d", msg.offset, extra={"currency": "EUR"})
        print("handled", msg.offset, flush=True)

    class Config(queue.Config):
        kafka: kafka.Settings

    def init(cfg: Config):
        yield queue.App(kafka.Runtime.from_settings(cfg.kafka, {"orders": book}))
        log.info("the last line")

    queue.run(queue.yaml_source(Path(__file__).with_name("config.yaml")), init)
"""
KAFKA = """
    kafka:
      brokers: ${BROKERS}
      group_id: shop
      topics: [{name: orders, semantic: at-least-once}]
"""
OTEL = """
    otel:
      file_format: "1.0"
      resource: {attributes: [{name: service.name, value: shop}]}
      propagator: {composite: [{tracecontext: {}}, {baggage: {}}]}
      tracer_provider:
        processors:
          - batch:
              schedule_delay: ${DELAY:-3600000}
              exporter: {otlp_http: {endpoint: "${OTLP}/v1/traces", timeout: "${TIMEOUT:-10000}"}}
      meter_provider:
        readers:
          - periodic:
              interval: 3600000
              exporter: {otlp_http: {endpoint: "${OTLP}/v1/metrics", timeout: "${TIMEOUT:-10000}"}}
      logger_provider:
        processors:
          - batch:
              schedule_delay: 3600000
              exporter: {otlp_http: {endpoint: "${OTLP}/v1/logs", timeout: "${TIMEOUT:-10000}"}}
"""


@pytest.fixture
def orders() -> Iterator[KafkaBroker]:
    """Give an embedded broker with a topic of a few records."""
    with kafka_broker(topics={"orders": 1}) as broker:
        produce(broker, RECORDS)
        yield broker


def produce(broker: KafkaBroker, count: int) -> None:
    """Write records."""
    producer = Producer({"bootstrap.servers": broker.brokers, "log_level": 0})
    for _ in range(count):
        producer.produce("orders", b"a secret order", key=b"a secret customer")
    assert producer.flush(30) == 0


def refused(collector: Collector, count: int) -> bool:
    """Tell whether so many requests were refused."""
    return collector.refused >= count


def stop(service: Service) -> None:
    """Have the service stop as it should."""
    service.terminate()
    assert service.exit_code() == 0, service.output()


def check(received: Collector) -> None:
    """Check that everything arrived, what was recorded last as well."""
    assert received.services() == {"shop"}
    spans = received.spans()
    assert {span.name for span in spans} >= SPANS
    assert sum(span.name == "book" for span in spans) == RECORDS
    processed = {span.span_id for span in spans if span.name == "process orders"}
    assert len(processed) == RECORDS
    assert {span.parent_span_id for span in spans if span.name == "book"} == processed
    metrics = received.metrics()
    assert metrics.keys() >= METRICS
    assert sum(point.as_int for point in metrics["orders.booked"].sum.data_points) == RECORDS
    assert sum(point.count for point in metrics["messaging.process.duration"].histogram.data_points) == RECORDS
    assert sum(point.as_int for point in metrics["humus.messages.handled"].sum.data_points) == RECORDS
    lines = received.logs()
    assert any(line.body.string_value == "the last line" for line in lines)
    booked = {line.body.string_value: line for line in lines if line.body.string_value.startswith("booked")}
    assert sorted(booked) == [f"booked {offset}" for offset in range(RECORDS)]
    assert {line.trace_id for line in booked.values()} == {span.trace_id for span in spans if span.name == "book"}
    assert attributes(booked["booked 3"].attributes) == {
        "currency": "EUR",
        "messaging.destination.name": "orders",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 3,
        "messaging.consumer.group.name": "shop",
    }
    assert not [request for request in received.requests if b"secret" in request.SerializeToString()]


def test_section_with_the_last_batch_after_sigterm(tmp_path: Path, orders: KafkaBroker) -> None:
    """D60: Spans, metrics and logs of the `otel:` section reach the collector at the stop, though no batch was due."""
    with collector() as received:
        environment = {"BROKERS": orders.brokers, "OTLP": received.http}
        with Service(tmp_path, APP, KAFKA + OTEL, environment) as service:
            service.wait_for(f"handled {RECORDS - 1}")
            assert not received.requests
            stop(service)
        check(received)
    lines = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
    spans = {span.trace_id.hex(): span.span_id.hex() for span in received.spans() if span.name == "book"}
    booked = [line for line in lines if line["logger"] == "mine" and line["message"].startswith("booked")]
    assert {line["trace_id"]: line["span_id"] for line in booked} == spans
    assert [line["messaging.kafka.offset"] for line in booked] == list(range(RECORDS))
    assert "secret" not in service.output()


def test_environment_over_grpc(tmp_path: Path, orders: KafkaBroker) -> None:
    """Without the section, an endpoint in the environment is enough: all three signals go there, over gRPC."""
    with collector() as received:
        environment = {
            "BROKERS": orders.brokers,
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.grpc,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        with Service(tmp_path, APP, KAFKA, environment) as service:
            service.wait_for(f"handled {RECORDS - 1}")
            stop(service)
        check(received)


def test_collector_away_and_back(tmp_path: Path, orders: KafkaBroker) -> None:
    """D70: A collector that is away is one log line, its return another, and the service works on meanwhile."""
    received = Collector()
    environment = {"BROKERS": orders.brokers, "OTLP": received.http, "DELAY": "100"}
    received.refuse = True
    received.start()
    try:
        with Service(tmp_path, APP, KAFKA + OTEL, environment) as service:
            service.wait_for("traces cannot be exported")
            for batch in range(2, 5):
                produce(orders, RECORDS)
                service.wait_for(f"handled {batch * RECORDS - 1}")
                eventually(partial(refused, received, batch), within=30)
            received.refuse = False
            produce(orders, RECORDS)
            service.wait_for("traces are exported again")
            stop(service)
    finally:
        received.stop()
    lines = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
    told = [
        (line["level"], line["message"][:22]) for line in lines if line["logger"].startswith(("humus.tele", "open"))
    ]
    assert told == [("error", "traces cannot be expor"), ("info", "traces are exported ag")], service.output()


def test_collector_that_never_answers_does_not_hold_up_the_end(tmp_path: Path, orders: KafkaBroker) -> None:
    """D60: The exit waits a few seconds for the last batch, no longer, and says what was lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "BROKERS": orders.brokers,
            "OTLP": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "TIMEOUT": "600000",
        }
        with Service(tmp_path, APP, KAFKA + OTEL, environment) as service:
            service.wait_for(f"handled {RECORDS - 1}")
            began = time.monotonic()
            stop(service)
            assert time.monotonic() - began < 20  # 4 s for telemetry; the SDK itself would take 30 s and more
    assert "the last traces, metrics, logs did not reach their collector within 4 s" in service.output()
    others = [line for line in service.output().splitlines() if not line.startswith(("{", "handled"))]
    assert not others, "OpenTelemetry says no more at the process's end"
