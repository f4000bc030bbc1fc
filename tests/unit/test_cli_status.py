"""`humus status`: what it makes of `/status`, and of whatever else may answer."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from humus.cli import _fetch
from humus.cli._app import make_app
from humus.cli._exit import ExitCode
from humus.cli._fetch import status_url
from humus.cli._looks import Look, compare, read
from humus.cli._status_table import render
from humus.queue.kafka import FailureStatus, PartitionStatus, RuntimeStatus

SECRET = "hunter2"  # noqa: S105 - to be looked for


def partition(number: int = 0, position: int | None = 0, **more: Any) -> PartitionStatus:
    """Make a partition's status as the runtime does."""
    given: dict[str, Any] = {"state": "running", "committed": None, "lag": 5, "in_flight": 2, "failure": None}
    return PartitionStatus(**{"topic": "orders", "partition": number, "position": position, **given, **more})


def body(*partitions: PartitionStatus, **more: Any) -> dict[str, Any]:
    """Make what `/status` answers, as the health server does."""
    return RuntimeStatus(**{"state": "running", "group_id": "g", "partitions": partitions, **more}).as_dict()


def look(*partitions: PartitionStatus, at: float = 0.0, **more: Any) -> Look:
    """Look at such a status."""
    found = read(body(*partitions, **more), at)
    assert found is not None
    return found


FAILURE = FailureStatus(41, 3, "E", f"cannot parse {SECRET}", 125.0)
HALTED = partition(1, 41, state="halted", failure=FAILURE)
PROBLEM = f"orders[1]@41: halted: cannot parse {SECRET}"


def text(shown: Look, width: int = 120, **more: Any) -> str:
    """Render as text."""
    console = Console(width=width, height=50, no_color=True, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(render(shown, **more))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


# -- looks -------------------------------------------------------------------------------------------------------------


def test_rates_are_by_the_services_own_clock() -> None:
    """A rate is records handled by the seconds between the two snapshots, however late the looks were."""
    now = compare(look(partition(0, 100), at=0, made_at=50.0), look(partition(0, 400), at=9, made_at=52.0))
    assert now.runtimes[0].partitions[0].rate == 150.0


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, 5), (5, None), (5, 4)],
    ids=["not known before", "not known now", "back again"],
)
def test_no_rate_where_there_is_none(before: int | None, after: int | None) -> None:
    """A partition that came anew, or went back, has no rate."""
    now = compare(look(partition(0, before), made_at=1.0), look(partition(0, after), made_at=2.0))
    assert now.runtimes[0].partitions[0].rate is None


def test_no_rate_of_a_partition_that_was_not_there() -> None:
    """Neither a new partition nor a new group has a rate, and a restarted service has none."""
    now = compare(look(partition(0), made_at=1.0), look(partition(0), partition(1), made_at=2.0))
    assert [one.rate for one in now.runtimes[0].partitions] == [0.0, None]
    assert compare(look(partition(0)), look(partition(0), group_id="h")).runtimes[0].partitions[0].rate is None
    restarted = compare(look(partition(0), made_at=9.0), look(partition(0, 50), made_at=1.0))
    assert restarted.runtimes[0].partitions[0].rate is None


def test_a_poll_thread_that_stands_is_a_problem() -> None:
    """A snapshot that stays the same for two seconds is told; of a stopped runtime it may."""
    seen = look(partition(0), at=0, made_at=1.0)
    for at in (1, 2, 3):
        seen = compare(seen, look(partition(0), at=at, made_at=1.0))
    assert seen.problems == ["its poll thread has not turned for 3 s"]
    assert not compare(seen, look(partition(0), at=4, made_at=1.1)).problems
    stopped = look(at=0, made_at=1.0, state="stopped")
    assert not compare(stopped, look(at=9, made_at=1.0, state="stopped")).problems


def test_what_an_exception_said_is_left_out() -> None:
    """Neither the failure nor the problem repeats an exception's message: it may hold a piece of the record."""
    seen = look(HALTED, problems=(PROBLEM, "no broker can be reached"))
    assert seen.problems == ["orders[1]@41: halted: E, 3 attempts", "no broker can be reached"]
    assert SECRET not in seen.model_dump_json() + text(seen)


def test_several_runtimes_and_those_that_say_nothing() -> None:
    """`{"runtimes": [...]}`, a runtime without a status, and a service before its start are all understood."""
    seen = read({"runtimes": [body(partition(0)), {"runtime": "Custom"}]}, 0)
    assert seen is not None
    assert [(one.name, one.state, len(one.partitions)) for one in seen.runtimes] == [
        ("g", "running", 1),
        ("Custom", "unknown", 0),
    ]
    starting = read({"state": "starting", "partitions": []}, 0)
    assert starting is not None
    assert text(starting) == "the service: starting, 0 partitions"


@pytest.mark.parametrize(
    "answer",
    [
        *(None, [], "x", {}, {"status": "ok"}, {"state": "fine"}, {"runtimes": 1}, {"runtimes": [{}]}),
        *({"state": "running", "partitions": [{"topic": 1}]}, {"state": "running", "problems": 3}),
    ],
)
def test_what_is_no_status_of_humus(answer: Any) -> None:
    """Any other JSON is not taken for one."""
    assert read(answer, 0) is None


# -- the table ---------------------------------------------------------------------------------------------------------


