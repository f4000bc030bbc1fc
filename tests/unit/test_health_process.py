"""`queue.run` with a health server: its settings, what it answers through a life, and when it is closed."""

import re
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.integration.process import Service
from tests.kafka.admin import eventually

APP: Final = """
    import asyncio, sys, threading
    from pathlib import Path
    from humus import queue

    HERE = Path(__file__).parent

    def say(line):
        print(line, flush=True)

    async def wait_for(name):
        while not (HERE / name).exists():
            await asyncio.sleep(0.01)

    class Runtime:
        def __init__(self):
            self.stopped = threading.Event()
        def stop(self):
            self.stopped.set()
        async def process_queue(self):
            say("running")
            while not self.stopped.is_set():
                await asyncio.sleep(0.01)
            say("draining")
            await wait_for("drained")

    async def closing():
        say("closing")
        await wait_for("closed")

    async def init(cfg: queue.Config):
        say("starting")
        await wait_for("init")
        {counter}
        return queue.App(Runtime(), on_shutdown=[closing])

    {before}
    queue.run(queue.yaml_source(HERE / "config.yaml"), init)
"""
LIVENESS, STARTUP, READINESS = "/health/liveness", "/health/startup", "/health/readiness"


def app(counter: str = "pass", before: str = "pass") -> str:
    """Return the application, with something more in its `init` or before it runs."""
    return APP.format(counter=counter, before=before)


def address_of(service: Service) -> str:
    """Return where the service said that its health server is."""
    found = re.search(r"health server: (http://[\w.:]+)", service.output())
    assert found, service.output()
    return found[1]


def get(address: str, path: str) -> tuple[int, str]:
    """Ask for a page."""
    try:
        with urllib.request.urlopen(address + path, timeout=10) as answer:  # noqa: S310 - the service's own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_through_a_life(tmp_path: Path) -> None:
    """There is an answer before `init` returns, 503 from the first SIGTERM on, and until all has been closed."""

    def codes() -> list[int]:
        return [get(address, path)[0] for path in (LIVENESS, STARTUP, READINESS)]

    with Service(tmp_path, app(), "health: {port: 0}") as service:
        service.wait_for("starting")
        address = address_of(service)
        assert codes() == [200, 503, 503]
        (tmp_path / "init").touch()
        service.wait_for("running")
        assert codes() == [200, 200, 200]
        service.terminate()
        service.wait_for("draining")
        assert codes() == [200, 200, 503]
        assert get(address, READINESS) == (503, "stopping\n")
        (tmp_path / "drained").touch()
        service.wait_for("closing")
        assert codes() == [200, 200, 503]
        (tmp_path / "closed").touch()
        assert service.exit_code() == 0, service.output()


def test_a_queue_that_ends_by_itself_is_not_ready_while_it_is_closed(tmp_path: Path) -> None:
    """Readiness fails from the start of a shutdown, also of one that nobody asked for."""
    ends = "Runtime.process_queue = lambda self: asyncio.sleep(0)"
    (tmp_path / "init").touch()
    with Service(tmp_path, app(before=ends), "health: {port: 0}") as service:
        service.wait_for("closing")
        assert get(address_of(service), READINESS) == (503, "stopping\n")


