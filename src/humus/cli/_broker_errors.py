"""What an error of the Kafka client means to somebody at a terminal: what was tried, why not, what to do. Pure.

The runtime waits where a broker is away; a command gives up. So the words are other ones than those of the runtime's
table (`humus.queue.kafka._client_errors`), which is asked for all that it calls a matter of credentials.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from humus.errors import AuthenticationFailed, BrokerError
from humus.queue.kafka._client_errors import Kind, Where, classify

__all__ = ["COORDINATOR_MOVES", "FENCED", "Said", "broker_error"]

COORDINATOR_MOVES: Final = frozenset({"COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"})
"""Asked again while it lasts."""
FENCED: Final = frozenset({"_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"})
"""Somebody else took the transactional id."""
_AWAY: Final = frozenset(
    {
        *("_TRANSPORT", "_RESOLVE", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_WAIT_COORD", "_FAIL"),
        *("BROKER_NOT_AVAILABLE", "NETWORK_EXCEPTION", "REQUEST_TIMED_OUT", "_MSG_TIMED_OUT", *COORDINATOR_MOVES),
    }
)
_NO_ANSWER: Final = "no answer within {patience:g} s: check that Kafka runs at {brokers} and can be reached from here"
_WHAT_TO_DO: Final = {
    "TOPIC_AUTHORIZATION_FAILED": "grant this user {rights} on the topic {topic}",
    "GROUP_AUTHORIZATION_FAILED": "grant this user READ and DESCRIBE on the group {group}",
    "CLUSTER_AUTHORIZATION_FAILED": "grant this user IDEMPOTENT_WRITE on the cluster",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": "grant this user WRITE and DESCRIBE on the transactional id {group}",
    "UNKNOWN_TOPIC_OR_PART": "the topic {topic} is not there (any more): check its name",
    "_UNKNOWN_TOPIC": "the topic {topic} is not there (any more): check its name",
    "_UNKNOWN_PARTITION": "the partition is not there (any more)",
    "GROUP_ID_NOT_FOUND": "there is no group {group}: check its name",
    "LEADER_NOT_AVAILABLE": "the partition has no leader just now: look at its brokers, and try again",
    "NOT_LEADER_FOR_PARTITION": "the partition's leader has just moved: try again",
    "UNKNOWN_MEMBER_ID": "a member has joined the group {group}, and the broker takes offsets from its members alone: "
    "stop them first",
    "ILLEGAL_GENERATION": "a member has joined the group {group}: stop its members first",
    "NON_EMPTY_GROUP": "a member has joined the group {group}: stop its members first",
    "MSG_SIZE_TOO_LARGE": "it is larger than the topic takes: raise max.message.bytes of the topic {topic}",
    "INVALID_RECORD": "the topic {topic} takes no such record (a compacted one takes none without a key)",
    "NOT_ENOUGH_REPLICAS": "too few replicas of the topic {topic} are in sync: look at its brokers",
    "OFFSET_METADATA_TOO_LARGE": "the progress does not fit into what the broker takes with an offset: raise "
    "offset.metadata.max.bytes, or replay without filters",
    **dict.fromkeys(
        FENCED,
        "another replay with the group {group} took over, or this one stood still for a minute. all confirmed counts",
    ),
    "UNSUPPORTED_VERSION": "the broker is too old for this",
    "_UNSUPPORTED_FEATURE": "the broker is too old for this",
}


class Said(NamedTuple):
    """What the client said: its name of an error, and its words."""

    code: str
    reason: str


def broker_error(
    doing: str,
    said: Said,
    *,
    brokers: str,
    patience: float,
    group: str = "?",
    topic: str = "?",
    rights: str = "READ and DESCRIBE",
    before: Iterable[Said] = (),
) -> BrokerError:
    """Return the error for a person.

    Args:
        doing: what was tried, as the beginning of a sentence: `read the offsets of orders`.
        said: what came back.
        brokers: where they should be.
        patience: how long an answer was waited for, in seconds.
        group, topic, rights: what it was about.
        before: what the client said of its connections meanwhile: the cause of a time-out is there.
    """
    cause = _cause((said, *before))
    if cause is not None:
        return cause
    if said.code in _AWAY:
        words = _NO_ANSWER.format(patience=patience, brokers=brokers)
        connection = next((each.reason for each in before if each.code in _AWAY), None)
        return BrokerError(f"cannot {doing}: {words}{f' ({connection})' if connection else ''}", code=said.code)
    advice = _WHAT_TO_DO.get(said.code)
    told = f": {advice.format(group=group, topic=topic, rights=rights)}" if advice else ""
    kind = AuthenticationFailed if said.code.endswith("AUTHORIZATION_FAILED") else BrokerError
    return kind(f"cannot {doing}: {said.reason} ({said.code}){told}", code=said.code)


def _cause(all_said: Sequence[Said]) -> BrokerError | None:
    """Return why the brokers do not let us in, where one said so."""
    for said in all_said:
        found = classify(said.code, said.reason, Where.CALLBACK)
        if found.kind is Kind.AUTH and not said.code.endswith("AUTHORIZATION_FAILED"):
            return found.exception()
    return None
