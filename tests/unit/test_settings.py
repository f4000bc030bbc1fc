"""Options: what each may be, what becomes of them at the client, and the `kafka:` section of the file."""

import inspect
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from confluent_kafka import Consumer, KafkaException
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from humus.errors import ConfigError
from humus.queue.kafka._client_config import client_config, connection_config
from humus.queue.kafka._client_errors import refused_config
from humus.queue.kafka._message import Message
from humus.queue.kafka._options import (
    DEFAULTS,
    OPTION_NAMES,
    AutoOffsetReset,
    GroupProtocol,
    IsolationLevel,
    Options,
    validate,
)
from humus.queue.kafka._owned_keys import owner_of
from humus.queue.kafka._retry import Retry, skip
from humus.queue.kafka._runtime import Runtime
from humus.queue.kafka._security import SASL, TLS, security_config
from humus.queue.kafka._settings import Settings, runtime_arguments
from humus.queue.kafka._subscription import Semantic, at_least_once, at_most_once

_HIDDEN = "hunter2"
_PROVIDER = "https://provider/token"
_MIB = 1024 * 1024


def _process(msg: Message) -> None:
    """Do nothing."""


def _options(**options: Any) -> Options:
    return validate("localhost:9092", "group", [at_least_once("orders", _process)], **options)


