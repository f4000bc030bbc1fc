"""The health server over real sockets: its pages, and clients that are wrong, slow, silent or many."""

import asyncio
import contextlib
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from humus.errors import ConfigError
from humus.health import Watch, _http, _verdicts, health_server
from humus.health._facts import Check


@dataclass(frozen=True)
class Settings:
    """The `health:` section."""

    host: str = "127.0.0.1"
    port: int = 0
    metrics: bool = False


@dataclass
class Partition:
    """A partition that is stuck."""

    topic: str
    partition: int
    position: int


@dataclass
class Status:
    """What a runtime may tell of itself."""

    group_id: str = "orders"
    state: str = "running"
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stalled: list[Partition] = field(default_factory=list)
    partitions: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return what `/status` shows."""
        return {"group_id": self.group_id, "state": self.state, "partitions": self.partitions}


class Runtime:
    """A runtime with a status; `broken` ones raise instead."""

    def __init__(self, status: Status, *, broken: bool = False) -> None:
        self._status = status
        self._broken = broken

    def status(self) -> Status:
        """Return it."""
        if self._broken:
            raise RuntimeError("no status today")
        return self._status


@dataclass
class App:
    """What is read of an App."""

    runtimes: Sequence[object]
    health: Sequence[Check] = ()
    stopping: bool = False


@contextmanager
def served(app: App | None = None, watch: Watch | None = None) -> Iterator[tuple[str, int]]:
    """Serve during the block; the application's loop is on a thread of its own."""
    watch = watch or Watch()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    watch.loop = loop
    if app is not None:
        watch.running(app)
    try:
        with health_server(Settings(), watch) as address:
            assert address is not None
            yield address
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def get(address: tuple[str, int], path: str, accept: str = "*/*", method: str = "GET") -> tuple[int, str]:
    """Ask for a page."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def talk(address: tuple[str, int], said: bytes) -> bytes:
    """Say something, and return all that is answered until the server closes the connection."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(said)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


LIVENESS, READINESS, STARTUP = "/health/liveness", "/health/readiness", "/health/startup"


def test_a_life() -> None:
    """Starting, running, stopping: the three probes and the status through the life of an application."""
    watch, status = Watch(), Status(state="new")
    app = App([Runtime(status)])
    with served(watch=watch) as address:

        def codes() -> list[int]:
            return [get(address, path)[0] for path in (LIVENESS, STARTUP, READINESS)]

        assert codes() == [200, 503, 503]
        assert get(address, "/status") == (200, '{"state": "starting", "partitions": []}\n')
        watch.running(app)
        assert codes() == [200, 503, 503]
        status.state = "starting"
        assert codes() == [200, 200, 503]
        status.state = "running"
        assert codes() == [200, 200, 200]
        assert get(address, READINESS) == (200, "ok\n")
        app.stopping = True
        assert codes() == [200, 200, 503]
        assert get(address, READINESS) == (503, "stopping\n")


def test_what_is_wrong_in_either_form() -> None:
    """Text has a line for each problem; JSON, asked for by Accept, has the partitions as well, as `/status` does."""
    halted = {"topic": "orders", "partition": 3, "state": "halted", "failure": {"offset": 17}}
    well = {"topic": "orders", "partition": 4, "state": "running", "failure": None}
    problem = "orders[3]@17: halted: no such customer"
    status = Status(
        problems=["orders[3]@17: halted:\nno such customer"], warnings=["b2 is away"], partitions=[halted, well]
    )
    with served(App([Runtime(status)])) as address:
        assert get(address, READINESS) == (503, f"{problem}\nwarning: b2 is away\n")
        code, body = get(address, READINESS, accept="application/json")
        assert (code, json.loads(body)) == (
            503,
            {"status": "failing", "problems": [problem], "warnings": ["b2 is away"], "partitions": [halted]},
        )
        status.problems = []
        assert get(address, READINESS) == (200, "ok\nwarning: b2 is away\n")
        assert json.loads(get(address, LIVENESS, accept="application/json")[1])["status"] == "ok"


def test_a_stalled_partition_fails_liveness_with_its_line() -> None:
    """D72: liveness names the partition, and says of it what the runtime says."""
    line = "orders[1]@5: stalled for 61 s: there are records up to offset 9"
    status = Status(stalled=[Partition("orders", 1, 5), Partition("orders", 2, 7)], problems=[line])
    with served(App([Runtime(status)])) as address:
        assert get(address, LIVENESS) == (503, f"{line}\norders[2]@7: stalled\n")


