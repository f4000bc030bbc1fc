"""A service in a process of its own that tells what memory it needs: `python -m tests.integration.memory_probe ...`.

It lets the buffer fill while no handler gets on, then handles everything slowly, and prints one line of JSON.
"""

import asyncio
import json
import os
import socket
import stat
import struct
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from humus.queue.kafka import Message, Runtime, at_least_once

__all__ = ["Findings"]

_RECORD_SECONDS = 0.02
_STEADY_SECONDS = 2.0
_TCP_BYTES_RECEIVED = 128  # where `struct tcp_info` has tcpi_bytes_received


@dataclass(frozen=True)
class Findings:
    """All in bytes, but for `records` (handled) and `full_records` (fetched and not handled, when nothing moved)."""

    before: int
    peak: int
    received: int
    records: int
    full_records: int


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _received() -> int:
    """Return what came in over all TCP connections that are open."""
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile, or no TCP connection
            number = int(entry.name)
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as connection:
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
                    total += struct.unpack_from("=Q", info, _TCP_BYTES_RECEIVED)[0]
    return total


class _Watch(threading.Thread):
    """Notes the peak of the memory in use."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.005):
            self.peak = max(self.peak, _resident())


async def _probe(brokers: str, group: str, topic: str, total: int, options: dict[str, int]) -> Findings:
    go_on, all_handled, handled = asyncio.Event(), asyncio.Event(), 0

    async def handle(_message: Message) -> None:
        nonlocal handled
        await go_on.wait()
        await asyncio.sleep(_RECORD_SECONDS)
        handled += 1
        if handled == total:
            all_handled.set()

    runtime = Runtime(brokers, group, at_least_once(topic, handle), **options)  # type: ignore[arg-type]
    before, watch = _resident(), _Watch()
    watch.start()
    service = asyncio.create_task(runtime.process_queue())
    full = await _steady(runtime)
    go_on.set()
    end = asyncio.create_task(all_handled.wait())
    await asyncio.wait([service, end], return_when=asyncio.FIRST_COMPLETED)
    received = _received()
    runtime.stop()
    await service
    watch.ended.set()
    watch.join()
    return Findings(before, watch.peak, received, handled, full)


async def _steady(runtime: Runtime) -> int:
    """Wait until nothing more is fetched for a while; return how many records are held then."""
    held, since = 0, 0.0
    clock = asyncio.get_running_loop().time
    while not held or clock() - since < _STEADY_SECONDS:
        now = sum(partition.in_flight for partition in runtime.status().partitions)
        if now != held:
            held, since = now, clock()
        await asyncio.sleep(0.05)
    return held


if __name__ == "__main__":
    brokers, group, topic, total, options = sys.argv[1:]
    findings = asyncio.run(_probe(brokers, group, topic, int(total), json.loads(options)))
    sys.stdout.write(json.dumps(asdict(findings)) + "\n")
