"""The Kafka runtime as the application sees it: options in, one coroutine to run, a stop, a status."""

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from humus.errors import HumusError
from humus.queue._protocols import ProcessorLike
from humus.queue.kafka._client import Client
from humus.queue.kafka._client_config import client_config
from humus.queue.kafka._loop import PollLoop
from humus.queue.kafka._message import Message
from humus.queue.kafka._options import (
    AutoOffsetReset,
    ClientValue,
    GroupProtocol,
    IsolationLevel,
    TraceParent,
    validate,
)
from humus.queue.kafka._retry import Duration
from humus.queue.kafka._security import SASL, TLS
from humus.queue.kafka._status import RuntimeStatus
from humus.queue.kafka._subscription import Subscription

if TYPE_CHECKING:
    from humus.queue.kafka._settings import Settings

__all__ = ["Runtime"]

_TASKS_WITHIN: Final = 0.4
"""Seconds that cancelled handlers have to end after the poll thread has."""


class Runtime:
    """Consumes topics in a group, a worker for every assigned partition. Usable once.

    Args:
        brokers: `host:port`, several as a list or separated by commas.
        group_id: the consumer group.
        subscriptions: `at_least_once(...)` and `at_most_once(...)`, one a topic.
        session_timeout: classic protocol: how long the broker waits for a sign of life (45 s). With
            `group_protocol="consumer"` it is the broker's, and setting it is an error.
        rebalance_timeout: how long giving partitions back may take.
        fetch_max_bytes: bytes of one fetch response at most.
        max_concurrent_fetches: fetch requests at a time; `None` for no limit.
        buffer_max_bytes: bytes of records fetched and not yet handled, all partitions together.
        drain_timeout: how long the record in flight may take when its partition leaves; half of `rebalance_timeout`.
        handler_timeout: how long one attempt at a record may take: an `async def` processor is cancelled then, a `def`
            one is reported; either way the attempt has failed. `None`: as long as it likes.
        stall_timeout: how long a partition may have records and not move, for no reason that is known, until that is
            reported: logged, counted, and shown in `status()`.
        commit_interval: time between two commits.
        group_protocol: `"classic"`, or `"consumer"` (KIP-848, needs Kafka 4.0).
        group_instance_id: makes the member static (KIP-345).
        client_id: the client's name in the broker's logs and quotas.
        client_rack: fetch from the replica in this rack (KIP-392).
        auto_offset_reset: where to begin without a committed offset, or where it is no longer in the log (logged and
            counted); `"error"` halts the partition. With `"latest"` the beginning is committed at once.
        isolation_level: whether records of open and aborted transactions are seen.
        tls: encryption and certificates.
        sasl: credentials.
        trace_parent: how a record's span refers to its producer's: a link to it, or its child.
        process_duration: whether `messaging.process.duration` is recorded, which costs some microseconds a record; all
            other metrics cost next to nothing. It counts where the application has a meter provider.
        client_metrics: whether the client's own statistics (connections, requests, latencies, queues) become metrics.
        librdkafka: further keys of the client; those that the runtime owns are refused.

    Raises:
        ConfigError: the options cannot work; all faults at once.
    """

    def __init__(
        self,
        brokers: str | Sequence[str],
        group_id: str,
        *subscriptions: Subscription,
        session_timeout: Duration | None = None,
        rebalance_timeout: Duration = 30,
        fetch_max_bytes: int = 50 * 1024 * 1024,
        max_concurrent_fetches: int | None = None,
        buffer_max_bytes: int = 64 * 1024 * 1024,
        drain_timeout: Duration | None = None,
        handler_timeout: Duration | None = None,
        stall_timeout: Duration = 60,
        commit_interval: Duration = 1,
        group_protocol: GroupProtocol = "classic",
        group_instance_id: str | None = None,
        client_id: str = "humus",
        client_rack: str | None = None,
        auto_offset_reset: AutoOffsetReset = "earliest",
        isolation_level: IsolationLevel = "read_committed",
        tls: TLS | None = None,
        sasl: SASL | None = None,
        trace_parent: TraceParent = "link",
        process_duration: bool = True,
        client_metrics: bool = False,
        librdkafka: Mapping[str, ClientValue] | None = None,
    ) -> None:
        self._options = validate(
            brokers,
            group_id,
            subscriptions,
            session_timeout=session_timeout,
            rebalance_timeout=rebalance_timeout,
            fetch_max_bytes=fetch_max_bytes,
            max_concurrent_fetches=max_concurrent_fetches,
            buffer_max_bytes=buffer_max_bytes,
            drain_timeout=drain_timeout,
            handler_timeout=handler_timeout,
            stall_timeout=stall_timeout,
            commit_interval=commit_interval,
            group_protocol=group_protocol,
            group_instance_id=group_instance_id,
            client_id=client_id,
            client_rack=client_rack,
            auto_offset_reset=auto_offset_reset,
            isolation_level=isolation_level,
            tls=tls,
            sasl=sasl,
            trace_parent=trace_parent,
            process_duration=process_duration,
            client_metrics=client_metrics,
            librdkafka=librdkafka,
        )
        self._config: dict[str, Any] = {**client_config(self._options)}
        if librdkafka or tls is not None or sasl is not None:
            Client.check(self._config)  # only the client itself knows all its keys, and what is in the files
        self._poll_loop: PollLoop | None = None
        self._used = False
        self._stop_asked = False

    @classmethod
    def from_settings(cls, settings: "Settings", processors: Mapping[str, ProcessorLike[Message]]) -> Self:
        """Make a runtime from the `kafka:` section of a configuration; `processors` by topic.

        Raises:
            ConfigError: a topic without a processor, a processor without a topic, or what the constructor raises.
        """
        from humus.queue.kafka._settings import runtime_arguments  # noqa: PLC0415 - pydantic only for who uses it

        arguments = runtime_arguments(settings, processors)
        return cls(arguments.brokers, arguments.group_id, *arguments.subscriptions, **arguments.options)

    async def process_queue(self) -> None:
        """Consume until `stop()` is called, then return; on the application's loop, where `async def` processors run.

        Cancelling it drains as `stop()` does, and then lets the `CancelledError` go on; cancelled again, it cuts the
        drain short.

        Raises:
            ProcessingFailed: a processor raised what ends the runtime, or failed under `shut_down()`.
            BrokerError: the broker refused for good: credentials, rights, versions.
            ConfigError: the client refuses its configuration.
            HumusError: it was called a second time.
        """
        if self._used:
            raise HumusError("a Runtime can be used once: make a new one to consume again")
        self._used = True
        if self._asked_to_stop():
            return
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        poll_loop = PollLoop(self._options, self._config, loop, lambda error: _tell(loop, ended, error))
        self._poll_loop = poll_loop
        if self._asked_to_stop():  # between the two looks
            poll_loop.stop(self._options.drain_timeout)
        threading.Thread(target=poll_loop.run, name=f"humus poll {self._options.group_id}", daemon=True).start()
        cancelled = await _outlast(ended, poll_loop, self._options.drain_timeout)
        tasks = [worker.task for worker in poll_loop.async_workers if worker.task is not None]
        if tasks:
            try:
                await asyncio.wait(tasks, timeout=_TASKS_WITHIN)
            except asyncio.CancelledError as again:
                cancelled = again
        error = ended.result()
        if error is not None:
            raise error
        if cancelled is not None:
            raise cancelled

    def stop(self) -> None:
        """Drain, commit, leave the group; then `process_queue` returns. Returns at once. Any thread, any time."""
        self._stop_asked = True
        if self._poll_loop is not None:
            self._poll_loop.stop(self._options.drain_timeout)

    def _asked_to_stop(self) -> bool:
        return self._stop_asked

    def status(self) -> RuntimeStatus:
        """Return what the runtime is doing, as of a tenth of a second ago (later with many partitions). Any thread."""
        if self._poll_loop is None:
            return RuntimeStatus("new", self._options.group_id)
        return self._poll_loop.status

    def __repr__(self) -> str:
        topics = ", ".join(subscription.topic for subscription in self._options.subscriptions)
        return f"Runtime(group_id={self._options.group_id!r}, topics={topics}, {self.status().state})"


async def _outlast(
    ended: "asyncio.Future[BaseException | None]", poll_loop: PollLoop, drain_timeout: float
) -> asyncio.CancelledError | None:
    """Wait for the poll thread through every cancellation; return the last one."""
    cancelled = None
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError as error:
            poll_loop.stop(drain_timeout if cancelled is None else 0.0)
            cancelled = error
        except GeneratorExit:  # nobody waits any more: closed, or collected as garbage
            poll_loop.stop(0.0)
            raise
    return cancelled


def _tell(
    loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[BaseException | None]", error: BaseException | None
) -> None:
    # Nobody waits on a loop that is closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, ended, error)


def _settle(ended: "asyncio.Future[BaseException | None]", error: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(error)
