"""What an error of the Kafka client means to the runtime: one table of all its codes (D70).

Interface: `classify(code, reason, where, fatal=...)` returns a `ClientError`; its `kind` says what to do with it, its
`str` is the line to log, and for the kinds that end the runtime `exception()` is what to raise. Codes are the client's
names (`KafkaError.name()`), so nothing here needs the client; a test holds the table against the one installed, and a
client with a new code fails it by name. `refused_config` does the same for a configuration that the client refuses.

Three rules stand behind the table:

- An error ends the runtime only if a person has to change something: credentials, rights, versions, the configuration.
- All else passes: the client retries by itself, for ever, and a commit is retried while its epoch lives (D12).
- One code can mean both. The client says `_SSL` and `_AUTHENTICATION` of a wrong password and of a broker that
  restarts in the middle of a handshake alike; then the reason's text decides, and what it does not know passes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from humus.errors import AuthenticationFailed, BrokerError, CommitFailed, ConfigError

__all__ = ["CODES", "ClientError", "Kind", "Where", "classify", "refused_config"]


class Where(Enum):
    """How the client reported an error."""

    RECORD = "record"
    """In place of a record; it may belong to a partition."""
    CALLBACK = "callback"
    """Through the error callback; it belongs to the client as a whole."""
    COMMIT = "commit"
    """As the result of a commit, of the whole or of one partition."""


class Kind(Enum):
    """What the runtime does about an error."""

    FATAL = "fatal"
    """End the runtime with `exception()`."""
    AUTH = "auth"
    """End the runtime with `exception()`, an `AuthenticationFailed`."""
    PASSING = "passing"
    """The client retries by itself: log once per change of state, show in readiness."""
    UNKNOWN_TOPIC = "unknown_topic"
    """A visible wait for the topic to exist."""
    MEMBER_GONE = "member_gone"
    """The group goes on without this member: all its partitions count as lost (D40, D43)."""
    COMMIT_RETRY = "commit_retry"
    """The commit was refused for now: try it again while the epoch lives."""
    OFFSET_RESET = "offset_reset"
    """The position does not exist in the log; with `auto_offset_reset="error"` the partition stops here."""
    PARTITION = "partition"
    """The partition's next record cannot be read: it stops here, the others go on."""
    IGNORED = "ignored"
    """No error, or nothing to tell."""


@dataclass(frozen=True, slots=True)
class ClientError:
    """One error of the client, understood."""

    kind: Kind
    code: str
    reason: str
    what_to_do: str
    raises: type[BrokerError] = BrokerError

    def __str__(self) -> str:
        return f"{self.reason} ({self.code}): {self.what_to_do}"

    @property
    def unsure(self) -> bool:
        """Whether this is no answer of the broker to what was asked: it may be in force all the same."""
        return self.code.startswith("_") or self.code == "REQUEST_TIMED_OUT"

    @property
    def of_certificate(self) -> bool:
        """Whether the client does not accept the broker's certificate; it does not say why."""
        return self.what_to_do == _CERTIFICATE.what_to_do

    def exception(self) -> BrokerError:
        """Return what ends the runtime; for the kinds FATAL and AUTH."""
        return self.raises(str(self), code=self.code)


def classify(code: str, reason: str, where: Where, *, fatal: bool = False) -> ClientError:
    """Say what an error means.

    Args:
        code: the client's name of it, such as `_TRANSPORT` or `TOPIC_AUTHORIZATION_FAILED`.
        reason: the client's own words; they go into logs.
        where: how it was reported.
        fatal: the client has given up for good (`KafkaError.fatal()`).
    """
    by_reason = (says for pattern, says in _BY_REASON.get(code, ()) if pattern.search(reason))
    rule = next(by_reason, CODES.get(code, _UNEXPECTED))
    kind = rule.kind
    if where is Where.COMMIT:
        kind = rule.in_commit or _IN_COMMIT.get(kind, kind)
    elif kind is Kind.PARTITION and where is not Where.RECORD:
        kind = Kind.PASSING
    if fatal and kind not in {Kind.FATAL, Kind.AUTH}:
        return ClientError(Kind.FATAL, code, reason, _GAVE_UP)
    what_to_do = _COMMIT_AGAIN if kind is Kind.COMMIT_RETRY else rule.what_to_do
    return ClientError(kind, code, reason, what_to_do, rule.raises)


