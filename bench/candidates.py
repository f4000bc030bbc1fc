"""All candidates by name."""

from bench import latency, members, memory, partitions, telemetry, throughput
from bench.instruments import Candidate

__all__ = ["CANDIDATES", "PRODUCER_NAME"]

PRODUCER_NAME = "latency-producer"

CANDIDATES: dict[str, Candidate] = {
    **throughput.CANDIDATES,
    **latency.CANDIDATES,
    **memory.CANDIDATES,
    **partitions.CANDIDATES,
    **members.CANDIDATES,
    **telemetry.CANDIDATES,
    PRODUCER_NAME: latency.PRODUCER,
}
