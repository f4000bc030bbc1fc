"""`humus config`: check, show, schema."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import Secret, SecretStr
from typer.testing import CliRunner

from humus.cli._app import make_app
from humus.cli._exit import ExitCode
from humus.cli._masked import MASK, masked

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "examples" / "flights"
SCRIPT = Path(sys.executable).with_name("humus")
SECRET = "hunter2"  # noqa: S105 - to be looked for
MINIMAL = "kafka:\n  brokers: localhost:9092\n  group_id: g\n  topics: [{name: orders, semantic: at-least-once}]\n"
BAD = "kafka:\n  brokers: ''\n  group_id: ${NOT_THERE}\n  session_timout: 1s\nlog: {level: loud}\n"
APP = """
    from dataclasses import dataclass

    from pydantic import BaseModel, Field, PostgresDsn, SecretStr

    from beside import NAME
    from humus import queue
    from humus.queue import kafka

    class Api(BaseModel):
        url: str
        api_key: str = ""
        clientSecret: str = ""
        retries: int = 3

    class Config(queue.Config):
        kafka: kafka.Settings
        api: Api
        db: PostgresDsn
        conninfo: str
        secret: SecretStr
        quiet: str = Field(repr=False)
        name: str = NAME

    async def init(cfg: Config) -> queue.App: ...
"""
CONFIG = """
    kafka:
      brokers: kafka.example:9093
      group_id: orders
      topics: [{name: orders, semantic: at-least-once, on_failure: {dead_letter: orders.dlt}}]
      tls: {ca_file: ca.pem, cert_file: ca.pem, key_file: ca.pem, key_password: "${SECRET}"}
      sasl: {mechanism: PLAIN, username: me, password: "${SECRET}"}
      librdkafka: {sasl.kerberos.keytab: hunter2, ssl.keystore.password: hunter2, ssl.key.pem: hunter2,
                   sasl.oauthbearer.config: hunter2, fetch.wait.max.ms: 10}
    api: {url: "https://me:hunter2@example.com/x?a=1", api_key: hunter2, clientSecret: hunter2, retries: 4}
    db: postgresql://me:hunter2@db.example/orders
    conninfo: host=db.example password=hunter2 user=me
    secret: hunter2
    quiet: hunter2
    otel:
      file_format: "1.0"
      tracer_provider:
        processors:
          - batch: {exporter: {otlp_http: {endpoint: "http://c:4318", headers: [{name: api-key, value: hunter2}]}}}
"""


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file, without the indentation of its text."""
    path = folder / name
    path.write_text("\n".join(line.removeprefix("    ") for line in text.split("\n")))
    return path


