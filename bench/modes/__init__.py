"""All modes by name, in the order in which they run."""

from bench.mode import Mode
from bench.modes import latency, memory, telemetry, throughput

__all__ = ["MODES"]

MODES: dict[str, Mode] = {mode.name: mode for mode in (throughput.MODE, *latency.MODES, memory.MODE, telemetry.MODE)}
