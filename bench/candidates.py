"""All candidates by name."""

from bench import latency, memory, telemetry, throughput
from bench.instruments import Candidate

__all__ = ["CANDIDATES", "PRODUCER_NAME"]

PRODUCER_NAME = "latency-producer"

CANDIDATES: dict[str, Candidate] = {
    **throughput.CANDIDATES,
    **latency.CANDIDATES,
    **memory.CANDIDATES,
    **telemetry.CANDIDATES,
    PRODUCER_NAME: latency.PRODUCER,
}
