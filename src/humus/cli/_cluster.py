"""What the commands ask of a cluster, and the one thing they change: a group's offsets. All waits are bounded.

What a group has committed is asked by a consumer that joins nothing: the admin client's own question
(`list_consumer_group_offsets`) crashes the process where the group's coordinator is not there yet (librdkafka 2.16).
The same consumer commits: it is no member, and the broker takes offsets from outside only while a group has no
members. So nobody who joins in between can be overrun; that check and the commit are one request.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientTopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from humus.cli._broker_errors import COORDINATOR_MOVES, Said, broker_error
from humus.cli._group_lag import GroupView, Member
from humus.cli._kafka import Connection
from humus.errors import BrokerError
from humus.queue.kafka._client_errors import refused_config
from humus.queue.kafka._message import TopicPartition

__all__ = ["PATIENCE", "Cluster", "Committed", "Silence"]

PATIENCE: Final = 10.0
"""Seconds that an answer is waited for."""
_AGAIN_AFTER: Final = 0.2
_NO_GROUP: Final = frozenset({"GROUP_ID_NOT_FOUND"})
_EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call, assignment, unused-ignore]
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call, assignment, unused-ignore]
_Answer = TypeVar("_Answer")


class Committed(NamedTuple):
    """An offset that a group has committed, and the text beside it."""

    offset: int
    metadata: str | None


class Cluster:
    """The brokers behind a connection; a context manager.

    Attributes:
        brokers: where they are.
        config: what a client of any kind needs to reach them, secrets included.

    Raises:
        ConfigError: the client refuses the configuration.
    """

    def __init__(self, connection: Connection) -> None:
        self.brokers = connection.brokers
        self._said: list[Said] = []
        self.config = {**connection.client, "log_level": 0, "error_cb": self.on_error}
        try:
            self._admin = AdminClient(self.config, logger=Silence())
        except KafkaException as error:
            raise refused_config(error.args[0].str(), self.config) from None
        self._readers: dict[str, Consumer] = {}
        self._committed: list[tuple[KafkaError | None, Sequence[Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for reader in self._readers.values():
            reader.close()

    # -- topics ----------------------------------------------------------------------------------------------------

    def topics(self) -> dict[str, int]:
        """Return all topics that this user may see, and how many partitions each has.

        Raises:
            BrokerError: as every method: no answer, or none that helps.
        """
        # All of them: to ask for one by name can create it.
        found = self.ask("read the list of topics", lambda: self._admin.list_topics(timeout=PATIENCE))
        return {name: len(topic.partitions) for name, topic in found.topics.items() if topic.error is None}

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic that must exist."""
        count = self.topics().get(topic)
        if count is None:
            raise BrokerError(f"there is no topic {topic}, or this user may not see it (DESCRIBE)")
        return [TopicPartition(topic, number) for number in range(count)]

    def begins(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where each log begins."""
        return self._offsets(partitions, _EARLIEST, IsolationLevel.READ_UNCOMMITTED)

    def ends(self, partitions: Iterable[TopicPartition], *, stable: bool = False) -> dict[TopicPartition, int]:
        """Return where each log ends: the high watermark, or with `stable` before the first open transaction."""
        level = IsolationLevel.READ_COMMITTED if stable else IsolationLevel.READ_UNCOMMITTED
        return self._offsets(partitions, _LATEST, level)

    def at_time(self, partitions: Iterable[TopicPartition], timestamp: int) -> dict[TopicPartition, int]:
        """Return the first offset of a record at or after a time (ms since the epoch), of partitions that have one."""
        spec: OffsetSpec = OffsetSpec.for_timestamp(timestamp)  # type: ignore[no-untyped-call, unused-ignore]
        found = self._offsets(partitions, spec, IsolationLevel.READ_UNCOMMITTED)
        return {at: offset for at, offset in found.items() if offset >= 0}

    # -- groups ----------------------------------------------------------------------------------------------------

    def group(self, name: str) -> GroupView:
        """Return a group and its members; `known` is false where its coordinator has never heard of it."""

        def ask() -> Any:
            futures: dict[str, Future[Any]] = self._admin.describe_consumer_groups([name], request_timeout=PATIENCE)
            return _result(futures[name])

        try:
            found = self.ask(f"read the group {name}", ask, group=name)
        except BrokerError as error:
            if error.code not in _NO_GROUP:
                raise
            return GroupView(name, known=False, state="dead", protocol="", members=())
        state = found.state.name.lower()
        members = tuple(_member(member) for member in found.members)
        return GroupView(name, state != "dead", state, found.type.name.lower(), members)

    def committed(
        self, group: str, partitions: Iterable[TopicPartition], *, stable: bool = False
    ) -> dict[TopicPartition, Committed]:
        """Return what the group has committed, of partitions of which it has.

        With `stable` an offset that an open transaction is about to commit is waited for.
        """
        wanted = [ClientTopicPartition(*at) for at in partitions]
        if not wanted:
            return {}
        reader = self._reader(group, "read_committed" if stable else "read_uncommitted")
        doing = f"read the offsets of the group {group}"

        def ask() -> list[ClientTopicPartition]:
            reader.poll(0)  # a token that is due
            found = reader.committed(wanted, timeout=PATIENCE)
            for at in found:
                if at.error is not None:
                    raise KafkaException(at.error)
            return found

        found = self.ask(doing, ask, group=group, topic=wanted[0].topic if len(wanted) == 1 else "?")
        return {
            TopicPartition(at.topic, at.partition): Committed(at.offset, at.metadata) for at in found if at.offset >= 0
        }

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit offsets from outside the group: all of them or none.

        Raises:
            BrokerError: the broker refuses, because somebody has joined the group; or its answer did not come, and the
                message says that what holds now is not known.
        """
        doing = f"commit offsets of the group {group}"
        reader = self._reader(group, "read_uncommitted")
        wanted = [ClientTopicPartition(at.topic, at.partition, offset) for at, offset in offsets.items()]

        def ask() -> None:
            reader.poll(0)
            self._committed.clear()
            reader.commit(offsets=wanted, asynchronous=True)
            deadline = time.monotonic() + PATIENCE
            while not self._committed:
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"cannot tell whether the offsets of the group {group} are committed: no answer within "
                        f"{PATIENCE:g} s. humus offsets show {group} tells, once the broker is back"
                    )
                reader.poll(0.1)
            error, results = self._committed[0]
            for found in (error, *(at.error for at in results)):
                if found is not None:
                    raise KafkaException(found)

        self.ask(doing, ask, group=group, rights="READ")

    def offsets_retention(self) -> float | None:
        """Return for how many seconds the brokers keep offsets of a group without members; `None`: not told."""
        try:
            brokers = self._admin.list_topics(timeout=PATIENCE).brokers
            resource = ConfigResource(ResourceType.BROKER, str(next(iter(brokers))))
            config = _result(self._admin.describe_configs([resource], request_timeout=PATIENCE)[resource])
            return float(config["offsets.retention.minutes"].value) * 60
        except (KafkaException, FutureTimeoutError, KeyError, StopIteration):
            return None  # it takes DESCRIBE_CONFIGS on the cluster, which few users have

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, doing: str, ask: Callable[[], _Answer], **about: str) -> _Answer:
        """Return the answer to a question; while the group's coordinator moves it is asked again.

        Raises:
            BrokerError: there is none.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return ask()
            except KafkaException as error:
                found: KafkaError = error.args[0]
                if found.name() not in COORDINATOR_MOVES or time.monotonic() > deadline:
                    raise self.error(doing, found, **about) from None
            except FutureTimeoutError:
                raise self.error(doing, KafkaError(KafkaError._TIMED_OUT), **about) from None  # noqa: SLF001 - public
            time.sleep(_AGAIN_AFTER)

    def error(self, doing: str, error: KafkaError, **about: str) -> BrokerError:
        """Return what to tell the user of an error of the client."""
        self._admin.poll(0)  # what was wrong with the connections is told here
        said = Said(error.name(), error.str())
        return broker_error(doing, said, brokers=self.brokers, patience=PATIENCE, before=self._said, **about)

    def on_error(self, error: KafkaError) -> None:
        """Note what a client says of its connections: the `error_cb` of all of them."""
        self._said.append(Said(error.name(), error.str()))

    def _offsets(
        self, partitions: Iterable[TopicPartition], spec: OffsetSpec, level: IsolationLevel
    ) -> dict[TopicPartition, int]:
        wanted = {ClientTopicPartition(*at): spec for at in partitions}
        if not wanted:
            return {}
        found: dict[TopicPartition, int] = {}

        def ask() -> None:
            futures = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=PATIENCE)
            found.update({TopicPartition(at.topic, at.partition): _result(each).offset for at, each in futures.items()})

        self.ask("read where the logs begin and end", ask, topic=", ".join(sorted({at.topic for at in wanted})))
        return found

    def membership(self, group: str) -> Any:
        """Return what a transaction needs, to commit offsets of a group from outside."""
        return self._reader(group, "read_committed").consumer_group_metadata()

    def _reader(self, group: str, isolation: str) -> Consumer:
        key = f"{isolation} {group}"
        if key not in self._readers:
            own = {
                "group.id": group,
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "on_commit": lambda error, at: self._committed.append((error, at)),
                "logger": Silence(),
            }
            self._readers[key] = Consumer({**self.config, **own})
        return self._readers[key]


class Silence:
    """The client's log: what matters of it comes as errors."""

    def log(self, level: int, text: str, *args: object) -> None:
        """Drop a line."""


def _result(future: "Future[_Answer]") -> _Answer:
    return future.result(PATIENCE + 1.0)  # the client's own time-out comes first


def _member(found: Any) -> Member:
    assigned = found.assignment.topic_partitions if found.assignment is not None else ()
    partitions = frozenset(TopicPartition(at.topic, at.partition) for at in assigned)
    return Member(found.member_id, found.client_id, found.host, found.group_instance_id, partitions)
