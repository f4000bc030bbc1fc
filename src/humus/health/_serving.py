"""Runs the health server: binds its port, gives it a thread, and takes both away again."""

import asyncio
import contextlib
import contextvars
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from humus.errors import ConfigError
from humus.health._facts import Watch
from humus.health._heartbeat import Heartbeat
from humus.health._own_checks import OwnChecks

if TYPE_CHECKING:
    from humus.health._http import HttpServer

__all__ = ["health_server"]

_BACKLOG: Final = 64
_CLOSE_WITHIN: Final = 1.0

_log = logging.getLogger("humus.health")


class Settings(Protocol):
    """What is needed of the `health:` section."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def metrics(self) -> bool: ...


@contextmanager
def health_server(
    settings: Settings | None, watch: Watch, *, optional: bool = False, meters: Any = None
) -> Iterator[tuple[str, int] | None]:
    """Serve during the block, and give the address; without settings nothing is served.

    Args:
        settings: where, and whether with metrics.
        watch: the application.
        meters: the SDK's meter provider that telemetry set up, to be read for `/metrics` as well; `None` for none.
        optional: nobody asked for it by name: where the port is taken it is logged, and nothing is served.

    Raises:
        ConfigError: the address cannot be had, or the metrics need what is not installed.
    """
    if settings is None:
        yield None
        return
    from humus.health._http import HttpServer  # noqa: PLC0415 - h11 only for who serves
    from humus.health._metrics import Metrics  # noqa: PLC0415
    from humus.health._pages import Pages  # noqa: PLC0415

    with contextlib.ExitStack() as opened:
        listener = _bind(settings, optional=optional)
        if listener is None:
            yield None
            return
        opened.callback(listener.close)
        metrics = Metrics(meters) if settings.metrics else None
        if metrics is not None:
            opened.callback(metrics.close)
        heartbeat = Heartbeat(watch)
        context = contextvars.copy_context()
        pages = Pages(watch, heartbeat, lambda: _own_checks(watch, context), metrics.page if metrics else None)
        server = _ServerThread(listener, HttpServer(pages.answer), heartbeat)
        opened.callback(server.close)
        server.start()
        host, port = listener.getsockname()[:2]
        level = logging.DEBUG if optional else logging.INFO  # who did not ask knows where it is by default
        _log.log(level, "health server: http://%s:%d", f"[{host}]" if ":" in host else host, port)
        yield host, port


def _own_checks(watch: Watch, context: contextvars.Context) -> OwnChecks:
    assert watch.application is not None
    assert watch.loop is not None
    return OwnChecks(watch.application.health, watch.loop, context)


def _bind(settings: Settings, *, optional: bool) -> socket.socket | None:
    """Return a listening socket, or `None` where an optional one cannot be had."""
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address to its own words; those of a name that cannot be resolved have no number.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        if optional:
            _log.info("no health server, as %s:%d cannot be had (%s): give a health section", host, port, reason)
            return None
        raise ConfigError(
            f"health: cannot listen on {host}:{port}: {reason}; choose another health.port (0: any free one) or "
            "health.host, or turn it off with health: null"
        ) from None


class _ServerThread:
    """The thread, its loop, and what runs on it. Nothing that happens there reaches the service."""

    def __init__(self, listener: socket.socket, server: "HttpServer", heartbeat: Heartbeat) -> None:
        self._listener = listener
        self._server = server
        self._heartbeat = heartbeat
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="humus health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End it; does not wait for long."""
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_CLOSE_WITHIN)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException:  # noqa: BLE001 - the service goes on without it
            _log.exception("the health server has ended")

    async def _serve(self) -> None:
        beating = asyncio.create_task(self._heartbeat.beat())
        server = await asyncio.start_server(self._server.connected, sock=self._listener)
        try:
            await self._closing.wait()
        finally:
            beating.cancel()
            server.close()
            self._server.close()
