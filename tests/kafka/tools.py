"""Kafka's own command-line tools: the other end without a line of librdkafka in it. A call starts a JVM (1 to 2 s)."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kafka.broker import jvm
from tests.kafka.distribution import distribution

__all__ = ["GroupOffset", "ToolFailed", "Tools"]

_HEAP_MB = 128
_WITHIN = 60.0
_GROUP_OFFSET = re.compile(
    r"^\S+\s+(?P<topic>\S+)\s+(?P<partition>\d+)\s+(?P<committed>\d+|-)\s+(?P<end>\d+)\s+(?P<lag>\d+|-)\s"
)
_RATE = re.compile(r"([\d.]+) records/sec")


class ToolFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A tool ended with an error; the message holds what it printed."""


@dataclass(frozen=True, slots=True)
class GroupOffset:
    """A line of `kafka-consumer-groups --describe`: committed offset, end and lag; `None` for a dash."""

    committed: int | None
    end: int
    lag: int | None


class Tools:
    """The tools, pointed at one cluster."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def topics(self, *arguments: str) -> str:
        """Run `kafka-topics` (`--create --topic t --partitions 3`, `--describe`, ...) and return its output."""
        return self._run("org.apache.kafka.tools.TopicCommand", *self._at_server, *arguments)

    def group_offsets(self, group: str, topic: str) -> dict[int, GroupOffset]:
        """Run `kafka-consumer-groups --describe` and return what it says of the topic's partitions."""
        said = self.groups("--describe", "--group", group, "--offsets")
        lines = [
            found for line in said.splitlines() if (found := _GROUP_OFFSET.match(line)) and found["topic"] == topic
        ]
        return {
            int(line["partition"]): GroupOffset(_number(line["committed"]), int(line["end"]), _number(line["lag"]))
            for line in lines
        }

    def groups(self, *arguments: str) -> str:
        """Run `kafka-consumer-groups` and return its output."""
        return self._run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *self._at_server, *arguments)

    def alter_group(self, group: str, **config: object) -> None:
        """Run `kafka-configs --alter` on a group of the consumer protocol; dots in names are underscores here."""
        added = ",".join(f"{name.replace('_', '.')}={value}" for name, value in config.items())
        what = ("--alter", "--entity-type", "groups", "--entity-name", group, "--add-config", added)
        self._run("kafka.admin.ConfigCommand", *self._at_server, *what)

    def verifiable_producer(self, topic: str, count: int, *, rate: int = -1, acks: int = -1) -> list[int]:
        """Run `VerifiableProducer`: the values "0" to "count - 1"; return those that the broker confirmed.

        `rate` is in records a second, -1 for as many as go.
        """
        amount = ("--max-messages", str(count), "--throughput", str(rate), "--acks", str(acks))
        said = self._run("org.apache.kafka.tools.VerifiableProducer", *self._at_server, "--topic", topic, *amount)
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return [int(event["value"]) for event in events if event["name"] == "producer_send_success"]

    def features(self, *arguments: str) -> str:
        """Run `kafka-features` (`downgrade --feature group.version=0`, ...) and return its output."""
        return self._run("org.apache.kafka.tools.FeatureCommand", *self._at_server, *arguments)

    def producer_performance(self, topic: str, count: int, size: int) -> float:
        """Run `ProducerPerformance`: `count` records of `size` bytes as fast as they go; return records a second."""
        said = self._run(
            "org.apache.kafka.tools.ProducerPerformance",
            *("--topic", topic, "--num-records", str(count), "--record-size", str(size), "--throughput", "-1"),
            *("--bootstrap-server", self._bootstrap),
        )
        rates = _RATE.findall(said)
        assert rates, said
        return float(rates[-1])

    def dump_log(self, *segments: Path) -> str:
        """Run `DumpLogSegments` on log files and return what is in them: batches, control records, leader epochs."""
        files = ",".join(str(segment) for segment in segments)
        return self._run("org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--files", files)

    def dump_groups(self, *segments: Path) -> str:
        """Run `DumpLogSegments` on log files of `__consumer_offsets` and return what the coordinator wrote."""
        files = ",".join(str(segment) for segment in segments)
        return self._run("org.apache.kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", files)

    @property
    def _at_server(self) -> tuple[str, str]:
        return "--bootstrap-server", self._bootstrap

    def _run(self, main: str, *arguments: str) -> str:
        options = ("-XX:TieredStopAtLevel=1", "-Dhumus.log.level=WARN")
        command = jvm(distribution(), main, *arguments, heap_mb=_HEAP_MB, options=options)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_WITHIN
        )
        if done.returncode:
            raise ToolFailed(f"{main} {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout


def _number(shown: str) -> int | None:
    return None if shown == "-" else int(shown)