def test_a_port_in_use_is_exit_code_2(tmp_path: Path) -> None:
    """A port in use is a fault of the configuration: one line that says what to do, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Service(tmp_path, app(), f"health: {{port: {port}}}") as service:
            assert service.exit_code() == 2, service.output()
    assert service.output() == (
        f"health: cannot listen on 127.0.0.1:{port}: Address already in use; choose another health.port "
        "(0: any free one) or health.host, or turn it off with health: null\n"
    )


def test_without_the_section_it_is_there_if_it_can_be(tmp_path: Path) -> None:
    """The default is 127.0.0.1:8080; where nobody asked for it, a second process does without it and says so."""
    for name in ("init", "drained", "closed"):
        (tmp_path / name).touch()
    with Service(tmp_path, app(), "log: {level: info}") as first:
        first.wait_for("running")
        with Service(tmp_path, app(), "log: {level: info}") as second:
            second.wait_for("running")
            assert "no health server, as 127.0.0.1:8080 cannot be had" in second.output()
        if "no health server" not in first.output():  # a stranger on this machine may have the port
            assert get("http://127.0.0.1:8080", READINESS) == (200, "ok\n")


def test_null_is_off(tmp_path: Path) -> None:
    """`health: null` opens nothing and says nothing."""
    (tmp_path / "init").touch()
    with Service(tmp_path, app("say(str(threading.active_count()))"), "health: null") as service:
        service.wait_for("running")
        assert "health" not in service.output()
        assert "2\n" in service.output()  # itself, and the one for signals


def test_metrics_of_the_api_are_there_for_prometheus(tmp_path: Path) -> None:
    """`metrics: true`: what a counter made through OpenTelemetry's API counts is at /metrics."""
    counter = 'metrics.get_meter("test").create_counter("orders.booked", unit="{order}").add(3, {"currency": "EUR"})'
    before = "from opentelemetry import metrics"
    for name in ("init", "drained", "closed"):
        (tmp_path / name).touch()
    with Service(tmp_path, app(counter, before), "health: {port: 0, metrics: true}") as service:
        service.wait_for("running")
        code, body = get(address_of(service), "/metrics")
        assert code == 200
        [line] = [line for line in body.splitlines() if line.startswith("orders_booked_total{")]
        assert 'currency="EUR"' in line
        assert line.endswith(" 3.0")
        service.terminate()
        assert service.exit_code() == 0, service.output()


def test_an_applications_own_meter_provider_is_respected(tmp_path: Path) -> None:
    """A provider that the application has set stays: /metrics shows what a Prometheus reader of it collects."""
    before = (
        "from opentelemetry import metrics; from opentelemetry.sdk.metrics import MeterProvider; "
        "from opentelemetry.exporter.prometheus import PrometheusMetricReader; "
        "metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))"
    )
    counter = 'metrics.get_meter("test").create_counter("orders.booked").add(3)'
    (tmp_path / "init").touch()
    with Service(tmp_path, app(counter, before), "health: {port: 0, metrics: true}") as service:
        service.wait_for("running")
        assert "the application has a MeterProvider" in service.output()
        _, body = get(address_of(service), "/metrics")
        assert len(re.findall("^orders_booked_total", body, re.MULTILINE)) == 1
        assert "not allowed" not in service.output()


def test_metrics_without_the_extra_are_exit_code_2(tmp_path: Path) -> None:
    """The extra that is missing is named, at the start."""
    before = 'sys.modules["prometheus_client"] = None'
    with Service(tmp_path, app(before=before), "health: {port: 0, metrics: true}") as service:
        assert service.exit_code() == 2, service.output()
    assert service.output() == (
        "health.metrics: needs prometheus_client: pip install 'humus-queue[prometheus]', or set it to false\n"
    )


def test_metrics_that_hang_or_fail_keep_no_probe(tmp_path: Path) -> None:
    """An instrument of the application's that never returns costs /metrics its answer, and nobody else."""
    counter = 'metrics.get_meter("test").create_observable_gauge("stuck", [lambda options: threading.Event().wait()])'
    before = "from opentelemetry import metrics"
    (tmp_path / "init").touch()
    with Service(tmp_path, app(counter, before), "health: {port: 0, metrics: true}") as service:
        service.wait_for("running")
        address = address_of(service)
        answers: list[tuple[int, str]] = []
        scrape = threading.Thread(target=lambda: answers.append(get(address, "/metrics")))
        scrape.start()
        eventually(lambda: get(address, READINESS) == (200, "ok\n"), within=3)
        scrape.join()
        assert answers == [(503, "the metrics are not collected within 5 s\n")]
