"""Every error that humus raises, in one tree.

::

    HumusError
    ├── ConfigError (ValueError)        the configuration cannot work: all faults at once
    ├── OutsideProcessor (LookupError)  `current()` was called where no record is being handled
    ├── BrokerError                     the broker refused for good; says what to do
    │   ├── AuthenticationFailed        wrong credentials, unknown CA, no permission
    │   ├── CommitFailed                the group refuses this member's commits for good
    │   └── DeadLetterFailed            a dead letter can never be written
    └── ProcessingFailed                a record stopped the runtime; the user's exception is `__cause__`

`Reject` and `RetryLater` in `humus.queue.kafka` are raised by processors, never by humus, and are
no `HumusError`s: catching the tree must not catch what a processor means to tell the runtime.
"""

from collections.abc import Iterable

__all__ = [
    "AuthenticationFailed",
    "BrokerError",
    "CommitFailed",
    "ConfigError",
    "DeadLetterFailed",
    "HumusError",
    "OutsideProcessor",
    "ProcessingFailed",
]


class HumusError(Exception):
    """Base of every error that humus raises."""


class ConfigError(HumusError, ValueError):
    """The configuration cannot work.

    `faults` holds one line per fault, each with where it is and what to do; `str()` joins them.
    """

    faults: tuple[str, ...]

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class OutsideProcessor(HumusError, LookupError):  # noqa: N818 - reads as what happened, as `LookupError` users expect
    """`current()` was called where no record is being handled."""


class BrokerError(HumusError):
    """The broker, or the client on its behalf, refused for good.

    `code` is the client's error name (`TOPIC_AUTHORIZATION_FAILED`, `_AUTHENTICATION`, ...), `None` where there is
    none.
    """

    code: str | None

    def __init__(self, message: str, *, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


class AuthenticationFailed(BrokerError):  # noqa: N818 - public name of the contract
    """Wrong credentials, an unknown certificate authority, or no permission."""


class CommitFailed(BrokerError):  # noqa: N818 - public name of the contract
    """The group refuses this member's commits for good (a newer member with its `group_instance_id` took its place)."""


class DeadLetterFailed(BrokerError):  # noqa: N818 - public name of the contract
    """A dead letter can never be written."""


class ProcessingFailed(HumusError):  # noqa: N818 - public name of the contract
    """A record stopped the runtime. The processor's exception is `__cause__`."""

    topic: str
    partition: int
    offset: int

    def __init__(self, message: str, *, topic: str, partition: int, offset: int) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        super().__init__(f"{message} (topic {topic}, partition {partition}, offset {offset})")
