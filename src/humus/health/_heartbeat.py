"""Knows for how long the application's loop has not turned, by pinging it every second. On the server's own loop."""

import asyncio
import time
from typing import Final

from humus.health._facts import Watch

__all__ = ["Heartbeat"]

EVERY: Final = 1.0


class Heartbeat:
    """Pings the loop that is being watched, one ping at a time."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._asked_at: float | None = None  # and not answered; set before, cleared by the application's loop

    async def beat(self) -> None:
        """Ping for ever."""
        while True:
            self.ping()
            await asyncio.sleep(EVERY)

    def ping(self) -> None:
        """Ask the loop to answer, unless it still owes an answer."""
        loop = self._watch.loop
        if loop is None or self._asked_at is not None:
            return
        self._asked_at = time.monotonic()
        try:
            loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # it is closed: the application has ended
            self._asked_at = None

    def silent_for(self, now: float) -> float:
        """Return for how many seconds the loop has not answered; `init` may block it, and does not count."""
        asked_at, loop = self._asked_at, self._watch.loop
        if asked_at is None or loop is None or loop.is_closed():
            return 0.0
        return max(0.0, now - max(asked_at, self._watch.running_since))

    def _answer(self) -> None:
        self._asked_at = None