def refused_config(reason: str, config: Mapping[str, object]) -> ConfigError:
    """Return the error for a configuration that the client refused when it was created; no secret is in its text."""
    for key, value in config.items():
        if _SECRET.search(key) and isinstance(value, str) and value:
            reason = reason.replace(value, "***")
    unknown = _UNKNOWN_KEY.search(reason)
    if unknown is not None:
        return ConfigError(f"librdkafka: the client knows no key {unknown['key']!r}: correct it or leave it out")
    what_to_do = next((f": {text}" for pattern, text in _FILES if pattern.search(reason)), "")
    return ConfigError(f"the Kafka client refuses its configuration: {reason.strip()}{what_to_do}")


_FILES: Final = (
    (re.compile(r"ssl\.key\.location failed.*key values mismatch"), "tls.key_file is not the key of tls.cert_file"),
    (re.compile(r"ssl\.key\.location failed"), "tls.key_file is no key in PEM, or tls.key_password does not open it"),
    (re.compile(r"ssl\.certificate\.location failed"), "tls.cert_file holds no certificate in PEM"),
    (re.compile(r"ssl\.ca\.location failed"), "tls.ca_file holds no certificate in PEM"),
)
_UNKNOWN_KEY: Final = re.compile(r'No such configuration property: "(?P<key>[^"]*)"')
_SECRET: Final = re.compile(r"password|secret|passphrase|\.pem$", re.IGNORECASE)


# -- rules ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: Kind
    what_to_do: str
    raises: type[BrokerError] = BrokerError
    in_commit: Kind | None = None


_IN_COMMIT: Final = {
    Kind.PASSING: Kind.COMMIT_RETRY,
    Kind.UNKNOWN_TOPIC: Kind.COMMIT_RETRY,
    Kind.OFFSET_RESET: Kind.COMMIT_RETRY,
    Kind.PARTITION: Kind.COMMIT_RETRY,
}
"""What a kind becomes where a commit was refused, unless the code's rule says otherwise."""

_COMMIT_AGAIN: Final = "the commit is tried again as long as the partition is this member's; nothing is lost meanwhile"
_GAVE_UP: Final = "the client cannot go on after this error: start the service again once its cause is gone"


def _fatal(what_to_do: str, *, in_commit: Kind | None = None) -> _Rule:
    return _Rule(Kind.FATAL, what_to_do, in_commit=in_commit)


def _refused_commits(what_to_do: str) -> _Rule:
    return _Rule(Kind.FATAL, what_to_do, CommitFailed)


def _auth(what_to_do: str) -> _Rule:
    return _Rule(Kind.AUTH, what_to_do, AuthenticationFailed)


