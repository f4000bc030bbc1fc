"""A topic, how its records are delivered and who handles them: what `at_least_once` and `at_most_once` make.

The factories never raise. What is wrong is kept in `Subscription.faults`, so that the runtime can name the faults of
all its topics at once, together with its own.
"""

import re
from dataclasses import dataclass, field
from enum import Enum

from humus.errors import ConfigError
from humus.queue._processors import Handler, inspect_processor
from humus.queue._protocols import ProcessorLike
from humus.queue.kafka._message import Message
from humus.queue.kafka._retry import FailurePolicy, PolicyKind, Retry, halt, skip

__all__ = ["Semantic", "Subscription", "at_least_once", "at_most_once", "letters_fault", "topic_fault"]

_RETRY_FOR_EVER = Retry()
_HALT = halt()
_ONE_ATTEMPT = Retry(max_attempts=1)
_SKIP = skip()
_POLICIES = "halt(), skip(), dead_letter(topic) or shut_down()"

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}", re.ASCII)


class Semantic(Enum):
    """When a record's offset is committed: after it was handled, or before its processor starts."""

    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic with its semantic, handler and failure rules; made by `at_least_once` and `at_most_once`.

    At most once has `retry` and `on_failure` as well: one attempt, then `skip` (a record that failed is gone).
    """

    topic: str
    semantic: Semantic
    retry: Retry
    on_failure: FailurePolicy
    faults: tuple[str, ...] = ()
    found: Handler | None = field(default=None, repr=False)

    @property
    def handler(self) -> Handler:
        """The processor as the runtime calls it.

        Raises:
            ConfigError: what was given is no processor; the runtime has checked that by the time it asks.
        """
        if self.found is None:
            raise ConfigError(self.faults)
        return self.found


def at_least_once(
    topic: str, processor: ProcessorLike[Message], *, retry: Retry = _RETRY_FOR_EVER, on_failure: FailurePolicy = _HALT
) -> Subscription:
    """Subscribe to `topic`; a record counts as consumed once it was handled, so it may come again after a crash.

    Args:
        topic: the name of one topic.
        processor: an object with `process(msg)`, or a function of one argument; `def` or `async def`.
        retry: when and how often a record whose processor raised is tried again; for ever by default, `Retry()`.
        on_failure: what happens to a record that is not tried again: `halt()`, the default, `skip()`,
            `dead_letter(topic)` or `shut_down()`.

    Never raises: `Runtime` raises `ConfigError` with the faults of all its subscriptions at once.
    """
    wrong = {
        "retry": _type_fault("retry", retry, Retry, "a Retry(...)"),
        "on_failure": _type_fault("on_failure", on_failure, FailurePolicy, _POLICIES)
        or letters_fault(topic, on_failure, "on_failure: "),
    }
    return _subscribe(
        topic,
        processor,
        Semantic.AT_LEAST_ONCE,
        retry=_RETRY_FOR_EVER if wrong["retry"] else retry,
        on_failure=_HALT if wrong["on_failure"] else on_failure,
        faults=[fault for fault in wrong.values() if fault is not None],
    )


def at_most_once(topic: str, processor: ProcessorLike[Message]) -> Subscription:
    """Subscribe to `topic`; a record counts as consumed before its processor starts, so it is never handled twice.

    Args:
        topic: the name of one topic.
        processor: an object with `process(msg)`, or a function of one argument; `def` or `async def`.

    Never raises: `Runtime` raises `ConfigError` with the faults of all its subscriptions at once.
    """
    return _subscribe(topic, processor, Semantic.AT_MOST_ONCE, retry=_ONE_ATTEMPT, on_failure=_SKIP, faults=[])


def topic_fault(topic: object) -> str | None:
    """Say why this cannot be the name of a topic to subscribe to; `None` when it can."""
    if not isinstance(topic, str):
        return f"a topic must be a string; it is {_kind(topic)}"
    if not topic:
        return "the topic is empty: give the name of a topic"
    if topic.startswith("^"):
        return "starts with '^', which the client takes for a pattern: this version subscribes to topics by name alone"
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        return (
            "is no name that Kafka allows for a topic: "
            "1 to 249 ASCII letters, digits, '.', '_' and '-', and neither '.' nor '..'"
        )
    return None


def letters_fault(topic: object, policy: FailurePolicy, where: str = "") -> str | None:
    """Say why this policy's dead letters cannot go where it says; `None` where they can, or it has none."""
    if policy.kind is not PolicyKind.DEAD_LETTER:
        return None
    fault = topic_fault(policy.topic)
    if fault is not None:
        return f"{where}dead_letter({policy.topic!r}): {fault}"
    if policy.topic == topic:
        return (
            f"{where}dead_letter({policy.topic!r}): is the topic itself, so a failed record would come round for ever"
        )
    return None


def _subscribe(
    topic: str,
    processor: ProcessorLike[Message],
    semantic: Semantic,
    *,
    retry: Retry,
    on_failure: FailurePolicy,
    faults: list[str],
) -> Subscription:
    found = inspect_processor(processor)
    wrong_topic = topic_fault(topic)
    if isinstance(found, list):
        faults = [*found, *faults]
    if wrong_topic is not None:
        faults = [wrong_topic, *faults]
    where = f"{semantic.name.lower()}({topic!r}, ...)"
    return Subscription(
        topic=topic,
        semantic=semantic,
        retry=retry,
        on_failure=on_failure,
        faults=tuple(f"{where}: {fault}" for fault in faults),
        found=found if isinstance(found, Handler) else None,
    )


def _type_fault(name: str, value: object, kind: type, expected: str) -> str | None:
    return None if isinstance(value, kind) else f"{name} must be {expected}; it is {_kind(value)}"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
