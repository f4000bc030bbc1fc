"""Loading a configuration: faults with their places, overrides, merging, secrets."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from humus.config import Config, Duration, Size, load, yaml_source
from humus.errors import ConfigError


class Strict(BaseModel):
    """A section that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid")


class DeadLetter(Strict):
    """One alternative of a union."""

    dead_letter: str


class File(Strict):
    """One alternative of a discriminated union."""

    kind: Literal["file"]
    path: str


class Memory(Strict):
    """Another alternative."""

    kind: Literal["memory"]


class Topic(Strict):
    """An entry of a list."""

    name: Annotated[str, Field(min_length=1)]
    on_failure: Literal["halt", "skip"] | DeadLetter = "halt"


class Kafka(Strict):
    """A section with about everything."""

    brokers: str | list[str] = "localhost:9092"
    group_id: str = "group"
    session_timeout: Duration = 45.0
    fetch_max_bytes: Size = 50
    fetches: Annotated[int, Field(ge=1)] | None = None
    password: SecretStr | None = None
    topics: list[Topic] = []
    store: Annotated[File | Memory, Field(discriminator="kind")] | None = None
    verify: bool = True

    @field_validator("group_id")
    @classmethod
    def _no_spaces(cls, value: str) -> str:
        if " " in value:
            raise ValueError("must not contain spaces")
        return value

    @model_validator(mode="after")
    def _together(self) -> "Kafka":
        if self.group_id == "two":
            raise ConfigError(["first fault of the section", "second fault of the section"])
        return self


class Mine(Config):
    """A configuration of the user's own."""

    kafka: Kafka = Kafka()
    orders_db: str = ""
    camelCase: int = 0  # noqa: N815 - users do write such keys


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, so that faults name `config.yaml` without a path."""
    monkeypatch.chdir(tmp_path)


def read(text: str, model: type[Mine] = Mine, /, **environ: str) -> Mine:
    """Load `config.yaml` with this text in this environment."""
    Path("config.yaml").write_text(text, encoding="utf-8")
    return load(yaml_source("config.yaml"), model, environ)


def faults(text: str, model: type[Mine] = Mine, /, **environ: str) -> list[str]:
    """Return the faults that loading finds."""
    with pytest.raises(ConfigError) as caught:
        read(text, model, **environ)
    assert caught.value.__cause__ is None
    return list(caught.value.faults)


def test_values_are_typed() -> None:
    """A file becomes the model's object, with durations in seconds and sizes in bytes."""
    config = read(
        """
kafka:
  brokers: [a:1, b:2]
  group_id: orders
  session_timeout: 1m30s
  fetch_max_bytes: 50MiB
  topics:
    - name: orders
      on_failure: {dead_letter: orders.dlt}
  store: {kind: memory}
"""
    )
    assert config.kafka.brokers == ["a:1", "b:2"]
    assert (config.kafka.session_timeout, config.kafka.fetch_max_bytes) == (90.0, 50 * 1024 * 1024)
    assert config.kafka.topics[0].on_failure == DeadLetter(dead_letter="orders.dlt")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}", "\ufeff"])
def test_empty_file(text: str) -> None:
    """An empty file is an empty mapping: every default holds."""
    assert read(text) == Mine()


A_DURATION = "must be a duration such as 10s, 1m30s, 250ms, PT1M30S, or a number of seconds, and not negative"
A_SIZE = "must be a size such as 50MiB, 64KiB, 1MB, or a whole number of bytes, and not negative"

