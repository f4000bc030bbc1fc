"""The short form: the chain once, with a graceful phase, a kill, a freeze and a broker that restarts."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conductor import Conductor
from tests.chaos.plan import Fault, short
from tests.chaos.report import report
from tests.kafka.access import VARIABLE, Kafka
from tests.kafka.cluster import Cluster

RECORDS = 30_000
RATE = 800


def say(text: str) -> None:
    """Keep it for pytest to show, should the test fail."""
    sys.stdout.write(f"{text}\n")


@pytest.fixture
def three_brokers() -> Iterator[Kafka]:
    """Three brokers for this test alone: with its hundreds of partitions they would cost the others a core."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"needs a cluster of the run's own, and {VARIABLE} names yours")
    with Cluster(3) as cluster:
        started = Kafka(cluster.bootstrap, cluster)
        yield started
        started.disconnect()


@pytest.mark.timeout(600)  # slow is no failure: other work may want the machine as well
def test_nothing_is_lost_and_nothing_twice_in_a_chain(three_brokers: Kafka, tmp_path: Path) -> None:
    """Through three groups all records arrive, in order, and none twice beyond the bounds (D10, D11, D40, D43, D71)."""
    conductor = Conductor(three_brokers, tmp_path, records=RECORDS, rate=RATE, say=say, progress=lambda _: None)
    verdict = conductor.run(short())
    say(report(verdict))
    assert not verdict.failures, f"{report(verdict)}\nthe logs are in {tmp_path}"
    assert verdict.groups[0].handled == RECORDS
    done = {effect.happened.fault for effect in verdict.effects}
    assert done == {Fault.JOIN, Fault.LEAVE, Fault.KILL, Fault.FREEZE, Fault.RESTART_BROKER}
