"""Asks the cluster what a consumer does not say: whether the topics exist, and how many brokers there are.

Under the consumer protocol an unknown topic gives no error at all, and under the classic one a topic created later is
noticed after minutes (D70). This asks an admin client of its own, on a thread of its own, so that nothing waits for it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from humus.queue.kafka._client_config import connection_config

__all__ = ["Lookout", "Sighting"]

INTERVAL: Final = 10.0
"""Seconds between two looks while something is missing (D70)."""
_ANSWER_WITHIN: Final = 5.0
_UNKNOWN: Final = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC"})
_DENIED: Final = frozenset({"TOPIC_AUTHORIZATION_FAILED"})


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the cluster said: the topics that do not exist, those we may not see, and how many brokers there are."""

    missing: frozenset[str]
    denied: frozenset[str]
    brokers: int


class Lookout:
    """Looks at `start`, whenever `look` is called, and every 10 s until it was answered that nothing is missing.

    `report` is called on the lookout's thread for each answer; no answer, no call: the consumer itself reports a
    broker that is away. The thread is a daemon and ends at `stop`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topics: Sequence[str],
        report: Callable[[Sighting], None],
    ) -> None:
        self._config = config
        self._topics = topics
        self._report = report
        self._look = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="humus lookout", daemon=True)

    def start(self) -> None:
        """Begin to look. Any thread, once."""
        self._thread.start()

    def look(self) -> None:
        """Look now. Any thread."""
        self._look.set()

    def stop(self) -> None:
        """End, soon. Any thread."""
        self._stop.set()
        self._look.set()

    def _run(self) -> None:
        admin = AdminClient(connection_config(self._config), logger=_Silence())
        while not self._stop.is_set():
            self._look.clear()
            sighting = self._ask(admin)
            if sighting is not None:
                self._report(sighting)
            more = sighting is None or bool(sighting.missing)
            self._look.wait(INTERVAL if more else None)

    def _ask(self, admin: AdminClient) -> Sighting | None:
        missing, denied = set(), set()
        brokers = 0
        for topic in self._topics:
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


class _Silence:
    """The admin client's log: the consumer's says the same."""

    def log(self, level: int, text: str, *args: object) -> None:
        """Drop a line."""


def _name(error: Any) -> str | None:
    return None if error is None else error.name()