FAULTS = {
    "unknown key, near miss": (
        "kafka:\n  group_id: a\n  session_timout: 4s\n",
        "config.yaml:3: kafka.session_timout: unknown key; did you mean session_timeout?",
    ),
    "unknown key, no near miss": ("colour: red\n", "config.yaml:1: colour: unknown key"),
    "unknown key in a list": (
        "kafka:\n  topics:\n    - name: a\n    - nam: b\n      name: b\n",
        "config.yaml:4: kafka.topics[1].nam: unknown key; did you mean name?",
    ),
    "missing": ("kafka:\n  topics:\n    - on_failure: skip\n", "config.yaml:3: kafka.topics[0].name: is missing"),
    "text": ("kafka:\n  group_id: 5\n", "config.yaml:2: kafka.group_id: must be a string"),
    "number": ("kafka: {fetches: many}\n", "config.yaml:1: kafka.fetches: must be a whole number"),
    "bound": ("kafka: {fetches: 0}\n", "config.yaml:1: kafka.fetches: must be at least 1"),
    "boolean": ("kafka: {verify: 7}\n", "config.yaml:1: kafka.verify: must be true or false"),
    "mapping": ("kafka: 5\n", "config.yaml:1: kafka: must be a mapping"),
    "list": ("kafka: {topics: a}\n", "config.yaml:1: kafka.topics: must be a list"),
    "empty": ("kafka: {topics: [{name: ''}]}\n", "config.yaml:1: kafka.topics[0].name: must not be empty"),
    "duration": (
        "kafka: {session_timeout: soon}\n",
        f"config.yaml:1: kafka.session_timeout: {A_DURATION}",
    ),
    "size": (
        "kafka: {fetch_max_bytes: big}\n",
        f"config.yaml:1: kafka.fetch_max_bytes: {A_SIZE}",
    ),
    "union of kinds": ("kafka: {brokers: 5}\n", "config.yaml:1: kafka.brokers: must be a string or a list"),
    "union, wrong constant": (
        "kafka: {topics: [{name: a, on_failure: stop}]}\n",
        "config.yaml:1: kafka.topics[0].on_failure: must be 'halt' or 'skip' or a mapping",
    ),
    "union, wrong inside": (
        "kafka: {topics: [{name: a, on_failure: {dead_letter: 3}}]}\n",
        "config.yaml:1: kafka.topics[0].on_failure.dead_letter: must be a string",
    ),
    "union, entry of a list": (
        "kafka:\n  brokers:\n    - a\n    - 3\n",
        "config.yaml:4: kafka.brokers[1]: must be a string",
    ),
    "discriminator": (
        "kafka: {store: {kind: disk}}\n",
        "config.yaml:1: kafka.store: 'kind' must be one of 'file', 'memory'",
    ),
    "discriminated": ("kafka: {store: {kind: file}}\n", "config.yaml:1: kafka.store.path: is missing"),
    "validator": ("kafka: {group_id: a b}\n", "config.yaml:1: kafka.group_id: must not contain spaces"),
    "otel": (
        'otel: {file_format: "1.0", tracer_provder: {}}\n',
        "config.yaml:1: otel.tracer_provder: unknown key; did you mean tracer_provider?",
    ),
    "health": (
        "\nhealth: {port: 65536}\n",
        "config.yaml:2: health.port: must be at most 65535",
    ),
    "health key": (
        "health: {prot: 8080}\n",
        "config.yaml:1: health.prot: unknown key; did you mean port?",
    ),
    "log format": (
        "log: {format: xml}\n",
        "config.yaml:1: log.format: must be 'auto', 'json' or 'text'",
    ),
    "log level": (
        "log: {levels: {a.b: loud}}\n",
        "config.yaml:1: log.levels.a.b: must be 'critical', 'error', 'warning', 'info' or 'debug'",
    ),
    "unset variable": (
        "kafka:\n  group_id: ${GROUP}\n",
        "config.yaml:2: kafka.group_id: the environment variable GROUP is not set, and ${GROUP} has no default",
    ),
    "bad reference": (
        "orders_db: ${1GROUP}\n",
        (
            "config.yaml:1: orders_db: not a valid reference: "
            "write ${NAME}, ${NAME:-default} or ${file:PATH}, and $$ for a dollar"
        ),
    ),
    "duplicate key": (
        "kafka:\n  group_id: a\n  group_id: b\n",
        "config.yaml:3: kafka.group_id: given twice; the first one is in line 2",
    ),
    "tag": (
        "orders_db: !!python/name:os.system\n",
        "config.yaml:1: orders_db: tags are not supported; quote a string that starts with !",
    ),
    "recursive alias": (
        "kafka: &a\n  topics: *a\n",
        "config.yaml:2: kafka.topics: an alias inside of what it stands for",
    ),
    "key that is a list": ("? [a]\n: b\n", "config.yaml:1: a key must be plain text, not a list or a mapping"),
    "not a mapping": ("- a\n", "config.yaml:1: must be a mapping of keys to values at the top"),
    "two documents": ("a: 1\n---\nb: 2\n", "config.yaml:2:1: not valid YAML: but found another document"),
    "tab": (
        "kafka:\n\tgroup_id: a\n",
        "config.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token",
    ),
    "control character": (
        "a: b\nc: \x01\n",
        "config.yaml:2: not valid YAML: a control character, which YAML does not allow",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name: str) -> None:
    """Each kind of fault is one line with file, line, key path, and what to do."""
    text, expected = FAULTS[name]
    assert faults(text) == [expected]


def test_all_faults_at_once_in_order() -> None:
    """Faults of substitution, structure and validation come together, in the order of the lines."""
    text = """
kafka:
  group_id: ${GROUP}
  group_idd: x
  fetches: none
  topics:
    - {}
    - name: ${NAME}
log: {level: loud}
"""
    found = faults(text, HUMUS__ORDERS_DB="[1]")
    assert [fault.split(": ")[:2] for fault in found] == [
        ["config.yaml:3", "kafka.group_id"],
        ["config.yaml:4", "kafka.group_idd"],
        ["config.yaml:5", "kafka.fetches"],
        ["config.yaml:7", "kafka.topics[0].name"],
        ["config.yaml:8", "kafka.topics[1].name"],
        ["config.yaml:9", "log.level"],
        ["HUMUS__ORDERS_DB", "orders_db"],
    ]


def test_config_error_of_a_section_keeps_its_lines() -> None:
    """A validator that raises `ConfigError` with several faults gives several lines, at the section's place."""
    assert faults("orders_db: x\nkafka:\n  group_id: two\n") == [
        "config.yaml:2: kafka: first fault of the section",
        "config.yaml:2: kafka: second fault of the section",
    ]


def test_missing_file() -> None:
    """A file that does not exist is named, with the folder that was searched."""
    with pytest.raises(ConfigError) as caught:
        load(yaml_source("nowhere.yaml"), Mine, {})
    assert str(caught.value) == f"nowhere.yaml: no such file (looked in {Path.cwd()})"


def test_unreadable_files_are_told_at_once(tmp_path: Path) -> None:
    """A directory, a loop of links and a file that is not UTF-8 are one line each."""
    Path("folder.yaml").mkdir()
    Path("loop.yaml").symlink_to("loop.yaml")
    Path("latin.yaml").write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load(yaml_source(tmp_path / "folder.yaml", "loop.yaml", "latin.yaml"), Mine, {})
    assert list(caught.value.faults) == [
        f"{tmp_path / 'folder.yaml'}: a directory, not a file",
        "loop.yaml: cannot be read: Too many levels of symbolic links",
        "latin.yaml:2: not valid UTF-8",
    ]


def test_files_merge() -> None:
    """Mappings merge, lists are replaced, later files win, and a fault names the file it stands in."""
    Path("base.yaml").write_text("kafka: {group_id: a, brokers: [a, b], fetches: 3}\norders_db: x\n", encoding="utf-8")
    Path("over.yaml").write_text("kafka:\n  brokers: [c]\n  group_id: b\n", encoding="utf-8")
    config = load(yaml_source("base.yaml", "over.yaml"), Mine, {})
    assert config.kafka == Kafka(group_id="b", brokers=["c"], fetches=3)
    assert config.orders_db == "x"
    Path("over.yaml").write_text("kafka:\n  fetches: -1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^over\.yaml:2: kafka\.fetches: must be at least 1$"):
        load(yaml_source("base.yaml", "over.yaml"), Mine, {})


def test_anchors_and_merge_keys() -> None:
    """Anchors, aliases and `<<` work; the mapping's own keys win."""
    text = """
kafka:
  topics:
    - &first {name: a, on_failure: skip}
    - {<<: *first, name: b}
    - <<: [{name: c}, *first]
"""
    assert [(topic.name, topic.on_failure) for topic in read(text).kafka.topics] == [
        ("a", "skip"),
        ("b", "skip"),
        ("c", "skip"),
    ]


def test_aliases_of_aliases_are_bounded() -> None:
    """A file that would expand to billions of values is a fault, not the end of the memory."""
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    assert any("more than 100,000 values" in fault for fault in faults(text))


def test_deep_nesting_is_a_fault() -> None:
    """Nesting beyond what the parser can follow is a fault, not a crash."""
    assert faults("orders_db: " + "[" * 5000) == ["config.yaml: not valid YAML: nested too deeply"]


@pytest.mark.parametrize("text", ["${GROUP}", '"${GROUP}"', "'${env:GROUP}'", "${NONE:-${GROUP}"])
def test_text_out_of_the_environment_stays_text(text: str) -> None:
    """Where the model wants text, a value like `007` is not read as a number."""
    expected = "${GROUP" if "NONE" in text else "007"
    assert read(f"kafka: \n  group_id: {text}\n", GROUP="007").kafka.group_id == expected


@pytest.mark.parametrize("quote", ["", '"'])
def test_number_out_of_the_environment(quote: str) -> None:
    """Where the model wants a number, a variable gives one, also where flow style forces the quotes."""
    assert read(f"kafka: {{fetches: {quote or chr(39)}${{N}}{quote or chr(39)}}}\n", N="12").kafka.fetches == 12
    assert read(f"kafka:\n  fetches: {quote}${{N}}{quote}\n", N="12").kafka.fetches == 12


def test_variable_cannot_change_the_structure() -> None:
    """A value with YAML's own characters stays one scalar."""
    value = "a: b\n- [c, {d: e}] # f"
    assert read("orders_db: ${DB}\n", DB=value).orders_db == value


def test_empty_variable() -> None:
    """An empty variable takes its default; without one it is empty."""
    text = "orders_db: ${DB:-default}\n"
    assert (read(text, DB="").orders_db, read(text).orders_db) == ("default", "default")
    assert read("orders_db: ${DB}\n", DB="").orders_db == ""


def test_yaml_core_schema() -> None:
    """Plain scalars are those of YAML 1.2: `no` is a text and `0o17` a number."""
    config = read("kafka: {group_id: no, fetches: 0o17}\norders_db: 2026-01-01\n")
    assert (config.kafka.group_id, config.kafka.fetches, config.orders_db) == ("no", 15, "2026-01-01")


def test_overrides_win() -> None:
    """An environment override wins over the file, whatever its case, and keeps the keys beside it."""
    config = read(
        "kafka: {group_id: a, fetches: 3}\ncamelCase: 1\n",
        HUMUS__KAFKA__GROUP_ID="123",
        humus__kafka__session_timeout="10s",
        HUMUS__CAMELCASE="2",
        HUMUS__KAFKA__BROKERS='["a:1", "b:2"]',
        HUMUS__LOG__LEVELS="{humus.kafka: debug}",
        HUMUS__ORDERS_DB="{not a mapping",
        OTHER="x",
    )
    assert config.kafka == Kafka(group_id="123", fetches=3, session_timeout=10.0, brokers=["a:1", "b:2"])
    assert (config.camelCase, config.orders_db) == (2, "{not a mapping")
    assert config.log.levels == {"humus.kafka": "debug"}


def test_longer_override_wins() -> None:
    """Of an override of a section and one of a key inside, the one that says more wins."""
    config = read("", HUMUS__KAFKA__GROUP_ID="b", HUMUS__KAFKA="{group_id: a, fetches: 2}")
    assert config.kafka == Kafka(group_id="b", fetches=2)


def test_overrides_are_not_substituted() -> None:
    """`${NAME}` in an override is text: it has been expanded by whoever set it."""
    assert read("", HUMUS__ORDERS_DB="${HOME}", HOME="/root").orders_db == "${HOME}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"HUMUS__KAFKA__GROPU_ID": "a"},
            "HUMUS__KAFKA__GROPU_ID: kafka.gropu_id: unknown key; did you mean group_id?",
        ),
        ({"HUMUS__KAFKA__FETCHES": "many"}, "HUMUS__KAFKA__FETCHES: kafka.fetches: must be a whole number"),
        ({"HUMUS__KAFKA": "many"}, "HUMUS__KAFKA: kafka: must be a mapping"),
        ({"HUMUS__KAFKA__": "a"}, "HUMUS__KAFKA__: not a valid override: it must look like HUMUS__SECTION__KEY"),
        (
            {"HUMUS__HEALTH__PORT": "-1"},
            "HUMUS__HEALTH__PORT: health.port: must be at least 0",
        ),
        (
            {"HUMUS__ORDERS_DB": "a", "humus__orders_db": "b"},
            "humus__orders_db: orders_db: given twice; HUMUS__ORDERS_DB says it too",
        ),
        ({"HUMUS__ORDERS_DB": "\udcff"}, "HUMUS__ORDERS_DB: orders_db: not valid UTF-8"),
    ],
)
def test_faults_of_overrides_name_the_variable(environ: dict[str, str], expected: str) -> None:
    """A fault that comes from an override names its variable."""
    assert faults("", Mine, **environ) == [expected]


