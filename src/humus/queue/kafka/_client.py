"""The one file that touches confluent_kafka's Consumer: records, callbacks and errors are translated here.

Everything runs on the poll thread: the client makes each other thread wait for the poll in flight. An exception that
leaves a callback would lose the records that the call had collected, so callbacks only record what happened.
"""

import contextlib
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as Record
from confluent_kafka import TopicPartition as ClientTopicPartition

from humus.queue.kafka._client_errors import refused_config
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Piece

__all__ = ["Assigned", "Client", "Committed", "Event", "Jumped", "Lost", "Record", "Revoked", "Statistics", "Trouble"]

_log = logging.getLogger("humus.kafka.client")

RECORD_OVERHEAD: Final = 420
"""Bytes that a held record costs beside key, value and headers, as measured (D50)."""
_PIECE_BYTES: Final = 1024 * 1024
"""A piece's bytes are set free as a whole, so large records come in smaller pieces."""
_SYSLOG_ERROR: Final = 40
_OFFSET_RESET: Final = re.compile(
    r"(?:\[thrd:[^]]*\]: )?(?P<topic>\S+) \[(?P<partition>\d+)\]: offset reset \(at offset (?P<offset>\d+)\b"
)


@dataclass(frozen=True, slots=True)
class Assigned:
    """Partitions came to this member."""

    tps: list[TopicPartition]


@dataclass(frozen=True, slots=True)
class Revoked:
    """Partitions are to be given back: the client waits for `unassign`."""

    tps: list[TopicPartition]


@dataclass(frozen=True, slots=True)
class Lost:
    """Partitions are no longer this member's."""

    tps: list[TopicPartition]


@dataclass(frozen=True, slots=True)
class Committed:
    """The answer to a commit: (partition, offset, the client's error or `None`)."""

    answers: list[tuple[TopicPartition, int, KafkaError | None]]


@dataclass(frozen=True, slots=True)
class Trouble:
    """The client reported an error: of itself, or of a partition's log."""

    error: KafkaError
    tp: TopicPartition | None = None


@dataclass(frozen=True, slots=True)
class Jumped:
    """An offset to go on at is not in the log (any more): the client goes on elsewhere, as `auto_offset_reset` says."""

    tp: TopicPartition
    offset: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The client's statistics, as JSON."""

    text: str


Event = Assigned | Revoked | Lost | Committed | Trouble | Jumped | Statistics


