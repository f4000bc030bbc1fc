"""Sends letters back, and commits how far it came, in one transaction a batch: both hold, or neither (KIP-98, KIP-447).

The transactional id is the name of the replay's group. So of two replays with one group the later one takes over: the
broker aborts what the earlier one has open, and refuses all that it tries from then on. After a crash it is the same:
the next replay begins where the last whole batch ended, and nothing of the broken one is seen by a reader of committed
records.
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as ClientTopicPartition

from humus.cli._broker_errors import FENCED
from humus.cli._cluster import PATIENCE, Cluster, Silence
from humus.cli._letter_reader import headers_in, place_in
from humus.cli._letters import replayed_headers
from humus.cli._progress import Progress
from humus.cli._replay_plan import Target
from humus.errors import BrokerError
from humus.queue.kafka._client_errors import refused_config

__all__ = ["Outbox"]

_TRANSACTION_MS: Final = 60_000
"""Readers of committed records wait so long, at most, for a batch of a replay that was killed."""
_CONFIRM_WITHIN: Final = 30.0
_ABORT_WITHIN: Final = 5.0
_CLIENT_LIMIT: Final = 1_000_000_000
"""The client's largest `message.max.bytes`: what a topic takes is for the broker to say."""


class Outbox:
    """The producer of one replay; a context manager, at whose end an open batch is aborted.

    Raises:
        ConfigError: the client refuses the configuration.
    """

    def __init__(self, cluster: Cluster, topic: str, group: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._group = group
        self._open = False
        self._refused: list[tuple[str, str, KafkaError]] = []
        config = {
            **cluster.config,
            "transactional.id": group,
            "transaction.timeout.ms": _TRANSACTION_MS,
            "message.max.bytes": _CLIENT_LIMIT,
            "batch.num.messages": 1,  # the broker refuses too large a batch as a whole
            "linger.ms": 0,
            "partitioner": "murmur2_random",  # a key's partition as Kafka's own clients choose it
            "logger": Silence(),
        }
        try:
            self._producer = Producer(config)
        except KafkaException as error:
            raise refused_config(error.args[0].str(), config) from None

    def __enter__(self) -> Self:
        """Take over from whoever replayed with this group before.

        Raises:
            BrokerError: it cannot be had.
        """
        self._until(f"begin a replay as {self._group}", self._producer.init_transactions)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def send(self, letter: Message, target: Target) -> None:
        """Send a letter, in the open batch or a new one; it counts once the batch is confirmed."""
        self.begin()
        partition, offset = place_in(letter)
        what = f"{self._topic}[{partition}]@{offset}"
        where: dict[str, Any] = {} if target.partition is None else {"partition": target.partition}

        def on_delivery(error: KafkaError | None, _record: Message) -> None:
            if error is not None:
                self._refused.append((what, target.topic, error))

        key: Any = letter.key()
        value: Any = letter.value()
        headers: Any = replayed_headers(headers_in(letter))
        while True:
            try:
                self._producer.produce(target.topic, value, key, headers=headers, on_delivery=on_delivery, **where)
            except BufferError:
                self._serve(self._producer.poll, 0.1)
            except KafkaException as error:
                on_delivery(error.args[0], letter)
                break
            else:
                break
        self._serve(self._producer.poll, 0)

    def begin(self) -> None:
        """Open a batch, where none is."""
        if not self._open:
            self._until("begin a transaction", lambda _seconds: self._producer.begin_transaction())
            self._open = True

    def confirm(self, progress: Mapping[int, Progress]) -> None:
        """Wait until the open batch is confirmed, and with it this progress.

        Raises:
            BrokerError: it is not; nothing of it counts. Where the answer did not come, the next replay finds out.
        """
        offsets = [
            ClientTopicPartition(self._topic, partition, at.below, metadata=at.metadata())
            for partition, at in progress.items()
        ]
        membership = self._cluster.membership(self._group)
        doing = "confirm a batch of letters"
        self._flush(doing)
        self._until(
            doing, lambda left: self._producer.send_offsets_to_transaction(offsets, membership, left), self._topic
        )
        self._until(doing, self._producer.commit_transaction)
        self._raise_refused()
        self._open = False

    def abort(self) -> None:
        """Drop the open batch; where the broker cannot be told so, it does so by itself (`transaction.timeout.ms`)."""
        if not self._open:
            return
        self._open = False
        try:
            self._producer.abort_transaction(_ABORT_WITHIN)
        except KafkaException:
            # Fenced, or the broker is away: either way there is already an error to tell, and nothing of this counts.
            return

    def _serve(self, act: Callable[[float], int], seconds: float) -> int:
        """Let the client call back. Once it has given up for good this raises its error, wrapped as a rule.

        Raises:
            BrokerError: it has, because another replay took over, or for want of a right.
        """
        try:
            return act(seconds)
        except KafkaError as error:  # type: ignore[misc, unused-ignore]
            raise self._told("go on with this replay", error, self._topic) from None
        except KafkaException as wrapped:
            raise self._told("go on with this replay", wrapped.args[0], self._topic) from None

    def _flush(self, doing: str) -> None:
        deadline = time.monotonic() + _CONFIRM_WITHIN
        while self._serve(self._producer.flush, 1.0) and not self._refused:
            if time.monotonic() > deadline:
                raise self._told(doing, KafkaError(KafkaError._TIMED_OUT), self._topic)  # noqa: SLF001 - public
        self._raise_refused()

    def _raise_refused(self) -> None:
        if not self._refused:
            return
        # Letters behind a refused one are purged: the one that says why comes first.
        what, target, error = min(self._refused, key=lambda each: each[2].name().startswith("_PURGE"))
        if error.name() in FENCED:
            raise self._cluster.error("go on with this replay", error, group=self._group)
        raise self._cluster.error(f"replay {what} to {target}", error, topic=target, rights="WRITE and DESCRIBE")

    def _until(self, doing: str, act: Callable[[float], object], topic: str = "?") -> None:
        """Act, again while the client says that it may pass."""
        deadline = time.monotonic() + _CONFIRM_WITHIN
        while True:
            try:
                act(min(PATIENCE, max(0.1, deadline - time.monotonic())))
            except KafkaException as failed:
                error: KafkaError = failed.args[0]
                self._raise_refused()
                if not error.retriable() or time.monotonic() > deadline:
                    raise self._told(doing, error, topic) from None
            else:
                return

    def _told(self, doing: str, error: KafkaError, topic: str) -> BrokerError:
        return self._cluster.error(doing, error, group=self._group, topic=topic)