def test_status_of_one_and_of_several() -> None:
    """One runtime's status is shown as it is, those of several as a list; one that tells nothing is named."""
    one = Runtime(Status())
    with served(App([one])) as address:
        assert json.loads(get(address, "/status")[1]) == {"group_id": "orders", "state": "running", "partitions": []}
    with served(App([one, object()])) as address:
        shown = json.loads(get(address, "/status")[1])
        assert [set(runtime) for runtime in shown["runtimes"]] == [{"group_id", "state", "partitions"}, {"runtime"}]


def test_a_status_that_cannot_be_read_is_a_problem() -> None:
    """A runtime of the user's whose status raises makes it unready, and breaks nothing."""
    with served(App([Runtime(Status(), broken=True)])) as address:
        assert get(address, READINESS) == (503, "its status cannot be read: RuntimeError\n")
        assert get(address, LIVENESS)[0] == 200
        assert get(address, "/status")[0] == 200


def test_an_error_of_a_page_is_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong in a page is answered and logged, and the next request is served."""

    class Broken(Status):
        def as_dict(self) -> dict[str, Any]:
            raise ZeroDivisionError

    with served(App([Runtime(Broken())])) as address:
        assert get(address, "/status") == (500, "internal error: ZeroDivisionError\n")
        assert get(address, LIVENESS) == (200, "ok\n")
    assert "/status failed" in caplog.messages


def test_own_checks_make_it_unready() -> None:
    """API: the reason that a check gives is in readiness, and in nothing else; while stopping it is not asked."""
    calls: list[None] = []

    async def database() -> str:
        calls.append(None)
        return "connection refused"

    app = App([object()], health=[database])
    with served(app) as address:
        code, body = get(address, READINESS)
        assert (code, body.endswith("database: connection refused\n")) == (503, True)
        assert [get(address, path)[0] for path in (LIVENESS, STARTUP)] == [200, 200]
        app.stopping = True
        assert get(address, READINESS) == (503, "stopping\n")
    assert len(calls) == 1


def test_a_blocked_loop_is_unhealthy_and_the_probe_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """While something blocks the application's loop, liveness says so at once, and is well again afterwards."""
    monkeypatch.setattr(_verdicts, "TURNS_WITHIN", 0.2)
    watch, release = Watch(), threading.Event()
    with served(App([object()]), watch) as address:
        assert get(address, LIVENESS)[0] == 200
        assert watch.loop is not None
        watch.loop.call_soon_threadsafe(release.wait, 30)
        slowest = 0.0

        def probe() -> tuple[int, str]:
            nonlocal slowest
            began = time.monotonic()
            answer = get(address, LIVENESS)
            slowest = max(slowest, time.monotonic() - began)
            return answer

        assert "event loop has not turned" in until(probe, lambda answer: answer[0] == 503)[1]
        release.set()
        until(probe, lambda answer: answer[0] == 200)
        assert slowest < 2