def _faults(**options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        _options(**options)
    return caught.value.faults


# -- options -------------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    """The seed's defaults: session 45 s, rebalance 30 s, fetch 50 MiB, fetches unlimited; half of 30 s to drain."""
    options = _options()
    assert (options.session_timeout, options.rebalance_timeout, options.drain_timeout) == (45.0, 30.0, 15.0)
    assert (options.fetch_max_bytes, options.buffer_max_bytes) == (50 * _MIB, 64 * _MIB)
    assert options.max_concurrent_fetches is None
    assert options.librdkafka == {}


def test_signature_of_the_runtime_says_the_same() -> None:
    """The constructor's options and their defaults are those of the table."""
    parameters = inspect.signature(Runtime).parameters.values()
    options = {one.name: one.default for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert options == dict(DEFAULTS)


def test_times_may_be_timedeltas() -> None:
    """A time is a number of seconds or a timedelta, wherever one is taken."""
    options = _options(session_timeout=timedelta(seconds=10), rebalance_timeout=timedelta(minutes=1), commit_interval=2)
    assert (options.session_timeout, options.rebalance_timeout, options.drain_timeout) == (10.0, 60.0, 30.0)
    assert options.commit_interval == 2.0


@pytest.mark.parametrize("brokers", ["a:1,b:2", " a:1 , b:2 ,", ["a:1", "b:2"], ("a:1,b:2",), ["a:1", " b:2 "]])
def test_brokers_are_a_list_or_a_string(brokers: Any) -> None:
    """Both ways to write them arrive at the client alike."""
    assert validate(brokers, "group", [at_least_once("orders", _process)]).brokers == "a:1,b:2"


@pytest.mark.parametrize("broker", ["kafka", "kafka.example.org:9092", "10.0.0.1:1", "[::1]:9092", "a_b-c:65535"])
def test_brokers_that_can_be(broker: str) -> None:
    """Host names, addresses of both families, and the port left out."""
    assert validate([broker], "group", [at_least_once("orders", _process)]).brokers == broker


@pytest.mark.parametrize(
    ("brokers", "says"),
    [
        ("", "must not be empty"),
        ([], "must not be empty"),
        (",", "is empty"),
        (["a:1", " "], "is empty"),
        (b"a:1", "it is a bytes"),
        (7, "it is a int"),
        (None, "it is None"),
        (["a:1", 7], "one is a int"),
        ("http://a:1", "leave out what stands before '://'"),
        ("a:0", "no host:port"),
        ("a:65536", "no host:port"),
        ("a:b", "no host:port"),
        ("::1:9092", "no host:port"),
        ("a b:1", "no host:port"),
    ],
)
def test_brokers_that_cannot_be(brokers: Any, says: str) -> None:
    """Empty, of the wrong type, or no host and port."""
    with pytest.raises(ConfigError) as caught:
        validate(brokers, "group", [at_least_once("orders", _process)])
    (fault,) = caught.value.faults
    assert fault.startswith("brokers: ")
    assert says in fault


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"session_timeout": 0}, "session_timeout: must be at least 0.1 s; it is 0 s"),
        ({"session_timeout": 3601}, "session_timeout: must be at most 3600 s"),
        ({"session_timeout": "10s"}, "session_timeout: '10s' is no time"),
        ({"session_timeout": True}, "session_timeout: True is no time"),
        ({"session_timeout": 10, "group_protocol": "consumer"}, "session_timeout: is the broker's"),
        ({"rebalance_timeout": -1}, "rebalance_timeout: must be at least 0.1 s; it is -1 s"),
        ({"rebalance_timeout": float("nan")}, "rebalance_timeout: nan is no time"),
        ({"rebalance_timeout": None}, "rebalance_timeout: None is no time"),
        ({"rebalance_timeout": timedelta(days=2)}, "rebalance_timeout: must be at most 86400 s"),
        ({"drain_timeout": 30}, "drain_timeout: must be below rebalance_timeout (30 s)"),
        ({"drain_timeout": 5, "rebalance_timeout": 5}, "drain_timeout: must be below rebalance_timeout (5 s)"),
        ({"drain_timeout": 0}, "drain_timeout: must be above 0 s"),
        ({"commit_interval": 0}, "commit_interval: must be above 0 s"),
        ({"commit_interval": -1}, "commit_interval: must be above 0 s"),
        ({"fetch_max_bytes": 1023}, "fetch_max_bytes: must be at least 1,024 bytes"),
        ({"fetch_max_bytes": 2**31}, "fetch_max_bytes: must be at most"),
        ({"fetch_max_bytes": 1e6}, "fetch_max_bytes: must be a whole number"),
        ({"buffer_max_bytes": _MIB - 1}, "buffer_max_bytes: must be at least 1,048,576 bytes"),
        ({"max_concurrent_fetches": 0}, "max_concurrent_fetches: must be at least 1"),
        ({"max_concurrent_fetches": True}, "max_concurrent_fetches: must be a whole number"),
        ({"group_protocol": "eager"}, "group_protocol: must be 'classic' or 'consumer'"),
        ({"auto_offset_reset": "smallest"}, "auto_offset_reset: must be 'earliest' or 'latest' or 'error'"),
        ({"isolation_level": 1}, "isolation_level: must be 'read_committed' or 'read_uncommitted'"),
        ({"client_id": ""}, "client_id: must not be empty"),
        ({"client_id": None}, "client_id: must be a string"),
        ({"client_rack": " "}, "client_rack: must not be empty"),
        ({"group_instance_id": "a\0b"}, "group_instance_id: must not contain a NUL"),
        ({"tls": True}, "tls: must be a TLS(...)"),
        ({"sasl": {"mechanism": "PLAIN"}}, "sasl: must be a SASL(...); it is a dict"),
        ({"librdkafka": [("a", 1)]}, "librdkafka: must be a mapping"),
        ({"librdkafka": {"check.crcs": None}}, "librdkafka: the value of 'check.crcs' must be"),
        ({"librdkafka": {"ssl.key.password": [_HIDDEN]}}, "librdkafka: the value of 'ssl.key.password' must be"),
        ({"librdkafka": {7: 1}}, "librdkafka: a key must be a string"),
        ({"handler_timeout": 0}, "handler_timeout: must be above 0 s"),
        ({"handler_timeout": True}, "handler_timeout: True is no time"),
        ({"stall_timeout": 0}, "stall_timeout: must be at least 0.1 s; it is 0 s"),
        ({"process_duration": 1}, "process_duration: must be true or false"),
        ({"client_metrics": "yes"}, "client_metrics: must be true or false"),
        ({"trace_parent": "child"}, "trace_parent: must be 'link' or 'parent'"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], says: str) -> None:
    """Each is one fault that begins with the option's name, and shows no secret."""
    (fault,) = _faults(**options)
    assert fault.startswith(says)
    assert _HIDDEN not in fault


def test_all_faults_at_once() -> None:
    """One error names every fault of every option and topic."""
    no_processor: Any = int
    with pytest.raises(ConfigError) as caught:
        validate(
            "",
            " ",
            [at_least_once("^a", no_processor), at_most_once("b", _process), at_least_once("b", _process), "c"],
            rebalance_timeout=-1,
            drain_timeout=40,
            librdkafka={"group.id": "x", "enable.auto.commit": True},
        )
    starts = [
        "at_least_once('^a', ...): starts with '^'",
        "at_least_once('^a', ...): int is a class",
        "a str is no subscription",
        "topic 'b' is subscribed more than once",
        "brokers: must not be empty",
        "group_id: must not be empty",
        "rebalance_timeout: must be at least",
        "librdkafka: the key 'group.id' belongs to the runtime: use the option group_id",
        "librdkafka: the key 'enable.auto.commit' belongs to the runtime",
    ]
    assert len(caught.value.faults) == len(starts)
    assert all(fault.startswith(start) for fault, start in zip(caught.value.faults, starts, strict=True))


