"""What the client's errors mean to the runtime, on the client's own words."""

import itertools

import pytest
from confluent_kafka import KafkaError

from humus.errors import AuthenticationFailed, BrokerError, CommitFailed
from humus.queue.kafka._client_errors import CODES, ClientError, Kind, Where, classify, refused_config

_UNKNOWN_CA = (
    "ssl://localhost:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: "
    "broker certificate could not be verified, verify that ssl.ca.location is correctly configured (after 4ms in state "
    "SSL_HANDSHAKE)"
)


def _codes_of_the_client() -> set[str]:
    numbers = [getattr(KafkaError, name) for name in dir(KafkaError) if name.strip("_").isupper()]
    return {KafkaError(number).name() for number in numbers if isinstance(number, int)}


def test_table_is_complete() -> None:
    """Every code of the installed client is in the table, and no other; a new one fails here by name (D70)."""
    assert _codes_of_the_client() - CODES.keys() == set()
    assert CODES.keys() - _codes_of_the_client() == set()


def test_every_error_says_what_to_do() -> None:
    """Each line to log names the code, the client's reason and what to do (D70)."""
    for code, where in itertools.product(CODES, Where):
        error = classify(code, "the reason", where)
        assert str(error) == f"the reason ({code}): {error.what_to_do}"
        assert len(error.what_to_do) > 10


def test_kinds_come_only_where_they_can_be_acted_on() -> None:
    """A partition stops for its own records alone, and only a commit is retried as a commit."""
    in_callback = {classify(code, "", Where.CALLBACK).kind for code in CODES}
    in_record = {classify(code, "", Where.RECORD).kind for code in CODES}
    in_commit = {classify(code, "", Where.COMMIT).kind for code in CODES}
    assert in_callback.isdisjoint({Kind.PARTITION, Kind.COMMIT_RETRY})
    assert in_record == set(Kind) - {Kind.COMMIT_RETRY}
    assert in_commit == {Kind.COMMIT_RETRY, Kind.MEMBER_GONE, Kind.IGNORED, Kind.FATAL, Kind.AUTH}


def test_what_the_client_calls_fatal_ends_the_runtime() -> None:
    """The client itself has given up, so waiting would be for ever (D70)."""
    for code, where in itertools.product(CODES, Where):
        error = classify(code, "", where, fatal=True)
        assert error.kind in {Kind.FATAL, Kind.AUTH}, code
        assert isinstance(error.exception(), BrokerError)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("_SSL", _UNKNOWN_CA, Kind.AUTH),
        (
            "_SSL",
            "SSL handshake failed: error:0A000410::ssl/tls alert handshake failure",
            Kind.AUTH,
        ),
        ("_SSL", "SSL handshake failed: error:0A00010B:SSL routines::wrong version number", Kind.AUTH),
        ("_SSL", "SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading", Kind.PASSING),
        (
            "_TRANSPORT",
            "error:0A00045C::tlsv13 alert certificate required: SSL alert number 116",
            Kind.AUTH,
        ),
        ("_TRANSPORT", "Receive failed: error:0A000418::tlsv1 alert unknown ca: SSL alert number 48", Kind.AUTH),
        ("_TRANSPORT", "Receive failed: error:0A000438::tlsv1 alert internal error: SSL alert number 80", Kind.PASSING),
        ("_TRANSPORT", "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?", Kind.PASSING),
        ("_TRANSPORT", "Connect to ipv4#127.0.0.1:9092 failed: Connection refused", Kind.PASSING),
        (
            "_AUTHENTICATION",
            "SASL authentication error: Invalid username or password",
            Kind.AUTH,
        ),
        ("_AUTHENTICATION", "SaslAuthenticateRequest failed: Local: Broker transport failure", Kind.PASSING),
        ("_AUTHENTICATION", "SASL PLAIN mechanism handshake failed: Local: Timed out: broker's", Kind.PASSING),
        ("_AUTHENTICATION", "Failed to acquire SASL OAUTHBEARER token: Could not connect to server", Kind.PASSING),
        ("_AUTHENTICATION", 'Failed to acquire SASL OAUTHBEARER token: {"error":"invalid_client"}', Kind.AUTH),
    ],
)
def test_reason_decides_where_the_code_cannot(code: str, reason: str, kind: Kind) -> None:
    """A broker that restarts in a handshake passes, a wrong certificate or password does not (D70, D71)."""
    assert classify(code, reason, Where.CALLBACK).kind is kind