def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Ask until the answer holds."""
    deadline = time.monotonic() + 20
    while not holds(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def test_what_is_not_there_and_what_is_not_allowed() -> None:
    """404 says what there is, 405 what may be done; HEAD has the length of its GET and no body; a query is ignored."""
    with served(App([object()])) as address:
        code, body = get(address, "/helth")
        assert (code, LIVENESS in body, "/metrics" in body) == (404, True, False)
        assert get(address, f"{LIVENESS}?verbose=1") == (200, "ok\n")
        connection = http.client.HTTPConnection(*address, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", LIVENESS, body=b"x" * 1000)
            refused = connection.getresponse()
            assert (refused.status, refused.getheader("Allow")) == (405, "GET, HEAD")
            refused.read()
            connection.request("HEAD", LIVENESS)
            headers = connection.getresponse()
            assert (headers.status, headers.getheader("Content-Length"), headers.read()) == (200, "3", b"")


def test_a_connection_is_kept() -> None:
    """Requests follow each other on one connection, several in one packet too; HTTP/1.0 is closed after one."""
    request = f"GET {LIVENESS} HTTP/1.1\r\nHost: a\r\n".encode()
    with served(App([object()])) as address:
        answer = talk(address, request + b"\r\n" + request + b"\r\n" + request + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == 3
        assert talk(address, f"GET {LIVENESS} HTTP/1.0\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET /status\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /status HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000, 431),
        (b"GET /status HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT /status HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000, 413),
        (b"PUT /status HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", 405),
    ],
)
def test_bad_requests_are_refused(said: bytes, code: int, caplog: pytest.LogCaptureFixture) -> None:
    """What is no HTTP, or too much of it, is told so and closed; the log at its usual level does not mention it."""
    caplog.set_level(logging.INFO)
    with served(App([object()])) as address:
        assert talk(address, said).startswith(b"HTTP/1.1 %d " % code)
        assert get(address, LIVENESS)[0] == 200
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_the_access_log_is_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """A probe every few seconds leaves no line in a usual log."""
    caplog.set_level(logging.DEBUG, "humus.health")
    with served(App([object()])) as address:
        get(address, LIVENESS)
    [line] = [record for record in caplog.records if record.message.startswith(f"GET {LIVENESS}: 200")]
    assert line.levelno == logging.DEBUG


@contextmanager
def bounded_server(**bounds: Any) -> Iterator[tuple[str, int]]:
    """Serve with other bounds than the usual; every request is answered with `x` times a million."""

    async def answer(_request: _http.Request) -> _http.Response:
        return _http.Response(200, "text/plain", b"x" * 10_000_000)

    async def serve() -> None:
        server = _http.HttpServer(answer, **bounds)
        listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
        address.append(listening.sockets[0].getsockname())
        ready.set()
        await asyncio.to_thread(done.wait)
        listening.close()
        server.close()

    address: list[tuple[str, int]] = []
    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield address[0]
    finally:
        done.set()
        thread.join()


def closed_within(connection: socket.socket, seconds: float) -> bytes:
    """Return what is said until the server closes the connection."""
    connection.settimeout(seconds)
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1_000_000):
            said += data
    return said


def test_slow_clients_are_let_go() -> None:
    """A request that drips in is ended in time however steadily it drips; so are silence, before one and after one."""
    with bounded_server(head_within=0.5, idle_within=1.0) as address:
        dripping = socket.create_connection(address)
        silent = socket.create_connection(address)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for letter in b"GET / HTTP/1.1\r\nHost: a-very-long-name-that-drips-in\r\n":
                dripping.sendall(bytes([letter]))
                time.sleep(0.05)
                if time.monotonic() - began > 1.0:
                    break
        assert closed_within(dripping, 5).startswith(b"HTTP/1.1 408 ")
        assert closed_within(silent, 5) == b""
        assert time.monotonic() - began < 5
        kept = socket.create_connection(address)
        kept.sendall(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert closed_within(kept, 5).startswith(b"HTTP/1.1 200 ")
        for connection in (dripping, silent, kept):
            connection.close()


def test_a_client_that_takes_no_answer_is_let_go() -> None:
    """An answer that is not taken in time ends its connection, and holds no memory for ever."""
    with bounded_server(taken_within=0.5) as address, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(address)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        assert len(closed_within(connection, 5)) < 10_000_000


def test_many_slow_clients_do_not_keep_a_probe_out() -> None:
    """One connection more than there may be ends the one that has waited longest; who asks is answered."""
    with bounded_server(most_connections=8) as address:
        crowd = [socket.create_connection(address) for _ in range(30)]
        for connection in crowd:
            connection.sendall(b"GET / HT")
        for _ in range(3):
            assert get(address, "/", method="HEAD")[0] == 200
        assert closed_within(crowd[0], 5) == b""
        for connection in crowd:
            connection.close()


def test_an_address_that_cannot_be_had_is_a_configuration_error(caplog: pytest.LogCaptureFixture) -> None:
    """A port in use, or a host that is not ours, says what to do; where nobody asked for it, it is logged."""
    caplog.set_level(logging.INFO, "humus.health")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use; choose"):
            health_server(Settings(port=port), Watch()).__enter__()
        with health_server(Settings(port=port), Watch(), optional=True) as address:
            assert address is None
    assert f"no health server, as 127.0.0.1:{port} cannot be had" in caplog.text
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(ConfigError, match=f"cannot listen on {host}:0"):
            health_server(Settings(host=host), Watch()).__enter__()


def test_off_is_off() -> None:
    """`health: null` opens nothing and starts no thread."""
    before = threading.active_count()
    with health_server(None, Watch()) as address:
        assert address is None
        assert threading.active_count() == before


def test_the_server_leaves_nothing_behind() -> None:
    """At the end the port is free, the thread has ended, and open connections are closed."""
    before = threading.active_count()
    with served(App([object()])) as address:
        idle = socket.create_connection(address)
        get(address, LIVENESS)
    with idle:
        assert closed_within(idle, 5) == b""
    with socket.create_server(address):
        pass
    assert threading.active_count() == before