def script(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed script in a folder."""
    return subprocess.run(  # noqa: S603 - ours
        [str(SCRIPT), *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SECRET": SECRET, **environment},
    )


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Return the folder of a service with secrets in every place."""
    write(tmp_path, "app.py", APP)
    write(tmp_path, "beside.py", '    NAME = "from beside"')
    write(tmp_path, "config.yaml", CONFIG)
    (tmp_path / "ca.pem").touch()
    return tmp_path


@pytest.mark.parametrize("app", [(), ("--app", "app.py"), ("--model", "app:Config"), ("--app", "app:init")])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_show_shows_no_secret(service: Path, app: tuple[str, ...], as_json: tuple[str, ...]) -> None:
    """No form of `config show` prints a secret, wherever it stands and however it came there."""
    done = script(service, "config", "show", "config.yaml", *app, *as_json, HUMUS__KAFKA__GROUP_ID="other")
    assert done.returncode == ExitCode.OK, done.stderr
    assert SECRET not in done.stdout + done.stderr
    shown = (json.loads if as_json else yaml.safe_load)(done.stdout)
    assert shown["kafka"]["group_id"] == "other"
    assert shown["kafka"]["sasl"] == {"mechanism": "PLAIN", "username": "me", "password": MASK}
    assert shown["kafka"]["tls"]["key_password"] == MASK
    assert shown["kafka"]["tls"]["ca_file"] == "ca.pem"
    assert shown["kafka"]["librdkafka"]["fetch.wait.max.ms"] == 10
    assert shown["kafka"]["topics"][0]["on_failure"] == {"dead_letter": "orders.dlt"}
    assert shown["api"]["retries"] == (4 if app else MASK)
    if app:
        assert shown["api"]["url"] == f"https://{MASK}@example.com/x?a=1"
        assert shown["db"] == f"postgresql://{MASK}@db.example/orders"
        assert shown["conninfo"] == f"host=db.example password={MASK} user=me"
        assert shown["name"] == "from beside"
    else:
        assert "the service's own values are masked: api, conninfo, db, quiet, secret" in done.stderr


def test_check_and_schema_show_no_secret(service: Path) -> None:
    """Neither `config check`, with faults or without, nor `config schema` prints a secret."""
    faulty = CONFIG.replace("retries: 4", "retries: hunter2").replace("kafka.example:9093", "http://me:hunter2@k")
    write(service, "faulty.yaml", faulty)
    for arguments, code in (
        (("check", "config.yaml"), ExitCode.USAGE),  # the client: that is no certificate
        (("check", "config.yaml", "--app", "app.py"), ExitCode.USAGE),
        (("check", "faulty.yaml", "--app", "app.py", "--json"), ExitCode.USAGE),
        (("schema", "--app", "app.py"), ExitCode.OK),
    ):
        done = script(service, "config", *arguments)
        assert done.returncode == code, done.stderr
        assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("app", [(), ("--app", "app.py")])
def test_show_shows_nothing_out_of_a_file(service: Path, app: tuple[str, ...]) -> None:
    """What `${file:...}` stands for is masked whatever its key is called, and in the middle of a value as well."""
    (service / "password").write_text("swordfish\n")
    (service / "number").write_text("417\n")
    secret, number = "${file:password}", "${file:number}"
    config = CONFIG.replace('password: "${SECRET}"', f'password: "{secret}"').replace(
        "group_id: orders", f"group_id: {secret}"
    )
    config = config.replace("retries: 4", f"retries: '{number}', url: 'x?{secret}&b'").replace(
        'url: "https://me:hunter2@example.com/x?a=1", ', ""
    )
    write(service, "config.yaml", config)
    done = script(service, "config", "show", "config.yaml", *app)
    assert done.returncode == ExitCode.OK, done.stderr
    assert not [text for text in ("swordfish", "417", SECRET) if text in done.stdout + done.stderr]
    shown = yaml.safe_load(done.stdout)
    assert shown["kafka"]["group_id"] == MASK
    assert shown["api"]["retries"] == MASK
    if app:
        assert shown["api"]["url"] == f"x?{MASK}&b"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"stripe_key": "x", "key_file": "x", "monkey": "x"}, {"stripe_key": MASK, "key_file": "x", "monkey": "x"}),
        (
            {"accessToken": "x", "tokens": ["x"], "password": None},
            {"accessToken": MASK, "tokens": MASK, "password": None},
        ),
        ({"sasl.mechanism": "PLAIN", "sasl.username": "x"}, {"sasl.mechanism": "PLAIN", "sasl.username": MASK}),
        ({"a": [{"secret": {"deep": "x"}}]}, {"a": [{"secret": MASK}]}),
        ("amqp://u:p@one:1,u:p@two:2/v", f"amqp://{MASK}@two:2/v"),
        ("https://e.example/?sig=abc&x=1", f"https://e.example/?sig={MASK}&x=1"),
        ("Server=x;Password='a b';Port=1", f"Server=x;Password={MASK};Port=1"),
        ("-----BEGIN PRIVATE KEY-----\nabc", MASK),
        (b"bytes", "bytes"),
        ([SecretStr("x"), Secret[int](5)], [MASK, MASK]),
        ({1}, [1]),
        (Path("a/b"), "a/b"),
    ],
)
def test_what_looks_like_a_secret_is_masked(value: Any, shown: Any) -> None:
    """Keys, URLs, pairs and private keys are masked by their looks; what is beside them stays."""
    assert masked(value) == shown


def test_check_names_all_faults_with_their_lines(tmp_path: Path) -> None:
    """`config check` prints each fault with file, line and key on stderr, all at once, and exits with 2."""
    file = write(
        tmp_path,
        "bad.yaml",
        "kafka:\n  brokers: ''\n  group_id: ${NOT_THERE}\n  session_timout: 1s\nlog: {level: loud}\n",
    )
    result = CliRunner(env={"NOT_THERE": None}).invoke(make_app(), ["config", "check", str(file)])
    assert result.exit_code == ExitCode.USAGE
    assert not result.stdout
    places = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert places == [
        [f"{file}:2", "kafka.brokers"],
        [f"{file}:3", "kafka.group_id"],
        [f"{file}:4", "kafka.session_timout"],
        [f"{file}:5", "log.level"],
    ]
    as_json = CliRunner().invoke(make_app(), ["config", "check", str(file), "--json"])
    assert as_json.exit_code == ExitCode.USAGE
    assert json.loads(as_json.stdout) == {"ok": False, "faults": result.stderr.splitlines()}