class Client:
    """A consumer in a group. Poll thread only, but for the constructor.

    Raises:
        ConfigError: the client refuses the configuration.
    """

    def __init__(self, config: Mapping[str, Any], topics: Sequence[str]) -> None:
        self._events: list[Event] = []
        self._closing = False
        self._many_topics = len(topics) > 1
        self._busy = False
        self._held: set[TopicPartition] = set()
        callbacks: dict[str, Any] = {
            "on_commit": self._on_commit,
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
        }
        callbacks["logger"] = _ClientLog(self._on_jump)
        self._consumer = _create({**config, **callbacks})
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Create a client and close it again, connecting to nobody: the client alone knows all its keys.

        Raises:
            ConfigError: the client refuses the configuration.
        """
        # The method `oidc` would ask the provider for a token at once.
        own = {key: value for key, value in config.items() if key != "sasl.oauthbearer.method"}
        _create({**own, "logger": _ClientLog()}).close()

    # -- polling ------------------------------------------------------------------------------------------------

    def poll(self, most: int, timeout: float) -> Iterator[tuple[list[Event], list[Record]]]:
        """Take up to `most` records, waiting up to `timeout` seconds for the first one.

        Yields, for each call to the client, what happened in it and then the records it returned: the records came
        after the events. `consume(n, t)` alone would wait for all n or the whole time.
        """
        if self._busy:
            records = self._consume(most, 0.0)
            self._busy = len(records) == most
            yield self._happened(), records
            if records:
                return
        records = self._consume(1, timeout)
        yield self._happened(), records
        if records and most > 1:
            records = self._consume(most - 1, 0.0)
            self._busy = len(records) == most - 1
            yield self._happened(), records

    def _consume(self, most: int, timeout: float) -> list[Record]:
        records: list[Record] = []
        with self._reporting():
            records = self._consumer.consume(most, timeout)
        if any(map(Record.error, records)):
            records = [record for record in records if not self._is_error(record)]
        return records

    def _is_error(self, record: Record) -> bool:
        error = record.error()
        if error is None:
            return False
        topic, partition = record.topic(), record.partition()
        tp = TopicPartition(topic, -1 if partition is None else partition) if topic else None
        self._events.append(Trouble(error, tp))
        return True

    def assigned(self) -> set[TopicPartition]:
        """Return the partitions that the group gave us, begun or not, those of a revoke that is pending included."""
        return set(self._held)

    def _happened(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def pieces(self, records: list[Record]) -> Iterator[tuple[TopicPartition, Piece]]:
        """Split a consumed batch into runs of one partition, in order, and large runs into pieces."""
        for partition, run in groupby(records, Record.partition):
            if self._many_topics:
                for topic, one in groupby(run, Record.topic):
                    yield from _cut(TopicPartition(topic or "", partition or 0), list(one))
            else:
                one_topic = list(run)
                yield from _cut(TopicPartition(one_topic[0].topic() or "", partition or 0), one_topic)

    # -- doing --------------------------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Commit {partition: (offset, leader epoch, -1 where unknown)}; the answer comes as `Committed`."""
        request = [
            ClientTopicPartition(tp.topic, tp.partition, offset, leader_epoch=epoch)
            for tp, (offset, epoch) in offsets.items()
        ]
        try:
            self._consumer.commit(offsets=request, asynchronous=True)
        except KafkaException as error:  # the request did not leave this process: an answer like any other
            self._events.append(Committed([(tp, offset, error.args[0]) for tp, (offset, _) in offsets.items()]))

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Fetch nothing more of these partitions; what was prefetched is thrown away."""
        with self._reporting("pause partitions"):
            self._consumer.pause(_to_client(tps))

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Fetch these partitions again, from the first record that was not delivered."""
        with self._reporting("resume partitions"):
            self._consumer.resume(_to_client(tps))

    def begin(self, offsets: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Fetch partitions that are not begun: {partition: (offset, leader epoch, -1 where unknown)}."""
        starts = [
            ClientTopicPartition(tp.topic, tp.partition, offset, leader_epoch=epoch)
            for tp, (offset, epoch) in offsets.items()
        ]
        with self._reporting("begin partitions"):
            self._consumer.incremental_assign(starts)

    def rest(self, tps: Collection[TopicPartition]) -> None:
        """Fetch these no more, but keep them: they are to begin anew. Not while a revoke is pending."""
        with self._reporting("let partitions rest"):
            self._unassign(tps)

    def unassign(self, tps: Collection[TopicPartition]) -> None:
        """Complete a revoke. Never with nothing, or not all of it: that lets two members consume the partitions."""
        if tps:
            self._held.difference_update(tps)
            with self._reporting("give partitions back"):
                self._unassign(tps)

    def _unassign(self, tps: Collection[TopicPartition]) -> None:
        """Unassign what of these is begun: the client refuses the whole call for one that is not."""
        begun = set(_from_client(self._consumer.assignment()))
        self._consumer.incremental_unassign(_to_client(begun.intersection(tps)))

    def positions(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the client will go on, past control records; partitions that have not begun are left out."""
        found: list[ClientTopicPartition] = []
        with self._reporting("tell its positions"):
            found = self._consumer.position(_to_client(tps))
        return {TopicPartition(at.topic, at.partition): at.offset for at in found if at.offset >= 0 and not at.error}

    def end_offset(self, tp: TopicPartition) -> int | None:
        """Return the end of the partition as of the last fetch; `None` before the first. Asks no broker."""
        try:
            _, high = self._consumer.get_watermark_offsets(ClientTopicPartition(tp.topic, tp.partition), cached=True)
        except KafkaException:
            return None  # not assigned any more: the next snapshot leaves it out
        return high if high >= 0 else None

    def close(self) -> None:
        """Leave the group (a static member stays in it) and close. Everything is committed by then. Any one thread."""
        self._closing = True
        self._consumer.close()

    @contextlib.contextmanager
    def _reporting(self, doing: str = "") -> Iterator[None]:
        """Turn what the client raises into `Trouble`, to be told apart with all other errors of the client.

        A call of our own (`doing` says which) that it refuses is a defect of ours: logged, and no reason to end.
        """
        try:
            yield
        except KafkaException as raised:
            error: KafkaError = raised.args[0]
            if doing and not error.fatal() and error.name() != "_FATAL":
                _log.error("the client refused to %s: %s", doing, error.str())
            else:
                self._events.append(Trouble(error))

    # -- callbacks: they record, nothing else -------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[ClientTopicPartition]) -> None:
        with self._reporting("put an assignment off"):
            # Keeps the binding from beginning them by itself, at a start of the client's own search.
            consumer.incremental_assign([])
        tps = _from_client(partitions)
        self._held.update(tps)
        self._events.append(Assigned(tps))

    def _on_revoke(self, consumer: Consumer, partitions: list[ClientTopicPartition]) -> None:
        if self._closing:
            self.unassign(_from_client(partitions))
            return
        with self._reporting("put a revoke off"):
            # Keeps the binding from unassigning by itself: the client waits for `unassign`, while polling goes on.
            consumer.incremental_assign([])
        self._events.append(Revoked(_from_client(partitions)))

    def _on_lost(self, _consumer: Consumer, partitions: list[ClientTopicPartition]) -> None:
        tps = _from_client(partitions)
        self.unassign(tps)
        self._events.append(Lost(tps))

    def _on_commit(self, error: KafkaError | None, partitions: list[ClientTopicPartition]) -> None:
        answers = [
            (TopicPartition(answer.topic, answer.partition), answer.offset, answer.error or error)
            for answer in partitions
        ]
        self._events.append(Committed(answers))

    def _on_error(self, error: KafkaError) -> None:
        self._events.append(Trouble(error))

    def _on_jump(self, tp: TopicPartition, offset: int) -> None:
        self._events.append(Jumped(tp, offset))

    def _on_statistics(self, text: str) -> None:
        self._events.append(Statistics(text))


def _create(config: Mapping[str, Any]) -> Consumer:
    try:
        return Consumer(dict(config))
    except KafkaException as error:
        raise refused_config(error.args[0].str(), config) from None


class _ClientLog:
    """Where librdkafka's own log goes: what it repeats for each try is for debugging; states are logged elsewhere.

    One thing the client says nowhere else: that it could not go on where it should, and goes on elsewhere (D11).
    """

    def __init__(self, jumped: Callable[[TopicPartition, int], None] | None = None) -> None:
        self._jumped = jumped

    def log(self, level: int, text: str, *args: object) -> None:
        """Take one line; `level` is of the logging module."""
        if self._jumped is not None and args and args[0] == "OFFSET":
            reset = _OFFSET_RESET.match(str(args[-1]))
            if reset is not None:
                self._jumped(TopicPartition(reset["topic"], int(reset["partition"])), int(reset["offset"]))
        _log.log(level if level > _SYSLOG_ERROR else logging.DEBUG, text, *args)


def _cut(tp: TopicPartition, records: list[Record]) -> Iterator[tuple[TopicPartition, Piece]]:
    size = _size(records)
    most = len(records) if size <= _PIECE_BYTES else max(1, len(records) * _PIECE_BYTES // size)
    for at in range(0, len(records), most):
        part = records[at : at + most]
        yield tp, _piece(part, size if len(part) == len(records) else _size(part))


def _piece(records: list[Record], size: int) -> Piece:
    first, last, epoch = records[0].offset(), records[-1].offset(), records[0].leader_epoch()
    assert first is not None
    assert last is not None
    return Piece(records, first, last + 1, size, -1 if epoch is None else epoch)


def _size(records: list[Record]) -> int:
    size = sum(map(len, records)) + RECORD_OVERHEAD * len(records)
    size += sum(map(len, filter(None, map(Record.key, records))))
    if any(map(Record.headers, records)):
        size += sum(map(_headers_size, records))
    return size


def _headers_size(record: Record) -> int:
    headers: Any = record.headers() or ()
    return sum(len(name) + len(value or b"") for name, value in headers)


def _to_client(tps: Iterable[TopicPartition]) -> list[ClientTopicPartition]:
    return [ClientTopicPartition(tp.topic, tp.partition) for tp in tps]


def _from_client(partitions: Iterable[ClientTopicPartition]) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.partition) for partition in partitions]
