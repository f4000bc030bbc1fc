"""Asks the cluster what a consumer does not say: whether topics exist, how many brokers there are, where logs begin and
end, and where our partitions are to begin.

Under the consumer protocol an unknown topic gives no error at all, and under the classic one a topic created later is
noticed after minutes (D70). What the consumer knows of a log's end is of its last fetch, and so says nothing when it
does not fetch (D72). Its own search for where to begin outlives the assignment that it was for (D1). This asks with
clients of its own, on a thread of its own, so that the poll loop waits for nothing.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as ClientTopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from humus.queue.kafka._client_config import connection_config
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Key, Start
from humus.queue.kafka._stalls import Ends

__all__ = ["Blind", "Lookout", "Sighting", "Started", "Told"]

_log = logging.getLogger("humus.kafka.client")

INTERVAL: Final = 10.0
"""Seconds between two looks while something is missing (D70)."""
REGULAR_INTERVAL: Final = 300.0
"""Seconds between two looks otherwise: clusters grow, and topics are deleted."""
_ANSWER_WITHIN: Final = 5.0
_POLL_SECONDS: Final = 10.0
_COORDINATOR_MS: Final = 5000
"""How soon a coordinator that has moved is known, where the old one stands still (the client's default: 10 minutes)."""
_UNKNOWN: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"})
_DENIED: Final = frozenset({"TOPIC_AUTHORIZATION_FAILED"})
_EARLIEST: Final[OffsetSpec] = OffsetSpec.earliest()  # type: ignore[no-untyped-call, assignment, unused-ignore]
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call, assignment, unused-ignore]
_BEGINS: Final = {"earliest": _EARLIEST, "latest": _LATEST}
"""`auto.offset.reset` -> where a partition begins with nothing committed; `error` is nowhere."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the cluster said: the topics that do not exist, those we may not see, and how many brokers there are."""

    missing: frozenset[str]
    denied: frozenset[str]
    brokers: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the cluster said of the partitions that were asked about; those it did not answer for are not in `ends`."""

    asked: Sequence[Key]
    ends: Mapping[TopicPartition, Ends]


@dataclass(frozen=True, slots=True)
class Started:
    """Where the partitions that were asked about begin; those of which that is not known now are not in `starts`.

    `nowhere` are those with nothing committed, where `auto.offset.reset` gives no place to begin.
    """

    asked: Sequence[Key]
    starts: Mapping[TopicPartition, Start]
    nowhere: frozenset[TopicPartition] = frozenset()


@dataclass(frozen=True, slots=True)
class Blind:
    """The lookout has ended by an error of its own: nobody tells where partitions begin any more."""

    error: Exception


@dataclass(frozen=True, slots=True)
class _Question:
    """`starts`: where they begin; else where their logs begin and end, and of those in `unknown` what is committed."""

    keys: Sequence[Key]
    unknown: Sequence[Key] = ()
    starts: bool = False


class Lookout:
    """Looks at `start`, whenever `look` is called, and every 5 minutes; every 10 s until nothing is missing or denied.

    `report` is called on the lookout's thread for each answer; no answer, no `Sighting`: the consumer itself reports a
    broker that is away. The topics `also` looked for are no subscriptions, but are needed: they count as missing only.
    The thread is a daemon and ends at `stop`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topics: Sequence[str],
        report: Callable[[Sighting | Told | Started | Blind], None],
        *,
        also: Iterable[str] = (),
    ) -> None:
        self._config = config
        self._topics = topics
        self._also = [topic for topic in also if topic not in topics]
        self._report = report
        self._level = _isolation_level(config)
        self._begin = _BEGINS.get(config.get("auto.offset.reset", "earliest"))
        self._questions: deque[_Question] = deque()
        self._wake = threading.Event()
        self._look_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="humus lookout", daemon=True)

    def start(self) -> None:
        """Begin to look. Any thread, once."""
        self._thread.start()

    def look(self) -> None:
        """Look now. Any thread."""
        self._look_at = 0.0
        self._wake.set()

    def ask_ends(self, keys: Sequence[Key], unknown: Sequence[Key]) -> None:
        """Ask where these logs begin and end, and what is committed of those in `unknown`; a `Told` comes. Any thread.

        The end is the one that the configured isolation level sees: an open transaction is not before it.
        """
        self._questions.append(_Question(keys, unknown))
        self._wake.set()

    def ask_starts(self, keys: Sequence[Key]) -> None:
        """Ask where these partitions begin: at what is committed, else as `auto.offset.reset` says. Any thread.

        A `Started` comes.
        """
        self._questions.append(_Question(keys, starts=True))
        self._wake.set()

    def stop(self) -> None:
        """End, soon. Any thread."""
        self._stop.set()
        self._wake.set()

    def _run(self) -> None:
        try:
            self._look_out()
        except Exception as error:  # noqa: BLE001 - handed on: without a lookout partitions would stand still
            self._report(Blind(error))

    def _look_out(self) -> None:
        # A request to a broker that stands still is given up when its answer is: the next one would wait behind it.
        patience = min(_ANSWER_WITHIN * 1000, float(self._config.get("socket.timeout.ms", math.inf)))
        connection = connection_config(self._config) | {"socket.timeout.ms": int(patience)}
        admin = AdminClient(connection, logger=_Silence())
        # Asked by a consumer that joins no group: the admin client's own question has crashed the process, seen with
        # librdkafka 2.16 on a cluster whose coordinator was not there yet.
        own = {"group.id": self._config["group.id"], "enable.auto.commit": False, "log_level": 0}
        reader = Consumer({**connection, **own, "coordinator.query.interval.ms": _COORDINATOR_MS})
        while not self._stop.is_set():
            self._wake.clear()
            while self._questions and not self._stop.is_set():
                question = self._questions.popleft()
                if question.starts:
                    self._report(self._starts(admin, reader, question.keys))
                else:
                    self._report(Told(question.keys, self._ends(admin, reader, question)))
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + REGULAR_INTERVAL  # before: `look` may be called meanwhile
                sighting = self._ask(admin)
                if sighting is not None:
                    self._report(sighting)
                if sighting is None or sighting.missing or sighting.denied:
                    self._look_at = min(self._look_at, time.monotonic() + INTERVAL)
            reader.poll(0)  # its callbacks: tokens that are due, and what it reports
            self._wake.wait(max(0.0, min(_POLL_SECONDS, self._look_at - time.monotonic())))
        reader.close()

    def _ask(self, admin: AdminClient) -> Sighting | None:
        missing, denied = set(), set()
        brokers = 0
        for topic in (*self._topics, *self._also):
            try:
                found = admin.list_topics(topic, timeout=_ANSWER_WITHIN)
            except KafkaException:
                return None  # the consumer's own error callback reports what is wrong with the brokers
            brokers = len(found.brokers)
            described = found.topics.get(topic)
            error = "UNKNOWN_TOPIC_OR_PART" if described is None else _name(described.error)
            if error in _UNKNOWN:
                missing.add(topic)
            elif error in _DENIED:
                denied.add(topic)
        return Sighting(frozenset(missing), frozenset(denied), brokers)

    def _ends(self, admin: AdminClient, reader: Consumer, question: _Question) -> dict[TopicPartition, Ends]:
        """Ask about all of them at once: a request a leader, and one for what is committed."""
        try:
            begins = self._offsets(admin, question.keys, _EARLIEST)
            ends = self._offsets(admin, question.keys, _LATEST)
            committed = _committed(reader, question.unknown)
        except KafkaException as error:
            _log.debug("not told where logs end: %s", error)
            return {}
        known = begins.keys() - {key.tp for key in question.unknown if key.tp not in committed}
        at = {tp: start and start.offset for tp, start in committed.items()}
        return {tp: Ends(begins[tp], end, at.get(tp)) for tp, end in ends.items() if tp in known}

    def _starts(self, admin: AdminClient, reader: Consumer, keys: Sequence[Key]) -> Started:
        """Ask what is committed of all of them at once; of where the log begins or ends only where nothing is."""
        try:
            committed = _committed(reader, keys)
            starts = {tp: start for tp, start in committed.items() if start is not None}
            fresh = [key for key in keys if key.tp in committed and key.tp not in starts]
            if fresh:
                if self._begin is None:
                    return Started(keys, starts, frozenset(key.tp for key in fresh))
                begins = self._offsets(admin, fresh, self._begin)
                starts.update({tp: Start(offset, -1, committed=False) for tp, offset in begins.items()})
        except KafkaException as error:
            _log.debug("not told where partitions begin: %s", error)
            return Started(keys, {})
        return Started(keys, starts)

    def _offsets(self, admin: AdminClient, keys: Sequence[Key], spec: OffsetSpec) -> dict[TopicPartition, int]:
        wanted = {ClientTopicPartition(*key.tp): spec for key in keys}
        futures = admin.list_offsets(wanted, isolation_level=self._level, request_timeout=_ANSWER_WITHIN)
        return {TopicPartition(at.topic, at.partition): found.offset for at, found in _answered(futures)}