def test_check_lets_the_client_look_at_its_own_keys(tmp_path: Path) -> None:
    """A key of librdkafka that does not exist is a fault at the check already, as it is at the service's start."""
    file = write(tmp_path, "config.yaml", MINIMAL + "  librdkafka: {fetch.wate.max.ms: 10}\n")
    result = CliRunner().invoke(make_app(), ["config", "check", str(file)])
    assert result.exit_code == ExitCode.USAGE
    assert f"{file}: kafka: " in result.stderr
    assert "fetch.wate.max.ms" in result.stderr


def test_check_says_what_it_did_not_look_at(tmp_path: Path) -> None:
    """Keys of the service's own pass without --app, and are named; a near miss is."""
    file = write(tmp_path, "config.yaml", MINIMAL + "own: 1\nkafak: {}\n")
    result = CliRunner().invoke(make_app(), ["config", "check", str(file)])
    assert result.exit_code == ExitCode.OK
    assert result.stdout == f"{file}: no faults\n"
    assert "the service's own: kafak (did you mean kafka?)" in result.stderr
    assert "the service's own: own\n" in result.stderr
    as_json = CliRunner().invoke(make_app(), ["config", "check", str(file), "--json"])
    assert json.loads(as_json.stdout) == {"ok": True, "faults": [], "not_checked": ["kafak", "own"]}


def test_several_files_are_one_configuration(tmp_path: Path) -> None:
    """Later files win, as with `yaml_source`; a service without a topic in its file is fine."""
    base = write(tmp_path, "base.yaml", "kafka: {brokers: one:1, group_id: g}\n")
    over = write(tmp_path, "over.yaml", "kafka: {brokers: two:2}\nhealth: null\n")
    shown = CliRunner().invoke(make_app(), ["config", "show", str(base), str(over), "--json"])
    assert json.loads(shown.stdout)["kafka"]["brokers"] == ["two:2"]
    assert json.loads(shown.stdout)["health"] is None
    assert CliRunner().invoke(make_app(), ["config", "check", str(base), str(over)]).exit_code == ExitCode.OK


@pytest.mark.parametrize("command", [["check", "none.yaml"], ["show", "none.yaml"]])
def test_a_file_that_is_not_there(command: list[str]) -> None:
    """A missing file is a fault, with where it was looked for."""
    result = CliRunner().invoke(make_app(), ["config", *command])
    assert result.exit_code == ExitCode.USAGE
    assert "none.yaml: no such file" in result.stderr


@pytest.mark.parametrize(
    ("app", "fault"),
    [
        ("none.py", "--app: there is no file none.py"),
        ("none", "--app none cannot be imported: ModuleNotFoundError"),
        ("broken.py", "--app broken.py cannot be imported: ZeroDivisionError"),
        ("empty.py", "there is neither an init nor a Config in it"),
        ("app.py:Nothing", "Nothing is no class that is derived from humus.queue.Config"),
        ("app.py:Api", "Api is no class that is derived from humus.queue.Config"),
        ("empty.py:loose", "annotate its parameter"),
    ],
)
def test_an_app_that_has_no_configuration(service: Path, app: str, fault: str) -> None:
    """What --app names wrongly is said in one line, with exit code 2."""
    write(service, "broken.py", "    1 / 0")
    write(service, "empty.py", "    import sys as loose_end\n    def loose(config): ...")
    done = script(service, "config", "schema", "--app", app)
    assert done.returncode == ExitCode.USAGE
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_the_schema_fits_the_files(service: Path) -> None:
    """The JSON schema is valid, takes the example's files, references included, and refuses a wrong key."""
    schemas = [
        json.loads(script(FLIGHTS, "config", "schema").stdout),
        json.loads(script(FLIGHTS, "config", "schema", "--app", "app.py").stdout),
    ]
    file = yaml.safe_load((FLIGHTS / "config.yaml").read_text())
    referring = {**file, "health": {"port": "${PORT:-8080}"}, "log": {"level": "${LEVEL}"}}
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
        for one in (file, referring):
            assert not list(Draft202012Validator(schema).iter_errors(one))
        for wrong in ({**file, "health": {"port": "x"}}, {**file, "log": {"levle": "info"}}):
            assert list(Draft202012Validator(schema).iter_errors(wrong))
    own = json.loads(script(service, "config", "schema", "--app", "app.py").stdout)
    assert "conninfo" in own["required"]
    assert list(Draft202012Validator(schemas[1]).iter_errors({**file, "own": 1})), "with --app, unknown keys are faults"
    assert not list(Draft202012Validator(schemas[0]).iter_errors({**file, "own": 1}))
