"""Where the records come from: Kafka's own VerifiableProducer, idempotent, acks=all, at a steady rate."""

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.kafka import processes
from tests.kafka.broker import jvm
from tests.kafka.distribution import distribution

__all__ = ["KEYS", "Source"]

KEYS: Final = 3_000
"""A record's key is its number modulo this."""

_HEAP_MB: Final = 128
_MAIN: Final = "org.apache.kafka.tools.VerifiableProducer"
# As shipped the tool does not repeat a request that failed: its records would be its own loss, when a broker dies.
_CONFIG: Final = "enable.idempotence=true\nretries=2147483647\ndelivery.timeout.ms=300000\nlinger.ms=50\n"
_FAILED: Final = '"producer_send_error"'


class Source:
    """Produces the values "0" to "records - 1", with keys in turn; a context manager, killed at its end."""

    def __init__(self, bootstrap: str, topic: str, records: int, rate: int, folder: Path) -> None:
        self.records = records
        config = folder / "source.properties"
        config.write_text(_CONFIG, "utf-8")
        amount = ("--max-messages", str(records), "--throughput", str(rate), "--repeating-keys", str(KEYS))
        place = ("--bootstrap-server", bootstrap, "--topic", topic, "--acks", "-1", "--command-config", str(config))
        command = jvm(distribution(), _MAIN, *place, *amount, heap_mb=_HEAP_MB, options=("-XX:TieredStopAtLevel=1",))
        self._log = folder / "source.log"
        with self._log.open("wb") as output:
            self._process: subprocess.Popen[bytes] = processes.start(command, output=output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        processes.end(self._process)

    @property
    def done(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def confirmed(self) -> dict[int, tuple[int, int]]:
        """Return the partition and offset of every record that the brokers have confirmed, by its number.

        Raises:
            AssertionError: a record failed.
        """
        found = {}
        with self._log.open(encoding="utf-8") as lines:
            for line in lines:
                assert _FAILED not in line, f"the source lost a record: {line}"
                if '"producer_send_success"' in line:
                    event = json.loads(line)
                    found[int(event["value"])] = (event["partition"], event["offset"])
        return found