def test_no_topic() -> None:
    """A runtime without a topic has nothing to do."""
    with pytest.raises(ConfigError, match="no topic to consume"):
        validate("a:1", "group", [])


def test_unknown_option_is_a_type_error() -> None:
    """As any function says of an argument that it does not have."""
    with pytest.raises(TypeError, match="sesion_timeout"):
        _options(sesion_timeout=1)


# -- the client's keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "group.id",
        "bootstrap.servers",
        "metadata.broker.list",
        "Session.Timeout.MS",
        " max.poll.interval.ms ",
        "enable.auto.commit",
        "auto.commit.enable",
        "topic.auto.commit.interval.ms",
        "topic.auto.offset.reset",
        "enable.auto.offset.store",
        "partition.assignment.strategy",
        "queued.min.messages",
        "error_cb",
        "stats_cb",
        "oauth_cb",
        "on_commit",
        "logger",
        "default.topic.config",
    ],
)
def test_keys_that_the_runtime_owns(key: str) -> None:
    """Neither case nor an alias nor the `topic.` prefix gets past the refusal."""
    assert owner_of(key) is not None


@pytest.mark.parametrize(
    "key", ["socket.keepalive.enable", "topic.metadata.propagation.max.ms", "check.crcs", "ssl.ca.pem"]
)
def test_keys_that_are_the_users(key: str) -> None:
    """All the rest may be set, over what the runtime would have set."""
    assert client_config(_options(librdkafka={key: "1"}))[key] == "1"


def test_security_keys_are_refused_beside_the_options_that_set_them() -> None:
    """`tls` and `sasl` win over nothing and are overridden by nothing; what they do not set stays free."""
    secure = {"tls": TLS(), "sasl": SASL(mechanism="PLAIN", username="u", password=_HIDDEN)}
    keys = ["security.protocol", "sasl.mechanism", "sasl.password", "enable.ssl.certificate.verification"]
    faults = _faults(**secure, librdkafka=dict.fromkeys(keys, "x"))
    assert [re.findall(r"'(.*?)'", fault)[0] for fault in faults] == keys
    assert _options(**secure, librdkafka={"ssl.cipher.suites": "x"}).librdkafka == {"ssl.cipher.suites": "x"}
    assert _options(librdkafka=dict.fromkeys(keys, "x")).librdkafka == dict.fromkeys(keys, "x")


def test_other_clients_of_the_runtime_connect_as_the_consumer_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key of TLS and SASL goes to them too, whoever set it; what is of consuming does not."""
    pem = tmp_path / "some.pem"
    pem.write_text("not read here")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    tls = TLS(ca_file=pem, cert_file=pem, key_file=pem, key_password=_HIDDEN, verify=False)
    sasl = SASL(mechanism="OAUTHBEARER", token_endpoint=_PROVIDER, client_id="me", client_secret=_HIDDEN, scope="k")
    own = {"enable.sasl.oauthbearer.unsecure.jwt": "x", "ssl.cipher.suites": "x", "socket.keepalive.enable": True}
    connection = connection_config(client_config(_options(tls=tls, sasl=sasl, librdkafka=own)))
    assert security_config(tls, sasl).items() <= connection.items()
    assert own.items() <= connection.items()
    assert connection["https.ca.location"] == str(pem)
    assert not connection.keys() & {"group.id", "enable.auto.commit", "session.timeout.ms"}


@pytest.mark.parametrize("key", ["https.ca.location", "https.ca.pem"])
def test_authorities_of_a_provider_are_the_users_to_name(key: str) -> None:
    """Without a word of the user's they are those that Python trusts."""
    sasl = SASL(mechanism="OAUTHBEARER", token_endpoint=_PROVIDER, client_id="me", client_secret=_HIDDEN)
    config = client_config(_options(sasl=sasl, librdkafka={key: "x"}))
    assert {name: value for name, value in config.items() if name.startswith("https.")} == {key: "x"}


