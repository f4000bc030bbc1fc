"""One member of the group, for the demo: the service of `app.py` as it is, with a witness beside it.

The witness notes which offsets the service handled, in spans, and prints what it knows as a line of JSON, every 50 ms
and once more at the end. What it says is the demo's evidence for "0 lost, 0 twice".
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path

import app

from humus import queue
from humus.queue import kafka

_EVERY_SECONDS = 0.05


class Witness:
    """What the service handled in this process: how many records, and which."""

    def __init__(self) -> None:
        self.processed = 0
        self.rejected = 0
        self._spans: dict[int, list[list[int]]] = {}

    def saw(self, msg: kafka.Message) -> None:
        """Note a handled record: it makes the partition's last span longer, or starts a new one."""
        spans = self._spans.setdefault(msg.partition, [])
        if spans and spans[-1][1] == msg.offset:
            spans[-1][1] += 1
        else:
            spans.append([msg.offset, msg.offset + 1])

    async def report_for_ever(self, runtime: kafka.Runtime) -> None:
        """Print a line now and then."""
        while True:
            self.report(runtime)
            await asyncio.sleep(_EVERY_SECONDS)

    def report(self, runtime: kafka.Runtime) -> None:
        """Print one line for the conductor."""
        status = runtime.status()
        line = {
            "processed": self.processed,
            "rejected": self.rejected,
            "spans": self._spans,
            "partitions": [p.partition for p in status.partitions],
            "rebalances": status.rebalances,
            "runtime_handled": status.totals.handled,
            "runtime_dead_lettered": status.totals.dead_lettered,
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


witness = Witness()


class WitnessedDelays(app.Delays):
    """The service's processor; each record that reached its end is noted."""

    async def process(self, msg: kafka.Message) -> None:
        """Handle one flight."""
        try:
            await super().process(msg)
        except kafka.Reject:
            witness.rejected += 1
            witness.saw(msg)
            raise
        witness.processed += 1
        witness.saw(msg)


async def init(cfg: app.Config) -> AsyncIterator[queue.App]:
    """Start the service's own `init`, and report while it runs and once afterwards."""
    with contextmanager(app.init)(cfg) as service:
        (runtime,) = service.runtimes
        assert isinstance(runtime, kafka.Runtime)
        reporter = asyncio.create_task(witness.report_for_ever(runtime))
        yield service
        reporter.cancel()
        witness.report(runtime)


if __name__ == "__main__":
    app.Delays = WitnessedDelays  # type: ignore[misc]  # the name that app.init looks up when it runs
    queue.run(queue.yaml_source(Path(app.__file__).with_name("config.yaml")), init)