def test_the_table() -> None:
    """What a person sees: a line for each partition, the sum, problems above."""
    before = look(partition(0, 1000, committed=900), HALTED, made_at=0.0)
    after = look(
        partition(0, 13345, committed=13000, lag=1200),
        HALTED,
        made_at=1.0,
        problems=(PROBLEM,),
        warnings=("one of 3 brokers is away",),
    )
    assert text(compare(before, after)).splitlines() == [
        "g: running, 2 partitions",
        "problem: orders[1]@41: halted: E, 3 attempts",
        "warning: one of 3 brokers is away",
        "TOPIC   PARTITION  STATE    POSITION  COMMITTED    LAG  RATE/S  IN FLIGHT  FAILURE",
        "orders          0  running    13,345     13,000  1,200  12,345          2",
        "orders          1  halted         41          -      5       0          2  E at 41, attempt 3, for 2 min",
        "all                                              1,205  12,345          4",
    ]


def test_of_more_partitions_than_lines_the_telling_ones_are_shown() -> None:
    """On a small terminal those in trouble come first, then those furthest behind; the rest is counted."""
    many = look(*(partition(n, lag=n) for n in range(100)), partition(100, 41, state="halted", failure=FAILURE))
    lines = text(many, height=12).splitlines()
    assert len(lines) <= 12
    assert [line.split()[1] for line in lines[2:-2]] == ["100", "99", "98", "97", "96"]
    assert lines[-2] == "and 96 more"
    assert len(text(many).splitlines()) == 101 + 3


def test_foreign_text_is_no_markup_and_no_control() -> None:
    """What comes out of the service can neither colour nor steer the terminal."""
    shown = text(look(partition(0, topic="a[red]b\x1b[2J\n")))
    assert "a[red]b?[2J?" in shown
    assert "\x1b" not in shown


# -- whatever answers --------------------------------------------------------------------------------------------------


@contextmanager
def server(code: int, answer: bytes) -> Iterator[str]:
    """Answer all requests with this; gives the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - its name there

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{serving.server_port}"
        finally:
            serving.shutdown()
            thread.join()


@contextmanager
def talker(says: bytes | None) -> Iterator[str]:
    """Accept a connection and say this, and close it; `None`: say nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                if says is None:
                    connection.recv(4096)  # until the other end gives up
                else:
                    connection.sendall(says)

        thread = threading.Thread(target=talk)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def status(*arguments: str) -> Any:
    """Run `humus status`."""
    return CliRunner().invoke(make_app(), ["status", *arguments, "--interval", "0.1"])


def refused(address: str, *words: str) -> None:
    """Assert that it is one line of an error, with exit code 1."""
    result = status(address)
    assert result.exit_code == ExitCode.ERROR
    assert not result.stdout
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert address in line
    for word in words:
        assert word in line


def test_nothing_listens() -> None:
    """A service that is away is an error that says where to look."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    refused(f"127.0.0.1:{port}", "connection refused", "is the service running")


@pytest.mark.parametrize(
    ("code", "answer", "word"),
    [
        (404, b"not here", "404 Not Found: what answers there is no humus service"),
        (500, b"internal error: app.Broken", "500 Internal Server Error: the status cannot be read"),
        (799, b"", "799: the status cannot be read"),
        (200, b"<html>", "no humus service, as the answer is no JSON"),
        (200, b'{"status": "ok"}', "what answers there is no humus service"),
        (200, b"\xff\xfe\xfa", "no humus service, as the answer is no JSON"),
    ],
)
def test_something_else_answers(code: int, answer: bytes, word: str) -> None:
    """What is no humus service, or none that is well, is named for what it is."""
    with server(code, answer) as address:
        refused(address, word)


@pytest.mark.parametrize(
    ("says", "word"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it does not speak HTTP"),
        (b"", "the connection was cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "the connection was cut"),
        (None, "no answer within"),
    ],
)
def test_something_without_http_answers(says: bytes | None, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What speaks something else, or nothing, is an error and no wait."""
    monkeypatch.setattr(_fetch, "WITHIN", 0.2)
    with talker(says) as address:
        refused(address, word)


def test_a_host_that_is_unknown() -> None:
    """A name that cannot be resolved is said."""
    refused("no-such-host.invalid:1", "the host name cannot be resolved")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "127.0.0.1:99999", "http://me:hunter2@x", ""])
def test_what_is_no_url(url: str) -> None:
    """A wrong URL is a wrong argument, and not repeated."""
    result = status(url)
    assert result.exit_code == ExitCode.USAGE
    assert "URL must be like" in result.stderr
    assert SECRET not in result.stderr


def test_url_and_path() -> None:
    """The scheme and `/status` may be left out; a path of a proxy's stays."""
    assert status_url("localhost:8080") == "http://localhost:8080/status"
    assert status_url("https://x/") == "https://x/status"
    assert status_url("https://x/orders/status?a=1") == "https://x/orders/status"


def test_as_json_for_a_script() -> None:
    """`--json` is one line: always a list of runtimes, with rates, without what an exception said."""
    answer = body(partition(0), HALTED, problems=(PROBLEM,))
    with server(200, json.dumps(answer).encode()) as address:
        result = status(address, "--json")
    assert result.exit_code == ExitCode.ERROR, "it has a problem"
    assert len(result.stdout.splitlines()) == 1
    assert SECRET not in result.stdout
    shown = json.loads(result.stdout)
    assert shown["ok"] is False
    assert shown["url"] == f"http://{address}/status"
    [runtime] = shown["runtimes"]
    assert runtime["name"] == "g"
    assert runtime["partitions"][1]["failure"] == {
        "offset": 41,
        "attempts": 3,
        "error_type": "E",
        "seconds": 125.0,
    }


def test_a_service_without_problems_is_exit_code_0() -> None:
    """Two looks, one table, nothing on stderr."""
    with server(200, json.dumps(body(partition(0))).encode()) as address:
        result = status(address)
    assert result.exit_code == ExitCode.OK
    assert result.stdout.startswith("g: running, 1 partition\n")
    assert not result.stderr