def _committed(reader: Consumer, keys: Sequence[Key]) -> dict[TopicPartition, Start | None]:
    """Return what the group has committed of these, `None` where nothing; where nobody can tell, they are left out."""
    if not keys:
        return {}
    reader.poll(0)  # a token that is due
    committed: dict[TopicPartition, Start | None] = {}
    for at in reader.committed([ClientTopicPartition(*key.tp) for key in keys], timeout=_ANSWER_WITHIN):
        if at.error is not None:
            _log.debug("not told what is committed of %s [%s]: %s", at.topic, at.partition, at.error)
            continue
        epoch = -1 if at.leader_epoch is None else at.leader_epoch
        start = Start(at.offset, epoch, committed=True) if at.offset >= 0 else None
        committed[TopicPartition(at.topic, at.partition)] = start
    return committed


class _Silence:
    """The admin client's log: the consumer's says the same."""

    def log(self, level: int, text: str, *args: object) -> None:
        """Drop a line."""


def _answered(futures: "Mapping[Any, Future[Any]]") -> Iterator[tuple[Any, Any]]:
    """Wait for the answers and leave out those that are errors, or do not come."""
    until = time.monotonic() + _ANSWER_WITHIN + 1.0  # the client's own time-out comes first
    for asked, future in futures.items():
        try:
            yield asked, future.result(max(0.0, until - time.monotonic()))
        except (KafkaException, TimeoutError) as error:
            _log.debug("not told where the log of %s ends: %s", asked, error)


def _isolation_level(config: Mapping[str, Any]) -> IsolationLevel:
    uncommitted = config.get("isolation.level") == "read_uncommitted"
    return IsolationLevel.READ_UNCOMMITTED if uncommitted else IsolationLevel.READ_COMMITTED


def _name(error: Any) -> str | None:
    return None if error is None else error.name()