@pytest.mark.parametrize(
    ("options", "session", "poll", "heartbeat"),
    [
        ({}, 45_000, 45_000, 3_000),
        ({"session_timeout": 10}, 10_000, 30_000, 3_000),
        ({"session_timeout": 6, "rebalance_timeout": 300}, 6_000, 300_000, 2_000),
    ],
)
def test_time_outs_of_the_classic_protocol(options: dict[str, Any], session: int, poll: int, heartbeat: int) -> None:
    """The larger of both time-outs between polls, three heartbeats a session at least, cooperative (D46)."""
    config = client_config(_options(**options))
    assert config["session.timeout.ms"] == session
    assert config["max.poll.interval.ms"] == poll
    assert config["heartbeat.interval.ms"] == heartbeat
    assert config["partition.assignment.strategy"] == "cooperative-sticky"


def test_time_outs_of_the_consumer_protocol() -> None:
    """Session, heartbeat and assignor are the broker's (D46)."""
    config = client_config(_options(group_protocol="consumer", rebalance_timeout=20))
    assert config["group.protocol"] == "consumer"
    assert config["max.poll.interval.ms"] == 20_000
    assert config.keys().isdisjoint({"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"})


def test_offsets_are_never_the_clients_business() -> None:
    """The client neither stores nor commits an offset of its own accord (D10)."""
    config = client_config(_options())
    assert (config["enable.auto.commit"], config["enable.auto.offset.store"]) == (False, False)


def test_queue_is_a_quarter_of_the_buffer() -> None:
    """librdkafka queues at most a quarter of the buffer on top of it (D50)."""
    assert client_config(_options(buffer_max_bytes=64 * _MIB))["queued.max.messages.kbytes"] == 16 * 1024


@pytest.mark.parametrize(("fetch", "partition"), [(50 * _MIB, _MIB), (_MIB, _MIB), (2048, 2048)])
def test_a_partition_asks_for_no_more_than_a_response_may_hold(fetch: int, partition: int) -> None:
    """1 MiB a partition, less where the whole response is smaller (D50)."""
    assert client_config(_options(fetch_max_bytes=fetch))["fetch.message.max.bytes"] == partition


def test_fractions_of_a_millisecond_are_rounded_up() -> None:
    """No time-out becomes shorter on its way to the client."""
    assert client_config(_options(session_timeout=0.1001))["session.timeout.ms"] == 101


def test_every_key_is_owned_or_free_to_override() -> None:
    """What the runtime's guarantees stand on cannot be overridden; the rest of what it sets is tuning."""
    config = client_config(_options(group_instance_id="one", client_rack="r"))
    free = {key for key in config if owner_of(key) is None}
    assert free == {
        "allow.auto.create.topics",
        "log.connection.close",
        "fetch.message.max.bytes",
        "fetch.queue.backoff.ms",
        "message.max.bytes",
    }


def _accepted(config: Mapping[str, object]) -> None:
    Consumer({**config, "log_level": 0}).close()


_seconds = st.floats(0.1, 3600)
_valid = st.fixed_dictionaries(
    {},
    optional={
        "rebalance_timeout": st.floats(0.1, 86_400),
        "commit_interval": st.floats(0.001, 1e6),
        "fetch_max_bytes": st.one_of(st.integers(1024, 2_000_000), st.integers(1024, 2_147_483_135)),
        "buffer_max_bytes": st.one_of(st.integers(_MIB, 2**26), st.integers(_MIB, 2**50)),
        "max_concurrent_fetches": st.integers(1, 10**9) | st.none(),
        "group_instance_id": st.none() | st.just("one"),
        "client_rack": st.none() | st.just("r-1"),
        "auto_offset_reset": st.sampled_from(get_args(AutoOffsetReset)),
        "isolation_level": st.sampled_from(get_args(IsolationLevel)),
        "sasl": st.just(SASL(mechanism="SCRAM-SHA-256", username="u", password=_HIDDEN)) | st.none(),
        "tls": st.just(TLS(verify=False)) | st.none(),
    },
)


@settings(max_examples=60, deadline=None)
@given(options=_valid, protocol=st.sampled_from(get_args(GroupProtocol)), session=st.none() | _seconds)
def test_client_accepts_whatever_passes_the_checks(
    options: dict[str, Any], protocol: str, session: float | None
) -> None:
    """There is no valid set of options that a real client refuses."""
    session = session if protocol == "classic" else None
    _accepted(client_config(_options(group_protocol=protocol, session_timeout=session, **options)))