_CREDENTIALS: Final = _auth("check the mechanism, user name and password of the option sasl against the broker's users")
_CERTIFICATE: Final = _auth(
    "check the option tls: ca_file must hold the authority that signed the broker's certificate, which must not have "
    "expired and be valid for the host name in brokers"
)
_OWN_CERTIFICATE: Final = _auth(
    "the broker wants a certificate of this client: cert_file of the option tls must be one that has not expired, and "
    "that is signed by an authority the broker trusts"
)
_HANDSHAKE: Final = _auth(
    "check the option tls: the broker may want a certificate of this client, in cert_file and key_file, or it offers "
    "no version of TLS that the client takes"
)
_LISTENER: Final = _auth(
    "this listener of the broker does not speak TLS as asked: check the port in brokers and the option tls"
)
_PASSES: Final = _Rule(Kind.PASSING, "the client tries again by itself; nothing is lost meanwhile")
_TOKEN_REFUSED: Final = _auth(
    "the broker does not take the token: check what the token function, or the provider behind token_endpoint, puts "
    "into it (expiry, issuer, audience, subject) and how it is signed; the broker's log says which it is"
)
_PROVIDER_CERTIFICATE: Final = _auth(
    "the provider's certificate is not trusted: name the authority that signed it in the librdkafka key "
    "https.ca.location, and check the host name in token_endpoint"
)
_PROVIDER_REFUSED: Final = _auth(
    "check client_id, client_secret and scope of the option sasl at the provider of tokens"
)
_NO_SASL: Final = _auth("this listener of the broker takes no sasl: leave out the option sasl, or correct the port")
_TOKEN_MISSING: Final = _auth("check the option sasl: the token function, or the provider behind token_endpoint")
_BROKER_AWAY: Final = _Rule(
    Kind.PASSING,
    "the client connects again by itself; if it stays, check that the brokers run and can be reached, and that the "
    "options tls and sasl fit their listener",
)
_HANDSHAKE_CUT: Final = _Rule(
    Kind.PASSING, "the client connects again by itself; if it stays, check the options tls and sasl, and the listener"
)
_NO_TOKEN: Final = _Rule(
    Kind.PASSING, "the client asks for a token again in 10 s; if it stays, check the token function or the provider"
)
_REBALANCE: Final = _Rule(Kind.PASSING, "the group is rebalancing; what was refused is tried again")
_MEMBER_GONE: Final = _Rule(
    Kind.MEMBER_GONE,
    "the group took this member for dead; it joins again. If it repeats, look for handlers or hosts that stand still "
    "longer than session_timeout or rebalance_timeout",
)
_TOPIC_MISSING: Final = _Rule(Kind.UNKNOWN_TOPIC, "create the topic or correct its name; the runtime waits for it")
_OFFSET_GONE: Final = _Rule(
    Kind.OFFSET_RESET,
    "records were deleted before they were read, or no offset is committed: auto_offset_reset says where to go on",
)
_UNREADABLE: Final = _Rule(
    Kind.PARTITION,
    "the next record of this partition cannot be read: look at it with the broker's tools, and move the group's offset "
    "past it if it is broken",
)
_TOO_LARGE: Final = _Rule(
    Kind.PARTITION,
    "the next record of this partition is larger than the client takes: raise fetch_max_bytes, or the librdkafka key "
    "receive.message.max.bytes",
)
_TOO_OLD: Final = _fatal(
    "the broker does not speak what is asked of it: use a newer broker, or group_protocol='classic'"
)
_NOTHING: Final = _Rule(Kind.IGNORED, "nothing needs to be done")
_CLOSING: Final = _Rule(Kind.IGNORED, "the client is closing", in_commit=Kind.COMMIT_RETRY)
_UNEXPECTED: Final = _Rule(
    Kind.PASSING, "a consumer is not expected to see this error; the runtime goes on. If it stays, report it"
)


def _all(rule: _Rule, codes: str) -> dict[str, _Rule]:
    return dict.fromkeys(codes.split(), rule)