SECRET = "hunter2-very-secret"  # noqa: S105 - invented


@pytest.mark.parametrize(
    "text",
    [
        "kafka: {password: [%s]}",
        "kafka: {pasword: %s}",
        "kafka: {group_id: ' %s'}",
        "kafka: {fetches: %s}",
        "kafka: {session_timeout: %s, fetch_max_bytes: %s, verify: %s, store: %s}",
        "kafka: {store: {kind: %s}}",
        "kafka: {topics: [{name: a, on_failure: %s}]}",
        "log: {level: %s, format: %s}",
        "orders_db: *%s",
        "orders_db: !%s",
        "orders_db: !%s!x y",
        "a: &%s 1\nb: &%s 2\n",
        "orders_db: '%s",
        'orders_db: "\\%s"',
        "orders_db: ${%s:?x}",
        "%s",
        "kafka: {%s",
        "orders_db: @%s",
        "orders_db: %%%s",
        "otel: %s",
        "otel: {file_format: %s, tracer_provider: {processors: [{batch: %s}], sampler: {parent_based: %s}}}",
        "otel: {file_format: '1.0', resource: {attributes: [{name: %s, value: {a: %s}, type: %s}]}}",
    ],
)
def test_values_are_never_shown(text: str) -> None:
    """No message shows a value of the file: any of them may be a secret."""
    filled = text.replace("%s", SECRET).replace("%%", "%")
    assert SECRET not in "\n".join(faults(filled))


def test_values_of_variables_are_never_shown() -> None:
    """No message shows the value of a variable, and no exception carries it."""
    found = faults("kafka: {fetches: '${X}'}", X=SECRET, HUMUS__KAFKA__VERIFY=SECRET, HUMUS__KAFKA__STORE=SECRET)
    assert len(found) == 3
    assert SECRET not in "\n".join(found)


def test_configuration_is_frozen() -> None:
    """A loaded configuration cannot be changed."""
    config: Any = read("")
    with pytest.raises(ValueError, match="frozen"):
        config.log = None
