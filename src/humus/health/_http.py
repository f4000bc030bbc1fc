"""HTTP/1.1 for a handful of small answers: h11 speaks the protocol, asyncio moves the bytes, here are the bounds.

Whoever connects can be slow, silent, wrong or many. A request has to be complete within 5 s of its first byte, an
answer taken within 5 s; a connection may be idle for 75 s between two requests. There are 64 connections at most: one
more ends the one that has waited longest for its client, so that slow clients never keep a probe out.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11

__all__ = ["HttpServer", "Request", "Response"]

HEAD_WITHIN: Final = 5.0
IDLE_WITHIN: Final = 75.0
"""Longer than Prometheus pauses between two scrapes by default, 60 s."""
TAKEN_WITHIN: Final = 5.0
GOODBYE_WITHIN: Final = 2.0
MOST_CONNECTIONS: Final = 64
_MOST_HEAD: Final = 16 * 1024
_MOST_BODY: Final = 64 * 1024
_CHUNK: Final = 4096

_log = logging.getLogger("humus.health")


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer depends on."""

    method: str
    path: str
    accept: str


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; its body is left out by HEAD."""

    status: int
    content_type: str
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)


Answer = Callable[[Request], Awaitable[Response]]


class _TooLargeError(Exception):
    """The client sends a body, and does not come to an end."""


class HttpServer:
    """Serves connections; `answer` is called on the same loop and must not block it."""

    def __init__(
        self,
        answer: Answer,
        *,
        head_within: float = HEAD_WITHIN,
        idle_within: float = IDLE_WITHIN,
        taken_within: float = TAKEN_WITHIN,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self._answer = answer
        self._head_within = head_within
        self._idle_within = idle_within
        self._taken_within = taken_within
        self._most = most_connections
        self._connections: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], None] = {}  # for their clients, the longest first

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end: the callback of `asyncio.start_server`. Raises nothing."""
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        writer.transport.set_write_buffer_limits(high=0)  # drained means taken
        self._make_room()
        self._connections.add(task)
        try:
            await self._converse(task, reader, writer)
        except (OSError, EOFError, TimeoutError, h11.RemoteProtocolError) as error:
            _log.debug("a connection ended: %s", type(error).__name__)
        except asyncio.CancelledError:  # made room, or the server is closed; nobody waits for this task
            _log.debug("a connection was ended")
        except Exception:  # noqa: BLE001 - a fault of ours must not end the server
            _log.exception("a request failed")
        finally:
            self._connections.discard(task)
            self._waiting.pop(task, None)
            writer.transport.abort()  # what was to be taken has been taken

    def close(self) -> None:
        """End all connections."""
        for task in self._connections:
            task.cancel()

    def _make_room(self) -> None:
        if len(self._connections) >= self._most and self._waiting:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.cancel()

    async def _converse(
        self, task: "asyncio.Task[None]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        idle = self._head_within
        while True:
            self._waiting[task] = None
            try:
                request = await self._next_request(connection, reader, idle)
            except (h11.RemoteProtocolError, _TooLargeError, TimeoutError) as error:
                if await self._refuse(connection, writer, error):
                    await self._say_goodbye(task, reader, writer)
                return
            finally:
                self._waiting.pop(task, None)
            if request is None:
                return
            began = time.monotonic()
            response = await self._answer(request)
            await self._send(connection, writer, response, body=request.method != "HEAD")
            _log.debug("%s %s: %d, %.1f ms", request.method, request.path, response.status, _ms_since(began))
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                await self._say_goodbye(task, reader, writer)
                return
            connection.start_next_cycle()
            idle = self._idle_within

    async def _next_request(
        self, connection: h11.Connection, reader: asyncio.StreamReader, idle: float
    ) -> Request | None:
        """Read a request to its end; `None` where the client has left.

        Raises:
            TimeoutError: it does not come, or not to its end.
            h11.RemoteProtocolError: it is no HTTP.
            _TooLargeError: its body is.
        """
        request: Request | None = None
        body = 0
        async with asyncio.timeout(idle) as limit:
            begun = False
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    if request is not None and connection.they_are_waiting_for_100_continue:
                        return request  # its body is of no use to us: it need not be sent
                    data = await reader.read(_CHUNK)
                    if data and not begun:
                        begun = True
                        limit.reschedule(asyncio.get_running_loop().time() + self._head_within)
                    connection.receive_data(data)
                elif isinstance(event, h11.Request):
                    request = _request(event)
                elif isinstance(event, h11.Data):
                    body += len(event.data)
                    if body > _MOST_BODY:
                        raise _TooLargeError
                elif isinstance(event, h11.EndOfMessage):
                    return request
                else:  # it has left
                    return None

    async def _refuse(self, connection: h11.Connection, writer: asyncio.StreamWriter, error: Exception) -> bool:
        """Tell a client what was wrong with its request; tell whether it could be told."""
        if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return False
        match error:
            case h11.RemoteProtocolError():
                status = HTTPStatus(error.error_status_hint)
            case _TooLargeError():
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            case _ if connection.their_state is h11.IDLE and not connection.trailing_data[0]:
                return False  # it said nothing at all
            case _:
                status = HTTPStatus.REQUEST_TIMEOUT
        _log.debug("a request was refused: %d %s", status, status.phrase)
        await self._send(connection, writer, Response(status, "text/plain", f"{status.phrase}\n".encode()), last=True)
        return True

    async def _send(
        self,
        connection: h11.Connection,
        writer: asyncio.StreamWriter,
        response: Response,
        *,
        body: bool = True,
        last: bool = False,
    ) -> None:
        headers = [
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *response.headers,
        ]
        if last:
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=response.status, headers=headers, reason=HTTPStatus(response.status).phrase)
        events = [head, h11.Data(data=response.body if body else b""), h11.EndOfMessage()]
        async with asyncio.timeout(self._taken_within):
            writer.write(b"".join(connection.send(event) or b"" for event in events))
            await writer.drain()

    async def _say_goodbye(
        self, task: "asyncio.Task[None]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Let the client close first: to close on input that was not read would take the answer back."""
        writer.write_eof()
        self._waiting[task] = None
        async with asyncio.timeout(GOODBYE_WITHIN):
            while await reader.read(_MOST_BODY):
                pass


def _request(event: h11.Request) -> Request:
    accept = ",".join(value.decode("latin-1") for name, value in event.headers if name == b"accept")
    path = event.target.decode("latin-1").partition("?")[0]
    return Request(event.method.decode("latin-1"), path, accept)


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