CODES: Final[Mapping[str, _Rule]] = {
    # Who we are, and what we may.
    **_all(_CREDENTIALS, "_AUTHENTICATION SASL_AUTHENTICATION_FAILED ILLEGAL_SASL_STATE UNACCEPTABLE_CREDENTIAL"),
    "UNSUPPORTED_SASL_MECHANISM": _auth("the broker does not offer this mechanism: change it in the option sasl"),
    "SECURITY_DISABLED": _auth("the broker has no security switched on: leave out the option sasl"),
    "TOPIC_AUTHORIZATION_FAILED": _auth("grant this user READ and DESCRIBE on the topic"),
    "GROUP_AUTHORIZATION_FAILED": _auth("grant this user READ on the consumer group named by group_id"),
    "CLUSTER_AUTHORIZATION_FAILED": _auth("grant this user the right on the cluster that the broker's log names"),
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED": _auth("grant this user the right to use the delegation token"),
    **_all(
        _auth("the delegation token cannot be used: get a new one"),
        "DELEGATION_TOKEN_EXPIRED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH "
        "DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
    ),
    "_SSL": _HANDSHAKE_CUT,
    # The broker is away, moves or is busy.
    **_all(
        _BROKER_AWAY,
        "_TRANSPORT _RESOLVE _ALL_BROKERS_DOWN _TIMED_OUT _FAIL _UNKNOWN_BROKER BROKER_NOT_AVAILABLE NETWORK_EXCEPTION "
        "REQUEST_TIMED_OUT REBOOTSTRAP_REQUIRED",
    ),
    **_all(
        _PASSES,
        "_TIMED_OUT_QUEUE _WAIT_COORD _WAIT_CACHE _INTR _RETRY _PARTIAL _IN_PROGRESS _PREV_IN_PROGRESS _OUTDATED "
        "_STATE _CONFLICT _CRIT_SYS_RESOURCE _UNDERFLOW _QUEUE_FULL UNKNOWN LEADER_NOT_AVAILABLE "
        "NOT_LEADER_FOR_PARTITION REPLICA_NOT_AVAILABLE COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE "
        "NOT_COORDINATOR KAFKA_STORAGE_ERROR FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH "
        "FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH OFFSET_NOT_AVAILABLE PREFERRED_LEADER_NOT_AVAILABLE "
        "ELIGIBLE_LEADERS_NOT_AVAILABLE STALE_CTRL_EPOCH STALE_BROKER_EPOCH THROTTLING_QUOTA_EXCEEDED "
        "UNSTABLE_OFFSET_COMMIT INCONSISTENT_TOPIC_ID LISTENER_NOT_FOUND",
    ),
    # The group.
    **_all(_REBALANCE, "REBALANCE_IN_PROGRESS ILLEGAL_GENERATION STALE_MEMBER_EPOCH MEMBER_ID_REQUIRED"),
    **_all(_MEMBER_GONE, "UNKNOWN_MEMBER_ID FENCED_MEMBER_EPOCH _ASSIGNMENT_LOST"),
    "_MAX_POLL_EXCEEDED": _Rule(
        Kind.PASSING,
        "the runtime could not poll for rebalance_timeout, so the group went on without it: something held the "
        "interpreter lock, or the process was stopped",
    ),
    **_all(
        _refused_commits("a newer member took this one's place: give every member a group_instance_id of its own"),
        "FENCED_INSTANCE_ID _FENCED",
    ),
    "UNRELEASED_INSTANCE_ID": _fatal(
        "another member still holds this group_instance_id: give every member its own, or start again once the old "
        "member's session has timed out"
    ),
    "INCONSISTENT_GROUP_PROTOCOL": _fatal(
        "the group's other members use another assignor or group protocol: stop them all first, or use a new group_id"
    ),
    "GROUP_ID_NOT_FOUND": _fatal(
        "a group of this name with another group protocol may have members: stop them all first, or use a new group_id",
        in_commit=Kind.MEMBER_GONE,
    ),
    "INVALID_GROUP_ID": _fatal("the broker does not take this group_id: choose another one"),
    "INVALID_SESSION_TIMEOUT": _fatal(
        "choose a session_timeout between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"
    ),
    "GROUP_MAX_SIZE_REACHED": _fatal("the group is full: start fewer members, or raise the broker's group.max.size"),
    "UNSUPPORTED_ASSIGNOR": _fatal("the broker does not offer this assignor: correct the key group.remote.assignor"),
    **_all(
        _refused_commits("the group's coordinator refuses the commit itself: look at the broker's limits for offsets"),
        "OFFSET_METADATA_TOO_LARGE INVALID_COMMIT_OFFSET_SIZE",
    ),
    # Topics, positions, records.
    **_all(_TOPIC_MISSING, "UNKNOWN_TOPIC_OR_PART UNKNOWN_TOPIC_ID _UNKNOWN_TOPIC _UNKNOWN_PARTITION"),
    "TOPIC_EXCEPTION": _fatal("the broker takes no topic of this name: correct it"),
    **_all(_OFFSET_GONE, "OFFSET_OUT_OF_RANGE _AUTO_OFFSET_RESET _LOG_TRUNCATION"),
    **_all(_UNREADABLE, "_BAD_MSG _BAD_COMPRESSION _NOT_IMPLEMENTED INVALID_MSG UNSUPPORTED_COMPRESSION_TYPE"),
    **_all(_TOO_LARGE, "MSG_SIZE_TOO_LARGE INVALID_MSG_SIZE"),
    # What does not fit together.
    **_all(_TOO_OLD, "UNSUPPORTED_VERSION _UNSUPPORTED_FEATURE UNSUPPORTED_FOR_MESSAGE_FORMAT _UNKNOWN_PROTOCOL"),
    **_all(
        _fatal("client and broker do not understand each other: check the option librdkafka and the broker's version"),
        "_INVALID_ARG _NOT_CONFIGURED INVALID_REQUEST INVALID_CONFIG",
    ),
    "_FATAL": _fatal(_GAVE_UP),
    # No errors.
    **_all(
        _NOTHING,
        "NO_ERROR _PARTITION_EOF _NO_OFFSET _NOOP _NODE_UPDATE _ASSIGN_PARTITIONS _REVOKE_PARTITIONS "
        "_EXISTING_SUBSCRIPTION",
    ),
    **_all(_CLOSING, "_DESTROY _DESTROY_BROKER"),
    # Other trades: producers, transactions, administration, share groups, streams, controllers, serializers.
    **_all(
        _UNEXPECTED,
        "_MSG_TIMED_OUT _ISR_INSUFF _UNKNOWN_GROUP _FS _KEY_SERIALIZATION _VALUE_SERIALIZATION _KEY_DESERIALIZATION "
        "_VALUE_DESERIALIZATION _READ_ONLY _NOENT _INVALID_TYPE _PURGE_QUEUE _PURGE_INFLIGHT _INCONSISTENT "
        "_GAPLESS_GUARANTEE _APPLICATION _INVALID_DIFFERENT_RECORD RECORD_LIST_TOO_LARGE NOT_ENOUGH_REPLICAS "
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND INVALID_REQUIRED_ACKS INVALID_TIMESTAMP TOPIC_ALREADY_EXISTS "
        "INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT NOT_CONTROLLER POLICY_VIOLATION "
        "OUT_OF_ORDER_SEQUENCE_NUMBER DUPLICATE_SEQUENCE_NUMBER INVALID_PRODUCER_EPOCH INVALID_TXN_STATE "
        "INVALID_PRODUCER_ID_MAPPING INVALID_TRANSACTION_TIMEOUT CONCURRENT_TRANSACTIONS "
        "TRANSACTION_COORDINATOR_FENCED TRANSACTIONAL_ID_AUTHORIZATION_FAILED OPERATION_NOT_ATTEMPTED "
        "LOG_DIR_NOT_FOUND UNKNOWN_PRODUCER_ID REASSIGNMENT_IN_PROGRESS INVALID_PRINCIPAL_TYPE NON_EMPTY_GROUP "
        "TOPIC_DELETION_DISABLED ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS GROUP_SUBSCRIBED_TO_TOPIC "
        "INVALID_RECORD PRODUCER_FENCED RESOURCE_NOT_FOUND DUPLICATE_RESOURCE INCONSISTENT_VOTER_SET "
        "INVALID_UPDATE_VERSION FEATURE_UPDATE_FAILED PRINCIPAL_DESERIALIZATION_FAILURE MISMATCHED_ENDPOINT_TYPE "
        "UNSUPPORTED_ENDPOINT_TYPE UNKNOWN_CONTROLLER_ID UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE "
        "INVALID_REGISTRATION TRANSACTION_ABORTABLE INVALID_RECORD_STATE SHARE_SESSION_NOT_FOUND "
        "INVALID_SHARE_SESSION_EPOCH FENCED_STATE_EPOCH INVALID_VOTER_KEY DUPLICATE_VOTER VOTER_NOT_FOUND "
        "INVALID_REGULAR_EXPRESSION STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED "
        "SHARE_SESSION_LIMIT_REACHED",
    ),
}
"""The client's name of an error -> what it means."""


