"""A proxy between clients and a broker: cuts connections, refuses them, stands still, slows down, swallows answers.

It reads Kafka's frames (a size, then for a request its kind, and for both a number that an answer shares with its
request), so it can drop the answers to one kind of request alone: what was asked is in force, and nobody is told.
"""

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.kafka.properties import HOST, Place

__all__ = ["CONSUMER_HEARTBEAT", "FETCH", "HEARTBEAT", "LIST_OFFSETS", "OFFSET_COMMIT", "Proxy"]

FETCH: Final = 1
LIST_OFFSETS: Final = 2
OFFSET_COMMIT: Final = 8
HEARTBEAT: Final = 12
CONSUMER_HEARTBEAT: Final = 68
"""Kinds of requests, by Kafka's numbers (`ApiKeys`): each group protocol has a heartbeat of its own."""

_WITHIN: Final = 10.0
_SLICES_A_SECOND: Final = 20
T = TypeVar("T")


class Proxy:
    """Stands before one broker's proxied listener, on a thread of its own; a context manager.

    Every method takes effect before it returns, and may be called from any thread. `seen` counts requests by kind,
    `swallowed` the answers that were dropped, `connected` the connections that were accepted.
    """

    def __init__(self, place: Place) -> None:
        self.address = place.address(place.proxied)
        self.seen: Counter[int] = Counter()
        self.swallowed = 0
        self.connected = 0
        self._place = place
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._swallow: frozenset[int] = frozenset()
        self._hold: frozenset[int] = frozenset()
        self._let_go = asyncio.Event()
        self._rate = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_WITHIN)
        self._loop.close()

    # -- what it does to the traffic ----------------------------------------------------------------------------

    def pass_on(self) -> None:
        """Do nothing but pass on what comes, from now on; what stood still goes on."""
        self._do(self._set())

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        self._do(self._hang_up())

    def refuse(self) -> None:
        """Reset all connections, and refuse new ones."""
        self._do(self._refuse())

    def stand_still(self) -> None:
        """Accept everything, and pass on nothing, in either direction."""
        self._do(self._set(flowing=False))

    def slow_down(self, bytes_a_second: int) -> None:
        """Pass on so many bytes a second in each direction of each connection."""
        self._do(self._set(rate=bytes_a_second))

    def swallow(self, *kinds: int) -> None:
        """Drop the answers to these kinds of requests: the broker does what it is asked, and nobody hears of it."""
        self._do(self._set(swallow=frozenset(kinds)))

    def hold_back(self, *kinds: int) -> None:
        """Keep the answers to these kinds of requests, and what comes behind them, until the next call."""
        self._do(self._set(hold=frozenset(kinds)))

    # -- on the loop --------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_WITHIN)

    async def _set(
        self,
        *,
        flowing: bool = True,
        rate: int = 0,
        swallow: frozenset[int] = frozenset(),
        hold: frozenset[int] = frozenset(),
    ) -> None:
        self._rate, self._swallow, self._hold = rate, swallow, hold
        self._let_go.set()
        self._let_go = asyncio.Event()
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()
        if self._server is None:
            self._server = await asyncio.start_server(self._called, HOST, self._place.proxied)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._hang_up()

    async def _hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _end(self) -> None:
        await self._refuse()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        mine = {writer}
        self._writers.add(writer)
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self._place.behind)
            mine.add(broker_writer)
            self._writers.add(broker_writer)
            asked: dict[int, int] = {}
            ends = {
                asyncio.ensure_future(self._requests(reader, broker_writer, asked)),
                asyncio.ensure_future(self._answers(broker_reader, writer, asked)),
            }
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        except (ConnectionError, asyncio.CancelledError):
            pass  # either side has gone, or the proxy ends
        finally:
            for each in mine:
                each.transport.abort()
            self._writers -= mine
            self._calls.discard(call)

    async def _requests(
        self, reader: asyncio.StreamReader, broker: asyncio.StreamWriter, asked: dict[int, int]
    ) -> None:
        while frame := await _frame(reader):
            kind, _version, number = struct.unpack_from(">hhi", frame, 4)
            asked[number] = kind
            self.seen[kind] += 1
            await self._pass(frame, broker)

    async def _answers(self, broker: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, int]) -> None:
        while frame := await _frame(broker):
            (number,) = struct.unpack_from(">i", frame, 4)
            kind = asked.pop(number, None)
            while kind in self._hold:
                await self._let_go.wait()
            if kind in self._swallow:
                self.swallowed += 1
            else:
                await self._pass(frame, writer)

    async def _pass(self, frame: bytes, to: asyncio.StreamWriter) -> None:
        at = 0
        while at < len(frame):
            await self._flowing.wait()
            most = max(1, self._rate // _SLICES_A_SECOND) if self._rate else len(frame)
            part = frame[at : at + most]
            to.write(part)
            await to.drain()
            at += len(part)
            if self._rate:
                await asyncio.sleep(len(part) / self._rate)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Read a frame, its size included; nothing at the end of the connection."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        size = await reader.readexactly(4)
        return size + await reader.readexactly(*struct.unpack(">i", size))
    return b""