@pytest.mark.parametrize(
    ("code", "reason", "word"),
    [
        ("_AUTHENTICATION", "SASL SCRAM mechanism handshake failed: Broker: Unsupported SASL mechanism", "mechanism"),
        ("_AUTHENTICATION", "handshake failed: Broker: Request not valid in current SASL state", "takes no sasl"),
        ("_AUTHENTICATION", 'SASL authentication error: {"status":"invalid_token"} (after 3ms)', "the token function"),
        ("_AUTHENTICATION", "OAUTHBEARER token: unable to get local issuer certificate", "https.ca.location"),
        ("_TRANSPORT", "tlsv13 alert certificate required: SSL alert number 116", "cert_file"),
        ("_SSL", "ssl/tls alert handshake failure: SSL alert number 40", "version of TLS"),
        ("TOPIC_AUTHORIZATION_FAILED", "Subscribed topic not available: orders", "grant"),
        ("GROUP_AUTHORIZATION_FAILED", "FindCoordinator response error: Group authorization failed.", "group_id"),
        ("INVALID_SESSION_TIMEOUT", "JoinGroup failed", "group.min.session.timeout.ms"),
        ("_FATAL", "Fatal error: Broker: The instance ID is still used by another member", "group_instance_id"),
        ("_FATAL", "Fatal error: Broker: API version not supported", "group_protocol='classic'"),
        ("_FATAL", "something new", "start the service again"),
    ],
)
def test_fatal_errors_end_the_runtime_with_advice(code: str, reason: str, word: str) -> None:
    """What a person has to change ends the runtime and says what (D70)."""
    error = classify(code, reason, Where.RECORD)
    assert error.kind in {Kind.FATAL, Kind.AUTH}
    assert word in error.what_to_do
    raised = error.exception()
    assert raised.code == code
    assert isinstance(raised, AuthenticationFailed) == (error.kind is Kind.AUTH)


def test_fenced_static_member_is_told_apart() -> None:
    """A newer member with the same `group_instance_id` refuses this one's commits for good."""
    reason = "Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id"
    assert type(classify("_FATAL", reason, Where.RECORD).exception()) is CommitFailed
    assert type(classify("FENCED_INSTANCE_ID", "", Where.COMMIT).exception()) is CommitFailed


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ILLEGAL_GENERATION", Kind.COMMIT_RETRY),
        ("STALE_MEMBER_EPOCH", Kind.COMMIT_RETRY),
        ("REBALANCE_IN_PROGRESS", Kind.COMMIT_RETRY),
        ("NOT_COORDINATOR", Kind.COMMIT_RETRY),
        ("_TRANSPORT", Kind.COMMIT_RETRY),
        ("_DESTROY", Kind.COMMIT_RETRY),
        ("UNKNOWN_TOPIC_OR_PART", Kind.COMMIT_RETRY),
        ("UNKNOWN_MEMBER_ID", Kind.MEMBER_GONE),
        ("FENCED_MEMBER_EPOCH", Kind.MEMBER_GONE),
        ("_NO_OFFSET", Kind.IGNORED),
        ("GROUP_AUTHORIZATION_FAILED", Kind.AUTH),
    ],
)
def test_refused_commits(code: str, kind: Kind) -> None:
    """A refused commit is retried while the epoch lives; only a member that is gone gives up (D12, D40)."""
    assert classify(code, "", Where.COMMIT).kind is kind


@pytest.mark.parametrize(
    ("code", "unsure"),
    [("_TIMED_OUT", True), ("_TRANSPORT", True), ("REQUEST_TIMED_OUT", True), ("ILLEGAL_GENERATION", False)],
)
def test_a_lost_answer_is_no_refusal(code: str, unsure: bool) -> None:
    """The client's own errors, and the broker's time-out, leave open whether a commit is in force (D20, D23)."""
    assert classify(code, "", Where.COMMIT).unsure == unsure


def test_unknown_topic_is_a_wait_and_unreadable_record_stops_its_partition() -> None:
    """Neither ends the runtime (D2, D70)."""
    assert classify("UNKNOWN_TOPIC_OR_PART", "", Where.RECORD).kind is Kind.UNKNOWN_TOPIC
    assert classify("_BAD_COMPRESSION", "", Where.RECORD).kind is Kind.PARTITION
    assert classify("_AUTO_OFFSET_RESET", "", Where.RECORD).kind is Kind.OFFSET_RESET


def test_code_of_a_newer_client_passes() -> None:
    """A code that is in no table is logged and the runtime goes on."""
    assert classify("BRAND_NEW", "new", Where.CALLBACK) == ClientError(
        Kind.PASSING, "BRAND_NEW", "new", classify("_PURGE_QUEUE", "", Where.CALLBACK).what_to_do
    )


def test_refused_config_names_the_unknown_key() -> None:
    """The client's own refusal becomes a fault that names the option and the key."""
    error = refused_config('No such configuration property: "no.such"', {})
    assert error.faults == ("librdkafka: the client knows no key 'no.such': correct it or leave it out",)


def test_refused_config_shows_no_secret() -> None:
    """Whatever the client says, a password of the configuration is not in the message."""
    error = refused_config("cannot use hunter2\n", {"sasl.password": "hunter2", "client.id": "use"})
    assert error.faults == ("the Kafka client refuses its configuration: cannot use ***",)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("ssl.key.location failed: error:0A080009:SSL routines::PEM lib", "tls.key_password does not open it"),
        ("ssl.key.location failed: x509 certificate routines::key values mismatch", "not the key of tls.cert_file"),
        ("ssl.certificate.location failed: error:0A080009", "tls.cert_file holds no certificate"),
        ("ssl.ca.location failed: no certificate or crl found", "tls.ca_file holds no certificate"),
    ],
)
def test_refused_files_are_named_as_the_option_is(reason: str, says: str) -> None:
    """A file that the client cannot use is named as the user knows it."""
    assert says in str(refused_config(f"Failed to create consumer: {reason}", {}))
