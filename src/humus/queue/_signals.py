"""SIGTERM and SIGINT: the first one asks for a graceful stop, the second one ends the process at once (D60).

Not `loop.add_signal_handler`: that is served by the event loop, which a processor may be blocking, and the stop must
reach a runtime with threads of its own all the same. And no work in the handler itself: it interrupts the main thread
anywhere, perhaps inside a lock that the work would need. So the handler puts the number into a `SimpleQueue` (whose
`put` is made for that), and a daemon thread acts on it. One case is out of reach: while the main thread is inside a
call written in C that neither returns nor lets Python handle signals.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from humus.errors import HumusError

__all__ = ["end_process", "stop_signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_WORDS = 2.0
"""Seconds for the last log line; a full pipe or a lock held by a blocked thread must not keep the process."""

_log = logging.getLogger("humus.app")


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on a thread at the first signal, and end the process with `128 + number` at the second one.

    Raises:
        HumusError: not on the main thread, where alone Python lets signals be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        raise HumusError("queue.run must be called on the main thread: Python handles signals nowhere else")
    received: SimpleQueue[int | None] = SimpleQueue()
    threading.Thread(target=_watch, args=(received, stop), name="humus-signals", daemon=True).start()
    before = {number: signal.signal(number, lambda number, _frame: received.put(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        received.put(None)


def _watch(received: "SimpleQueue[int | None]", stop: Callable[[], None]) -> None:
    first = received.get()
    if first is None:
        return
    # Stopping calls into runtimes, which may take their time: the second signal does not wait for it.
    threading.Thread(target=_stop, args=(first, stop), name="humus-stop", daemon=True).start()
    second = received.get()
    if second is not None:
        name = signal.Signals(second).name
        end_process(128 + second, f"{name}: the second signal; ending at once, records in flight are not finished")


def _stop(number: int, stop: Callable[[], None]) -> None:
    _log.info("%s: stopping gracefully; a second signal ends the process at once", signal.Signals(number).name)
    stop()


def end_process(code: int, why: str) -> None:
    """Log why, flush logging and the standard streams, and end the process without any further clean-up.

    Thread-safe; takes at most 2 s.
    """
    words = threading.Thread(target=_say_last_words, args=(why,), daemon=True)
    words.start()
    words.join(_LAST_WORDS)
    os._exit(code)


def _say_last_words(why: str) -> None:
    _log.critical("%s", why)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
