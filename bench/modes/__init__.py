"""All modes by name, in the order in which they run."""

from bench.mode import Mode
from bench.modes import large, latency, memory, partitions, rebalance, scaling, startup, telemetry, throughput

__all__ = ["MODES"]

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        throughput.MODE,
        telemetry.MODE,
        *latency.MODES,
        startup.MODE,
        scaling.MODE,
        large.MODE,
        memory.MODE,
        rebalance.MODE,
        *partitions.MODES,
    )
}
