"""Exporters whose collector is away: one log line when that begins and one when it ends, not one a batch (D70).

The SDK logs every export that fails, and never that one works again. So `export` of each exporter is wrapped, and what
OpenTelemetry and its HTTP and gRPC clients log on the exporting thread meanwhile is taken for the reason, not shown.
The same for a queue that is full because of it, which the SDK reports for each span that it drops.
"""

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

__all__ = ["Watch", "exporters_of", "watched"]

_log = logging.getLogger("humus.telemetry")

_DEPTH: Final = 6
"""How far an exporter is below its provider; it is four steps in the SDK of today."""
_LONGEST_REASON: Final = 300
_QUEUE_FULL: Final = "Queue full, dropping"
_QUEUES: Final = {"Span": "traces", "Log": "logs"}
_LOUD: Final = ("opentelemetry", "urllib3", "grpc", "requests")

_exporting = threading.local()


class Watch:
    """One exporter: does it work? Its own thread, but for `full`, which is called by whoever records."""

    def __init__(self, signal: str, exporter: Any, failure: Any) -> None:
        self.signal = signal
        self.words = ""
        self._failure = failure
        self._failed = 0
        self._full = False
        self._lock = threading.Lock()
        self._export: Callable[..., Any] = exporter.export
        exporter.export = self.export

    def export(self, *args: Any, **kwargs: Any) -> Any:
        """Export a batch, and note what came of it. Never raises: the SDK would log that with its stack, each time."""
        self.words, _exporting.watch = "", self
        try:
            result = self._export(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - reported as what it is, an export that failed
            self.words, result = f"{type(error).__name__}: {error}", self._failure
        finally:
            _exporting.watch = None
        if getattr(result, "name", "") == "SUCCESS":
            self._works()
        else:
            self._fails()
        return result

    def heard(self, text: str) -> None:
        """Take what was logged during an export: the first line says why, later ones that it is tried again."""
        self.words = self.words or text

    def full(self) -> None:
        """Note that the queue before the exporter is full. Any thread."""
        with self._lock:
            begins, self._full = not self._full, True
        if begins:  # not under the lock: the line may go into the very queue
            _log.error("%s come faster than they go: their queue is full, and what does not fit is lost", self.signal)

    def _fails(self) -> None:
        self._failed += 1
        if self._failed == 1:
            reason = _bounded(self.words) or "the exporter says no more"
            _log.error("%s cannot be exported, the service goes on without them: %s", self.signal, reason)

    def _works(self) -> None:
        with self._lock:
            was_full, self._full = self._full, False
        failed, self._failed = self._failed, 0
        if failed or was_full:
            _log.info("%s are exported again; exports that failed meanwhile: %d", self.signal, failed)


class _Hush(logging.Filter):
    """On the loggers of OpenTelemetry and of its clients."""

    def __init__(self, watches: Iterable[Watch]) -> None:
        super().__init__()
        self._by_signal = {watch.signal: watch for watch in watches}

    def filter(self, record: logging.LogRecord) -> bool:
        watch: Watch | None = getattr(_exporting, "watch", None)
        if watch is not None:
            if record.levelno >= logging.WARNING:
                watch.heard(record.getMessage())
            return False
        if isinstance(record.msg, str) and record.msg.startswith(_QUEUE_FULL) and isinstance(record.args, tuple):
            queue = self._by_signal.get(_QUEUES.get(str(record.args[0]), ""))
            if queue is not None:
                queue.full()
                return False
        return True


def watched(exporters: Iterable[tuple[str, Any, Any]]) -> Callable[[], None]:
    """Watch exporters, each given as signal, exporter, and what its `export` returns for a failure.

    Returns a function that lets OpenTelemetry's loggers speak for themselves again.
    """
    found = list(exporters)
    hush = _Hush([Watch(signal, exporter, failure) for signal, exporter, failure in found])
    roots = {*_LOUD, *(type(exporter).__module__.partition(".")[0] for _, exporter, _ in found)}
    # A filter sees what is logged on its own logger, not what is logged below.
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in roots]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(hush)

    def undo() -> None:
        for logger in loggers:
            logger.removeFilter(hush)

    return undo


def exporters_of(provider: Any, kind: type) -> Iterator[Any]:
    """Yield the exporters of this kind below a provider.

    The SDK keeps them in private fields, called differently for each signal and by version; their class is public.
    """
    seen: set[int] = set()
    rest = deque([(provider, 0)])
    while rest:
        thing, depth = rest.popleft()  # the nearest first, so that each is met at its least depth
        if id(thing) in seen or depth > _DEPTH:
            continue
        seen.add(id(thing))
        if isinstance(thing, kind):
            yield thing
        else:
            rest.extend((part, depth + 1) for part in _parts(thing))


def _parts(thing: Any) -> Iterable[Any]:
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if type(thing).__module__.startswith("opentelemetry."):
        return list(getattr(thing, "__dict__", {}).values())
    return ()


def _bounded(text: str) -> str:
    """Return one line without the query of an address, which may hold a token."""
    text = re.sub(r"\?\S+", "?...", " ".join(text.split()))
    text = re.sub(r"//[^/@\s]+@", "//...@", text)
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
