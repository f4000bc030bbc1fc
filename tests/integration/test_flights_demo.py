"""The demo, as a newcomer runs it; and that it notices what goes wrong."""

import subprocess
import sys
from pathlib import Path

import demo
import flights_topic
import pytest
from flights_data import find_file
from flights_topic import PARTITIONS, TOPIC, Writer, WritingFailed
from rich.console import Console

from humus.testing import kafka_broker

PROGRAM = Path(demo.__file__)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo's program, its output plain as there is no terminal."""
    return subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, str(PROGRAM), *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )


def test_nothing_is_lost_and_nothing_comes_twice() -> None:
    """D40, D61: a member joins and one leaves; every flight is handled once, and all are committed."""
    done = run("--records", "60000")

    assert done.returncode == 0, done.stdout
    said = {tuple(cell.strip() for cell in line.split("│")[1:3]) for line in done.stdout.splitlines() if "│" in line}
    assert said >= {("consumed", "60,000"), ("lost", "0"), ("twice", "0"), ("not committed", "0")}
    assert "12 moved to member-2" in done.stdout


def test_a_flight_that_never_departed_is_a_dead_letter() -> None:
    """D32: every rejected flight is in the dead-letter topic, and one is shown with what the runtime says of it."""
    done = run("--records", "5000")

    assert done.returncode == 0, done.stdout
    cells = (line.split("│")[1:3] for line in done.stdout.splitlines() if "│" in line)
    said = {name.strip(): value.strip() for name, value in (cell for cell in cells if len(cell) == 2)}
    assert said["dead letters in flights.dlt"] == said["rejected (no departure time)"] != "0"
    assert said["humus.dlt.original.topic"] == "flights"
    assert said["humus.dlt.group"] == "flight-delays"
    assert said["humus.dlt.exception.type"] == "humus.queue.kafka.Reject"
    assert said["humus.dlt.exception.message"] == "it never departed"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--records", "0"], "not between 1 and 336,776"), (["--records", "x"], "invalid"), (["--fast"], "unrecognized")],
)
def test_wrong_arguments_are_exit_code_2(arguments: list[str], says: str) -> None:
    """What the command line cannot mean is exit code 2, with the reason."""
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stdout


def test_help_names_examples_and_exit_codes() -> None:
    """`--help` shows how to call it and what its exit codes mean."""
    done = run("--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "exit codes:" in done.stdout


def test_a_member_that_dies_ends_the_demo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process of the group that ends by itself is exit code 1, and its last words are shown."""
    broken = tmp_path / "member.py"
    broken.write_text("raise SystemExit('no way to start')")
    monkeypatch.setattr(demo, "PROGRAM", broken)

    assert demo.run(Console(soft_wrap=True), 1_000) == 1
    assert "no way to start" in capsys.readouterr().out


def test_a_partition_that_overflows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the embedded broker keeps in a partition is an error, never a silent loss."""
    monkeypatch.setattr(flights_topic, "MAX_RECORDS", 5)
    with kafka_broker(topics={TOPIC: PARTITIONS}) as broker:
        writer = Writer(broker.brokers, find_file(), 1_000)
        writer.go_on()
        writer.start()
        writer.join()
        with pytest.raises(WritingFailed, match="more partitions are needed"):
            writer.check()
