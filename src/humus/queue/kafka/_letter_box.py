"""Writes dead letters and says when the broker has them: an idempotent producer of the runtime's own (D32).

A letter is answered once: `None` when all in-sync replicas have it, else a `Refusal`. The producer itself tries again
for as long as it takes (a letter never times out, which would leave open whether it is written), so a refusal means
that it is not written. Each letter is a batch of its own: the broker refuses too large a batch as a whole.

A producer can give up for good, such as one without the right to write anything. It says why to who polls, once, as an
exception; the letters only learn that it did. So they wait for that reason, and then a new producer takes over.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from humus.queue.kafka._client_config import connection_config
from humus.queue.kafka._client_errors import refused_config
from humus.queue.kafka._dead_letter import Answered, DeadLetter, Refusal

__all__ = ["LetterBox"]

_log = logging.getLogger("humus.kafka.dead_letters")

_POLL_SECONDS: Final = 0.5
_PURGE_SECONDS: Final = 1.0
_CLIENT_LIMIT: Final = 1_000_000_000
"""The client's largest `message.max.bytes`: what a topic takes is for the broker to say."""
_UNKNOWN_AFTER_MS: Final = 5000
"""A topic that does not exist is said so after this time, and asked for again."""


class LetterBox:
    """The runtime's producer of dead letters, and the thread that its answers come on.

    Args:
        config: the consumer's configuration: how to reach the brokers is taken from it.

    Raises:
        ConfigError: the client refuses the configuration.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = {
            **connection_config(config),
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "batch.num.messages": 1,
            "linger.ms": 0,
            "message.max.bytes": _CLIENT_LIMIT,
            "topic.metadata.propagation.max.ms": _UNKNOWN_AFTER_MS,
            "partitioner": "murmur2_random",  # a key's partition as Kafka's own clients choose it
            "log.connection.close": False,
            "error_cb": self._on_error,
            "logger": _Silence(),
        }
        self._producer = self._make()
        self._lock = threading.Lock()
        self._waiting = 0  # letters without an answer
        self._news = threading.Event()
        self._broken = False
        self._cause: KafkaError | None = None  # why it is
        self._unexplained: list[tuple[Answered, KafkaError]] = []  # letters that a broken producer refused
        self._told: str | None = None
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="humus dead letters", daemon=True)

    def start(self) -> None:
        """Begin to answer. Any thread, once."""
        self._thread.start()

    def post(self, letter: DeadLetter, answered: Answered) -> None:
        """Write a letter; `answered` is called once. Any thread; returns at once."""
        with self._lock:
            self._waiting += 1

        def on_delivery(error: KafkaError | None, _record: object) -> None:
            self._answer(answered, error)

        try:
            self._producer.produce(
                letter.topic,
                letter.value,
                letter.key,
                on_delivery=on_delivery,
                headers=list(letter.headers),
            )
        except BufferError:
            self._answer(answered, KafkaError(KafkaError._QUEUE_FULL))  # noqa: SLF001 - the client's public constant
        except KafkaException as error:
            self._answer(answered, error.args[0])
        self._news.set()

    def close(self) -> None:
        """End: letters without an answer are not waited for. Any one thread; may take as long as the client does."""
        self._stop = True
        self._news.set()
        self._thread.join()

    def _answer(self, answered: Answered, error: KafkaError | None) -> None:
        if error is None:
            self._told = None
        else:
            self._look(error)
            with self._lock:
                if self._broken:
                    self._unexplained.append((answered, error))
                    return
        with self._lock:
            self._waiting -= 1
        answered(None if error is None else Refusal(error.name(), error.str()))

    def _run(self) -> None:
        while not self._stop:
            if not self._waiting and not self._broken:
                self._news.wait()
                self._news.clear()
                continue
            self._try(self._producer.poll, _POLL_SECONDS)
            if self._broken:
                self._replace()
        self._discard()

    def _replace(self) -> None:
        """Take a new producer: one that gave up for good writes nothing more. Its letters are answered first."""
        if self._cause is None:
            self._try(self._producer.poll, _POLL_SECONDS)
        self._discard()
        self._producer = self._make()
        with self._lock:
            cause, self._cause, self._broken = self._cause, None, False
            refused, self._unexplained = self._unexplained, []
            self._waiting -= len(refused)
        if cause is not None and cause.name() != self._told:  # once a change of state, not once a try
            self._told = cause.name()
            _log.error("the producer of dead letters gave up, a new one takes over: %s", cause.str())
        for answered, error in refused:
            why = cause or error
            answered(Refusal(why.name(), why.str()))

    def _discard(self) -> None:
        self._producer.purge()
        self._try(self._producer.flush, _PURGE_SECONDS)

    def _try(self, wait: Callable[[float], object], seconds: float) -> None:
        """Serve answers; a producer that gave up says so by raising."""
        try:
            wait(seconds)
        except KafkaException as error:
            self._look(error.args[0])

    def _make(self) -> Producer:
        try:
            return Producer(dict(self._config))
        except KafkaException as error:
            raise refused_config(error.args[0].str(), self._config) from None

    def _on_error(self, error: KafkaError) -> None:
        # That brokers are away is told by the consumer, and by the letters that wait.
        self._look(error)

    def _look(self, error: KafkaError) -> None:
        if error.fatal() and self._cause is None:
            self._cause = error
        if error.fatal() or error.name() == "_FATAL":
            self._broken = True
            self._news.set()


class _Silence:
    """The producer's own log: the consumer's says the same."""

    def log(self, _level: int, text: str, *args: object) -> None:
        """Drop a line, but for who looks for the client's own words."""
        logging.getLogger("humus.kafka.client").debug(text, *args)