def _saying(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BAD_CERTIFICATE: Final = (
    (_saying(r"certificate verify failed"), _CERTIFICATE),
    # An alert is the other end's: it is about what we have shown.
    (_saying(r"alert handshake failure|alert number 40\b"), _HANDSHAKE),
    (
        _saying(r"alert (certificate|bad cert|unsupported cert|unknown ca|access denied)|alert number (4[1-9]|116)\b"),
        _OWN_CERTIFICATE,
    ),
)
_NO_TLS: Final = (_saying(r"wrong version number|packet length too long|unsupported protocol"), _LISTENER)

# Which words come with which code was seen on real brokers. With TLS 1.3 a broker refuses a client's certificate after
# the handshake, and the client calls that `_TRANSPORT`; what a group's coordinator refuses for good it calls `_FATAL`.
_BY_REASON: Final[Mapping[str, tuple[tuple[re.Pattern[str], _Rule], ...]]] = {
    "_SSL": (*_BAD_CERTIFICATE, _NO_TLS),
    "_TRANSPORT": (*_BAD_CERTIFICATE, _NO_TLS),
    "_AUTHENTICATION": (
        (_saying(r"unsupported SASL mechanism"), CODES["UNSUPPORTED_SASL_MECHANISM"]),
        (_saying(r"not valid in current SASL state"), _NO_SASL),
        # How a broker says no to a token, by RFC 7628.
        (_saying(r'\{"status":'), _TOKEN_REFUSED),
        (_saying(r"OAUTHBEARER token: .*(certificate|issuer|CA cert)"), _PROVIDER_CERTIFICATE),
        # The provider of tokens answered, and said no.
        (
            _saying(r"invalid_client|unauthorized_client|invalid_grant|invalid_scope|OIDC.*\(40[013]\)"),
            _PROVIDER_REFUSED,
        ),
        (_saying(r"failed to acquire SASL OAUTHBEARER token|no token available"), _NO_TOKEN),
        # "Local:" begins what the client itself says; of credentials only the broker can tell.
        (_saying(r"local: |disconnected|connection reset|timed out"), _HANDSHAKE_CUT),
    ),
    "SASL_AUTHENTICATION_FAILED": ((_saying(r"OAuth token not set"), _TOKEN_MISSING),),
    "_FATAL": (
        (_saying(r"fenced by other consumer"), CODES["FENCED_INSTANCE_ID"]),
        (_saying(r"instance ID is still used"), CODES["UNRELEASED_INSTANCE_ID"]),
        (_saying(r"assignor or its version range"), CODES["UNSUPPORTED_ASSIGNOR"]),
        (_saying(r"API version not supported"), CODES["UNSUPPORTED_VERSION"]),
        (_saying(r"group id does not exist"), CODES["GROUP_ID_NOT_FOUND"]),
        (_saying(r"reached maximum size"), CODES["GROUP_MAX_SIZE_REACHED"]),
        (_saying(r"group authorization failed"), CODES["GROUP_AUTHORIZATION_FAILED"]),
    ),
}
"""Codes that mean several things: the first pattern found in the reason decides; none: the code's own rule."""
