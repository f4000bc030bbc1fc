"""Services that process Apache Kafka messages.

`Runtime` consumes topics in a group; `at_least_once` and `at_most_once` say what to do with each. The names here are
all there is: modules that begin with an underscore are not for use.
"""

from typing import TYPE_CHECKING, Any

from humus.queue.kafka._delivery_context import Delivery, current
from humus.queue.kafka._message import Header, Message
from humus.queue.kafka._retry import (
    Duration,
    FailurePolicy,
    Reject,
    Retry,
    RetryLater,
    dead_letter,
    halt,
    shut_down,
    skip,
)
from humus.queue.kafka._runtime import Runtime
from humus.queue.kafka._security import SASL, TLS
from humus.queue.kafka._status import FailureStatus, PartitionStatus, RuntimeStatus, Totals
from humus.queue.kafka._subscription import Subscription, at_least_once, at_most_once

if TYPE_CHECKING:
    from humus.queue.kafka._settings import Settings

__all__ = [
    "SASL",
    "TLS",
    "Delivery",
    "Duration",
    "FailurePolicy",
    "FailureStatus",
    "Header",
    "Message",
    "PartitionStatus",
    "Reject",
    "Retry",
    "RetryLater",
    "Runtime",
    "RuntimeStatus",
    "Settings",
    "Subscription",
    "Totals",
    "at_least_once",
    "at_most_once",
    "current",
    "dead_letter",
    "halt",
    "shut_down",
    "skip",
]


# Logs name them by where users import them from.
Reject.__module__ = RetryLater.__module__ = __name__


def __getattr__(name: str) -> Any:
    if name == "Settings":  # brings pydantic's models with it, so only for who asks
        from humus.queue.kafka._settings import Settings  # noqa: PLC0415

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