@pytest.mark.parametrize("fetch", [1024, 999_999, 1_000_000, 50 * _MIB, 100_000_000, 2_147_483_135])
@pytest.mark.parametrize("buffer", [_MIB, 2**40])
@pytest.mark.parametrize("times", [(0.1, 0.1), (3600, 0.1), (0.1, 86_400), (0.1004, 0.1001)])
def test_client_accepts_the_limits(fetch: int, buffer: int, times: tuple[float, float]) -> None:
    """The ends of the allowed ranges are the client's own or within them."""
    session, rebalance = times
    options = _options(
        fetch_max_bytes=fetch, buffer_max_bytes=buffer, session_timeout=session, rebalance_timeout=rebalance
    )
    _accepted(client_config(options))


def test_client_refuses_a_key_that_it_does_not_know() -> None:
    """Such a key passes the checks, and the client's refusal becomes a fault with its name."""
    with pytest.raises(KafkaException) as caught:
        _accepted(client_config(_options(librdkafka={"no.such": "x"})))
    assert "no key 'no.such'" in str(refused_config(caught.value.args[0].str(), {}))


@pytest.mark.parametrize("broker", [f"kafka://me:{_HIDDEN}@one:9092", f"me:{_HIDDEN}@one:9092"])
def test_a_broker_with_a_user_in_it_hides_the_user(broker: str) -> None:
    """A URL given as a broker is a fault that does not repeat its user and password."""
    with pytest.raises(ConfigError, match=re.escape("'***@one:9092' is no host:port")) as caught:
        validate(broker, "group", [at_least_once("orders", _process)])
    assert _HIDDEN not in str(caught.value)


def test_secrets_are_not_in_the_repr_of_options() -> None:
    """Options may be logged; the client's configuration may not."""
    options = _options(
        sasl=SASL(mechanism="PLAIN", username="u", password=_HIDDEN), librdkafka={"ssl.key.password": _HIDDEN}
    )
    assert _HIDDEN not in repr(options)


# -- the `kafka:` section ------------------------------------------------------------------------------------------

_SECTION: dict[str, Any] = {
    "brokers": "a:1,b:2",
    "group_id": "group",
    "topics": [
        {
            "name": "orders",
            "semantic": "at-least-once",
            "retry": {"max_attempts": 5, "initial": "100ms", "maximum": "30s"},
            "on_failure": "skip",
        },
        {"name": "metrics", "semantic": "at-most-once"},
    ],
}


def _section_faults(**keys: Any) -> dict[tuple[int | str, ...], list[str]]:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**_SECTION, **keys})
    faults: dict[tuple[int | str, ...], list[str]] = {}
    for error in caught.value.errors():
        faults.setdefault(error["loc"], []).append(error["msg"])
    return faults


def test_section_as_in_the_design() -> None:
    """Durations, sizes and nested sections come out as what they are in code."""
    section = Settings.model_validate(
        {
            **_SECTION,
            "session_timeout": "45s",
            "rebalance_timeout": "1m30s",
            "fetch_max_bytes": "50MiB",
            "buffer_max_bytes": "64MiB",
            "max_concurrent_fetches": 10,
            "tls": {"verify": False},
            "sasl": {"mechanism": "SCRAM-SHA-512", "username": "u", "password": _HIDDEN},
        }
    )
    assert section.brokers == ("a:1", "b:2")
    assert (section.session_timeout, section.rebalance_timeout) == (45.0, 90.0)
    assert section.fetch_max_bytes == 50 * _MIB
    assert section.topics[0].retry == Retry(max_attempts=5, initial=0.1, maximum=30.0)
    assert section.topics[0].on_failure == skip()
    assert section.tls == TLS(verify=False)
    assert section.sasl == SASL(mechanism="SCRAM-SHA-512", username="u", password=_HIDDEN)


def test_section_goes_through_the_options_of_the_constructor() -> None:
    """Every option of the table is a key of the section, in the table's order and with its default."""
    names = [name for name in Settings.model_fields if name != "topics"]
    assert tuple(names) == OPTION_NAMES
    section = Settings(brokers=("a:1",), group_id="group")
    defaults = {**DEFAULTS, "librdkafka": {}}
    assert {name: getattr(section, name) for name in DEFAULTS} == defaults


