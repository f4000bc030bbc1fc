"""`humus new`: the service that it makes works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from humus.cli import _new
from humus.cli._app import make_app
from humus.cli._exit import ExitCode

SCRIPTS: Final = Path(sys.executable).parent
FILES: Final = {
    *(".dockerignore", ".gitignore", "Dockerfile", "README.md", "app.py", "config.yaml", "pyproject.toml"),
    *("requirements-dev.txt", "requirements.txt", "tests/test_app.py"),
}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, out of the environment that the tests run in."""
    return subprocess.run(  # noqa: S603 - ours
        [str(SCRIPTS / command[0]), *command[1:]],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env={name: value for name, value in os.environ.items() if not name.startswith(("KAFKA", "HUMUS", "PYTEST"))},
    )


def new(*arguments: str) -> Any:
    """Run `humus new` here."""
    return CliRunner().invoke(make_app(), ["new", *arguments])


def files(folder: Path) -> set[str]:
    """Return the files in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_new_service_works(tmp_path: Path) -> None:
    """Its own tests pass, its configuration has no faults, its code is clean, and nothing is left to fill in."""
    made = run(tmp_path, "humus", "new", "order-service", "--topic", "orders")
    assert made.returncode == ExitCode.OK, made.stderr
    assert set(made.stdout.split()) == {f"order-service/{name}" for name in FILES}
    assert "  cd order-service\n" in made.stderr
    folder = tmp_path / "order-service"
    assert files(folder) == FILES
    for name in FILES:
        assert not re.search(r"@[A-Z]+@", (folder / name).read_text()), name

    tested = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout
    checked = run(folder, "humus", "config", "check", "config.yaml", "--app", "app.py")
    assert (checked.returncode, checked.stdout) == (ExitCode.OK, "config.yaml: no faults\n"), checked.stderr
    for arguments in (
        ("check", "--select", "ANN,B,E,F,I,PT,RUF,S1,SIM,UP,W", "--ignore", "S101"),
        ("format", "--check"),
    ):
        linted = run(folder, "ruff", *arguments, "--isolated", "--line-length", "120", "--no-cache", ".")
        assert linted.returncode == 0, linted.stdout


def test_the_tests_of_a_new_service_can_fail(tmp_path: Path) -> None:
    """A handler that takes everything fails the tests that came with it."""
    run(tmp_path, "humus", "new", "service")
    app = tmp_path / "service" / "app.py"
    app.write_text(app.read_text().replace('raise kafka.Reject("it is no event") from error', "return"))
    tested = run(tmp_path / "service", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "dead_letter")
    assert tested.returncode == 1, tested.stdout


@pytest.mark.parametrize("name", ["true", "null", "a", "a1-b2", "a" * 63])
def test_any_valid_name_stays_text_in_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name or a topic that YAML would take for something else is quoted."""
    monkeypatch.chdir(tmp_path)
    assert new(name, "--topic", "1.0").exit_code == ExitCode.OK
    kafka = yaml.safe_load((tmp_path / name / "config.yaml").read_text())["kafka"]
    assert (kafka["group_id"], kafka["topics"][0]["name"]) == (name, "1.0")
    assert new(name).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["Order Service"], "how about order-service?"),
        (["../x"], "how about x?"),
        (["/tmp/x"], "how about tmp-x?"),  # noqa: S108 - never made
        (["1a"], "NAME must be small letters"),
        (["a--b"], "how about a-b?"),
        ([""], "NAME must be small letters"),
        (["a" * 64], "how about aaa"),
        (["ok", "--topic", "a b"], "--topic: is no name that Kafka allows"),
        (["ok", "--topic", "^a"], "--topic: starts with '^'"),
        (["ok", "--topic", "a" * 246], "--topic: at most 245 characters"),
    ],
)
def test_a_name_that_cannot_be(
    arguments: list[str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name or topic is a wrong argument, with a better one where there is, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    result = new(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert fault in " ".join(result.stderr.replace("│", "").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_left_alone(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An existing folder, empty or not, a file, or a link to nowhere is refused, and not touched."""
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "service"
    if kind == "link":
        there.symlink_to("nowhere")
    else:
        there.mkdir() if kind == "folder" else there.touch()
    result = new("service")
    assert result.exit_code == ExitCode.USAGE
    assert "service is there already" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["service"]
    assert not there.is_dir() or not list(there.iterdir())


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a service is none: what was written is taken away again, and the error is one line."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "rename", full)
    result = new("service")
    assert result.exit_code == ExitCode.ERROR
    assert result.stderr == f"error: {tmp_path / 'service'} cannot be made: No space left on device\n"
    assert not list(tmp_path.iterdir())


def test_the_version_that_it_asks_for() -> None:
    """The service asks for this version, and for none that may break it."""
    assert _new._next_minor() == "0.2"  # noqa: SLF001
