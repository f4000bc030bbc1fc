"""The broker that everything here is measured on, and the lines that say how far it is."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kafka.access import VARIABLE
from tests.kafka.cluster import Cluster

__all__ = ["broker", "say"]


def say(text: str) -> None:
    """Print to stderr, at once."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def broker() -> Iterator[str]:
    """Give the address of the Kafka that HUMUS_TEST_KAFKA names, or of one that is started for the block.

    Raises:
        KafkaUnavailable: none can be started on this machine.
        BrokerDied: the one that was started did not come up.
    """
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    say("starting Apache Kafka ...")
    with Cluster(1) as cluster:
        yield cluster.bootstrap
