"""Two runtimes for queues other than Kafka, over the protocols: what comes first decides what a crash costs.

=================  ===============================  =========================================
                   `AtLeastOnceRuntime`             `AtMostOnceRuntime`
=================  ===============================  =========================================
order              consume, process, acknowledge    consume, acknowledge, process
a crash            handles the item again           loses the item
processor raises   not acknowledged, runtime ends   logged, goes on: the item is consumed
D34's exceptions   not acknowledged, runtime ends   acknowledged, runtime ends
=================  ===============================  =========================================

D34's exceptions are `SystemExit`, `KeyboardInterrupt`, `GeneratorExit`, others that are no `Exception`, and
`MemoryError`. One item is in flight at a time. Errors of the consumer and the acknowledger end either runtime.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from humus.errors import ConfigError, HumusError
from humus.queue._daemon_thread import DaemonThread
from humus.queue._describe import error_message, error_stack, error_type
from humus.queue._processors import Handler, describe_awaitable, inspect_processor
from humus.queue._protocols import Acknowledger, Consumer, EndOfQueue, ProcessorLike

__all__ = ["AtLeastOnceRuntime", "AtMostOnceRuntime"]

T = TypeVar("T")

_log = logging.getLogger("humus.queue")


class _DeliveryRuntime(Generic[T]):
    """What both have in common: their parts, and the loop around `_deliver`."""

    def __init__(self, consumer: Consumer[T], processor: ProcessorLike[T], acknowledger: Acknowledger[T]) -> None:
        handler = inspect_processor(processor)
        faults = [*_method_faults(consumer, "consumer", "consume()")]
        faults += handler if isinstance(handler, list) else []
        faults += _method_faults(acknowledger, "acknowledger", "acknowledge(item)")
        if isinstance(handler, list) or faults:
            raise ConfigError(f"{type(self).__name__}: {fault}" for fault in faults)
        self._consumer = consumer
        self._handler = handler
        self._acknowledger = acknowledger

    async def process_queue(self) -> None:
        """Process items until the queue ends. Runs on the application's loop; a `def` processor on a daemon thread.

        Cancelling lets the item in flight finish, then `CancelledError` goes on up; cancelling a second time cancels
        an `async def` processor and leaves a `def` one behind.

        Raises:
            Exception: what the consumer or the acknowledger raised, or (at least once) the processor.
            HumusError: the processor raised one of D34's exceptions (it is the `__cause__`), or it is a `def`
                and returned an awaitable.
        """
        thread = DaemonThread(f"humus-{self._handler.name}")
        try:
            await _Pump(self._consumer, lambda item: self._deliver(item, thread)).run()
        finally:
            thread.close()

    async def _deliver(self, item: T, thread: DaemonThread) -> None:
        raise NotImplementedError


class AtLeastOnceRuntime(_DeliveryRuntime[T]):
    """Consumes, processes, acknowledges: an item is acknowledged only when its processor has returned.

    A processor that raises ends the runtime with its own exception, and its item is not acknowledged: whether the
    queue gives it out again, and when, is the queue's affair.

    Args:
        consumer: where items come from.
        processor: an object with `process(item)` or a function of one argument, `def` or `async def`.
        acknowledger: told of each item that was processed.

    Raises:
        ConfigError: one of them has the wrong shape; all faults at once.
    """

    async def _deliver(self, item: T, thread: DaemonThread) -> None:
        error = await _attempt(self._handler, item, thread)
        if error is not None:
            raise _raisable(error, self._handler, "its item was not acknowledged")
        await self._acknowledger.acknowledge(item)


class AtMostOnceRuntime(_DeliveryRuntime[T]):
    """Consumes, acknowledges, processes: no item is processed twice, and one that fails is gone.

    A processor that raises is logged (logger `humus.queue`) and the next item is taken.

    Args:
        consumer: where items come from.
        processor: an object with `process(item)` or a function of one argument, `def` or `async def`.
        acknowledger: told of each item before it is processed.

    Raises:
        ConfigError: one of them has the wrong shape; all faults at once.
    """

    async def _deliver(self, item: T, thread: DaemonThread) -> None:
        await self._acknowledger.acknowledge(item)
        error = await _attempt(self._handler, item, thread)
        if error is None:
            return
        if not _is_ordinary(error):
            raise _raisable(error, self._handler, "its item was acknowledged before and is gone")
        _log.error(
            "%s failed; its item was acknowledged before and is gone: %s: %s\n%s",
            self._handler.name,
            error_type(error),
            error_message(error),
            error_stack(error),
            extra={"error.type": error_type(error)},
        )


class _Pump(Generic[T]):
    """Consumes and delivers in a task of its own, so that cancelling the caller can let an item in flight finish."""

    def __init__(self, consumer: Consumer[T], deliver: Callable[[T], Awaitable[None]]) -> None:
        self._consumer = consumer
        self._deliver = deliver
        self._stopping = asyncio.Event()
        self._consuming = False

    async def run(self) -> None:
        task = asyncio.create_task(self._loop())
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                # The first time the item in flight may finish; waiting for the next one ends at once.
                if self._consuming or self._stopping.is_set():
                    task.cancel()
                self._stopping.set()
        if not task.cancelled():
            task.result()
        if self._stopping.is_set():
            raise asyncio.CancelledError

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(0)  # a queue and a processor that never wait must not keep a stop from being noticed
            if self._stopping.is_set():
                return
            self._consuming = True
            try:
                item = await self._consumer.consume()
            except EndOfQueue:
                return
            except asyncio.CancelledError as error:
                if self._stopping.is_set():
                    return
                raise HumusError("consume() raised CancelledError although nobody cancelled it") from error
            finally:
                self._consuming = False
            # From here on the item has been taken from the queue, so it is delivered even when a stop came meanwhile.
            await self._deliver(item)


async def _attempt(handler: Handler, item: object, thread: DaemonThread) -> BaseException | None:
    """Call the processor; return what it raised."""
    if not handler.is_async:
        returned, error = await thread.run(handler.call, item)
        fault = describe_awaitable(handler, returned)
        return error if fault is None else HumusError(fault)
    task = asyncio.current_task()
    assert task is not None
    cancellations = task.cancelling()
    try:
        await handler.call(item)
    except asyncio.CancelledError as error:
        if task.cancelling() > cancellations:
            raise  # the second cancellation, which cuts the item in flight short
        return error
    except BaseException as error:  # noqa: BLE001 - returned to the caller, which decides by kind (D34)
        return error
    return None


def _is_ordinary(error: BaseException) -> bool:
    """Tell whether this is a failure of one item, and not the end of the runtime (D34)."""
    return isinstance(error, Exception | asyncio.CancelledError) and not isinstance(error, MemoryError)


def _raisable(error: BaseException, handler: Handler, consequence: str) -> Exception:
    """Return what to raise: an `Exception` as it is, with a note; others would take the event loop down with them."""
    if isinstance(error, Exception):
        error.add_note(f"{handler.name} failed; {consequence}")
        return error
    wrapped = HumusError(f"{handler.name} raised {type(error).__name__}; {consequence}")
    wrapped.__cause__ = error
    return wrapped


def _method_faults(thing: object, role: str, method: str) -> list[str]:
    if isinstance(thing, type):
        return [f"the {role} {thing.__name__} is a class: give an object of it, {thing.__name__}(...)"]
    if not callable(getattr(thing, method.partition("(")[0], None)):
        return [f"the {role}, {type(thing).__name__}, needs a method async def {method}"]
    return []
