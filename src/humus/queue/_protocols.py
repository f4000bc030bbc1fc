"""What the queue framework is made of: three small protocols, the runtime over them, and the end of a queue."""

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Acknowledger", "Consumer", "EndOfQueue", "Processor", "ProcessorLike", "Runtime"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class EndOfQueue(Exception):  # noqa: N818 - a signal, not an error
    """Raised by `Consumer.consume` when a finite queue is exhausted. A signal, not an error."""


class Processor(Protocol[T_contra]):
    """The user's work on one message.

    Wherever a processor is expected, a function of one argument does as well. Both may be `def` or `async def`:
    `async def` runs on the application's event loop and must not block it, `def` runs on a thread of its own and may.
    What it returns is ignored (hence `object`), but for an awaitable out of a `def`, a failure that says so.
    """

    def process(self, msg: T_contra, /) -> object:
        """Do the work; returning means done, raising means not done."""
        ...


ProcessorLike = Processor[T] | Callable[[T], object]
"""What may be given as a processor: an object with `process`, or a function of one argument."""


class Consumer(Protocol[T_co]):
    """Where messages come from. Called by a runtime on the application's loop, one call at a time."""

    async def consume(self) -> T_co:
        """Wait for the next message and return it.

        The runtime cancels this call when it is to stop: a message must be either returned or left in the queue.

        Raises:
            EndOfQueue: the queue is finite and has no message left.
        """
        ...


class Acknowledger(Protocol[T_contra]):
    """Tells the queue that a message need not come again. Called on the application's loop, once a message."""

    async def acknowledge(self, item: T_contra, /) -> None:
        """Return once the queue has taken note; raise when it did not, which ends the runtime."""
        ...


class Runtime(Protocol):
    """Takes messages from a queue and has them processed; run by `App`.

    A runtime may also have a method `stop() -> None` that any thread may call at any time, even before
    `process_queue`: it asks for a graceful stop, after which `process_queue` returns. `App` prefers it to
    cancelling, because it reaches a runtime that has threads of its own while the event loop is blocked.
    """

    async def process_queue(self) -> None:
        """Process messages; return when the queue ended or after a graceful stop, raise on a fatal error.

        Cancelling it drains: the record in flight is finished first, then `CancelledError` goes on up.
        """
        ...