def test_section_faults_have_their_key_path_and_come_at_once() -> None:
    """Each fault stands under its own key, with the words of the constructor."""
    faults = _section_faults(
        brokers=["a:b", ""],
        rebalance_timeout=10,
        drain_timeout="10s",
        stall_timeout=0,
        librdkafka={"group.id": "x", "y": [1]},
        tls={"cert_file": "/gone", "key_file": "/gone"},
        sasl={"mechanism": "PLAIN", "username": "u"},
        unknown=1,
        topics=[
            {"name": "^a", "semantic": "at-least-once", "retry": {"max_attempts": 0, "jitter": 2}},
            {"name": "b", "semantic": "at-most-once", "retry": {}},
            {"name": "c", "semantic": "at-least-once", "on_failure": {"dead_letter": "^c"}},
            {"name": "d", "semantic": "exactly-once", "on_failure": "explode"},
            {"name": "e", "semantic": "at-least-once", "on_failure": {"dead_letter": "e"}},
        ],
    )
    assert {path: len(texts) for path, texts in faults.items()} == {
        ("brokers",): 2,
        ("drain_timeout",): 1,
        ("stall_timeout",): 1,
        ("librdkafka",): 2,
        ("tls",): 2,
        ("sasl",): 1,
        ("unknown",): 1,
        ("topics", 0, "name"): 1,
        ("topics", 0, "retry"): 2,
        ("topics", 1): 1,
        ("topics", 2, "on_failure"): 1,
        ("topics", 3, "semantic"): 1,
        ("topics", 3, "on_failure"): 1,
        ("topics", 4): 1,
    }
    assert faults["drain_timeout",][0].startswith("must be below rebalance_timeout (10 s)")
    assert faults["topics", 2, "on_failure"][0].startswith("dead_letter('^c'): starts with '^'")
    assert "is the topic itself" in faults["topics", 4][0]
    assert faults["topics", 3, "on_failure"] == ["must be halt, skip, shut_down or {dead_letter: TOPIC}"]


def test_section_takes_each_topic_once() -> None:
    """The same topic twice is a fault in the file as well."""
    topic = {"name": "orders", "semantic": "at-most-once"}
    assert _section_faults(topics=[topic, topic]) == {("topics",): ["orders is there more than once"]}


def test_section_hides_its_secrets() -> None:
    """Neither `repr`, nor a dump, nor a fault shows a password."""
    sasl = {"mechanism": "PLAIN", "username": "u", "password": _HIDDEN}
    section = Settings.model_validate({**_SECTION, "sasl": sasl, "librdkafka": {"ssl.key.password": _HIDDEN}})
    assert _HIDDEN not in repr(section)
    assert _HIDDEN not in repr(section.model_dump(exclude={"librdkafka"}))
    assert _HIDDEN not in section.model_dump_json(exclude={"librdkafka"})
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**_SECTION, "sasl": {**sasl, "mechanism": "SCRAM-SHA-256", "scope": "s"}})
    assert _HIDDEN not in str(caught.value)


def test_schema_for_editors() -> None:
    """The JSON schema says what may stand in the file, and no more."""
    schema = Settings.model_json_schema()
    assert schema["required"] == ["brokers", "group_id"]
    assert {kind["type"] for kind in schema["properties"]["brokers"]["anyOf"]} == {"string", "array"}
    assert "retryable" not in str(schema)


def test_runtime_arguments() -> None:
    """Each topic of the file meets the processor of its name, and the options pass the constructor's checks."""
    found = runtime_arguments(Settings.model_validate(_SECTION), {"metrics": _process, "orders": _process})
    orders, metrics = found.subscriptions
    assert (orders.topic, orders.semantic, orders.retry.max_attempts) == ("orders", Semantic.AT_LEAST_ONCE, 5)
    assert (metrics.topic, metrics.semantic) == ("metrics", Semantic.AT_MOST_ONCE)
    options = validate(found.brokers, found.group_id, found.subscriptions, **found.options)
    assert options.brokers == "a:1,b:2"


def test_topics_and_processors_must_match() -> None:
    """A topic without a processor, a processor without a topic, a wrong processor: all at once, near misses named."""
    processors: dict[str, Any] = {"order": _process, "metrics": int}
    with pytest.raises(ConfigError) as caught:
        runtime_arguments(Settings.model_validate(_SECTION), processors)
    missing, left, wrong = caught.value.faults
    assert "topic 'orders' has no processor (did you mean 'order'?)" in missing
    assert "processor 'order' has no topic (did you mean 'orders'?)" in left
    assert "int is a class" in wrong
