"""The command line as a whole: its script, its help, its exit codes."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from humus import __version__
from humus.cli._app import make_app
from humus.cli._commands import Commands
from humus.cli._exit import EXIT_CODES, ExitCode
from humus.cli._kafka import connect
from humus.errors import BrokerError, ConfigError

SCRIPT = Path(sys.executable).with_name("humus")
WIDE = {"TERMINAL_WIDTH": "200", "NO_COLOR": "1"}


def humus(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the installed script."""
    return subprocess.run(  # noqa: S603 - ours
        [str(SCRIPT), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **WIDE, **(environment or {})},
    )


def failing(error: BaseException) -> typer.Typer:
    """Make an application whose one command fails."""
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.callback()
    def root() -> None:
        """Have commands."""

    @app.command()
    def fail() -> None:
        """Fail."""
        raise error

    return app


def test_the_script_tells_its_version() -> None:
    """`humus --version` prints the version, and `python -m humus.cli` is the same."""
    assert humus("--version").stdout == f"humus {__version__}\n"
    done = subprocess.run([sys.executable, "-m", "humus.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"humus {__version__}\n"


def test_help_says_what_the_exit_codes_mean() -> None:
    """`humus --help` explains every exit code, and goes to stdout."""
    done = humus("--help")
    assert done.returncode == ExitCode.OK
    assert not done.stderr
    for code, meaning in EXIT_CODES.items():
        assert f"{code.value}  {meaning}" in done.stdout


def test_a_wrong_command_is_a_wrong_argument() -> None:
    """What is not known ends with exit code 2 and a hint on stderr."""
    done = humus("nothing")
    assert done.returncode == ExitCode.USAGE
    assert not done.stdout
    assert "No such command 'nothing'" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(shell: str) -> None:
    """There is a script for the shell."""
    asked = {"_HUMUS_COMPLETE": f"source_{shell}"}
    assert "_HUMUS_COMPLETE" in humus(environment=asked).stdout


def test_commands_are_completed() -> None:
    """What the shell asks for gets the names of commands that begin so."""
    asked = {"_HUMUS_COMPLETE": "complete_bash", "COMP_WORDS": "humus config s", "COMP_CWORD": "2"}
    assert humus(environment=asked).stdout.split() == ["show", "schema"]


def test_without_the_extra_it_says_what_to_install() -> None:
    """Without typer the script names the extra, and ends with exit code 1, without a traceback."""
    code = "import sys; sys.modules['typer'] = None; from humus.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == ExitCode.ERROR
    assert done.stderr == "error: the command line needs typer: pip install 'humus-queue[cli]'\n"


def test_a_fault_of_the_configuration_is_a_line_and_exit_code_2() -> None:
    """Each fault of a `ConfigError` is one line on stderr, without a traceback."""
    result = CliRunner().invoke(failing(ConfigError(["a.yaml:1: x: is missing", "a.yaml:2: y: two\nlines"])), ["fail"])
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == "a.yaml:1: x: is missing\na.yaml:2: y: two lines\n"
    assert not result.stdout


def test_an_error_is_a_line_and_exit_code_1() -> None:
    """A `HumusError` is one line on stderr; square brackets in it are no markup."""
    result = CliRunner().invoke(failing(BrokerError("orders[3]: [red]away[/red]")), ["fail"])
    assert result.exit_code == ExitCode.ERROR
    assert result.stderr == "error: orders[3]: [red]away[/red]\n"


def test_ctrl_c_is_exit_code_130() -> None:
    """Ctrl-C ends a command with 130, without a traceback."""
    result = CliRunner().invoke(failing(KeyboardInterrupt()), ["fail"])
    assert result.exit_code == ExitCode.INTERRUPTED == 128 + signal.SIGINT
    assert not result.output


def test_what_is_no_error_of_ours_keeps_its_traceback() -> None:
    """A fault in the program is not made pretty: it stays an exception."""
    result = CliRunner().invoke(failing(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_every_command_has_help() -> None:
    """Each command and group says what it is in its help, and the root lists it."""
    app, listed = make_app(), humus("--help").stdout
    for name in [
        *(command.name for command in app.registered_commands),
        *(group.name for group in app.registered_groups),
    ]:
        assert name
        assert name in listed
        assert humus(name, "--help").returncode == ExitCode.OK


def test_brokers_alone_are_a_connection() -> None:
    """`--brokers` is enough to reach a Kafka without TLS and SASL; spaces and several are fine."""
    connection = connect("one:9092, two:9093", None)
    assert connection.brokers == "one:9092,two:9093"
    assert connection.client["bootstrap.servers"] == "one:9092,two:9093"
    assert connection.settings is None


def test_a_service_s_configuration_is_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config` takes brokers, TLS, SASL and security keys of the client out of the file; --brokers wins."""
    monkeypatch.setenv("HUMUS__KAFKA__SASL__USERNAME", "me")
    file = tmp_path / "config.yaml"
    file.write_text(
        "kafka:\n"
        "  brokers: [one:9092, two:9092]\n"
        "  group_id: g\n"
        "  tls: {}\n"
        "  sasl: {mechanism: PLAIN, username: you, password: hunter2}\n"
        "  librdkafka: {ssl.endpoint.identification.algorithm: none, fetch.wait.max.ms: 10}\n"
        "own: 1\n"
    )
    connection = connect(None, [file])
    assert connection.settings is not None
    assert connection.settings.group_id == "g"
    assert connection.client == {
        "bootstrap.servers": "one:9092,two:9092",
        "client.id": "humus",
        "security.protocol": "sasl_ssl",
        "enable.ssl.certificate.verification": True,
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "hunter2",
        "ssl.endpoint.identification.algorithm": "none",
    }
    assert connect("three:9092", [file]).client["bootstrap.servers"] == "three:9092"
    assert "hunter2" not in repr(connection)


@pytest.mark.parametrize(
    ("brokers", "fault"),
    [(None, "say where Kafka is: --brokers HOST:PORT"), ("kafka://x", "--brokers: "), ("", "--brokers: ")],
)
def test_no_brokers_is_a_fault(brokers: str | None, fault: str) -> None:
    """Without brokers, or with what are none, it says so."""
    with pytest.raises(ConfigError, match=fault):
        connect(brokers, None)
