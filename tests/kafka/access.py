"""What a test gets in its hands: a Kafka to talk to, and where it is the run's own, to break."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pytest

from tests.kafka.admin import Admin
from tests.kafka.cluster import Cluster
from tests.kafka.records import Record, Records
from tests.kafka.tools import Tools

__all__ = ["VARIABLE", "Kafka", "MakeTopic", "Produce"]

VARIABLE = "HUMUS_TEST_KAFKA"


@dataclass(frozen=True)
class Kafka:
    """A Kafka for tests: the run's own cluster, or a broker of the user's, known by its address alone."""

    bootstrap: str
    _cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """The run's own cluster: to break its brokers, and for its SASL and TLS listeners; skips the test elsewhere."""
        if self._cluster is None:
            pytest.skip(f"needs a broker of the run's own, and {VARIABLE} names yours")
        return self._cluster

    @property
    def ca_file(self) -> Path:
        """The certificate that a client of the TLS listener has to trust."""
        return self.cluster.distribution.ca_file

    @cached_property
    def admin(self) -> Admin:
        """Topics, offsets, groups; quick."""
        return Admin(self.bootstrap)

    @cached_property
    def records(self) -> Records:
        """Puts records into topics."""
        return Records(self.bootstrap)

    @cached_property
    def tools(self) -> Tools:
        """Kafka's own command-line tools: slow (1 to 2 s a call), but nobody's work but Kafka's."""
        return Tools(self.bootstrap)

    def disconnect(self) -> None:
        """Let go of the clients, so that they do not complain of brokers that are taken away."""
        admin = self.__dict__.pop("admin", None)
        if admin is not None:
            admin.close()
        self.records.close()


class MakeTopic(Protocol):
    """The fixture `topic`: makes a topic with a fresh name and returns the name."""

    def __call__(self, partitions: int = 1, *, config: dict[str, str] | None = None) -> str:
        """Make a topic of so many partitions; `config` as `kafka-topics --config`."""
        ...


class Produce(Protocol):
    """The fixture `produce`: produces records and waits for the broker's confirmation."""

    def __call__(self, topic: str, *records: Record | bytes, partition: int | None = None) -> None:
        """Produce in order; plain bytes are a value; `partition` holds for records that do not name their own."""
        ...
