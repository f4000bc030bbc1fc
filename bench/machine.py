"""What it ran on, and who else was busy. Nothing here names the machine or its user."""

import os
import platform
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
from tests.kafka.access import VARIABLE
from tests.kafka.distribution import VERSION as KAFKA_VERSION

from humus import __version__

__all__ = ["Noise", "describe"]

_LISTEN_SECONDS = 1.0
_BUSY_PART = 0.125
"""The part of all cores that others may use before a ratio counts for nothing."""
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Noise:
    """How busy the machine was while the bench did nothing: load averages, and cores in use (`None`: nobody says).

    A load average still holds what the bench itself did in the minutes before, so it only counts where the cores in use
    are not known.
    """

    load_1m: float
    load_5m: float
    busy_cores: float | None

    @classmethod
    def listen(cls) -> "Noise":
        """Do nothing for a second, and see who works."""
        before = _busy_ticks()
        time.sleep(_LISTEN_SECONDS)
        after = _busy_ticks()
        load = os.getloadavg()
        busy = None
        if before is not None and after is not None:
            busy = round((after - before) / os.sysconf("SC_CLK_TCK") / _LISTEN_SECONDS, 2)
        return cls(round(load[0], 2), round(load[1], 2), busy)

    @property
    def too_much(self) -> str | None:
        """Say why a ratio measured now counts for nothing; `None` if it counts."""
        cores = os.cpu_count() or 1
        if self.busy_cores is None:
            return f"load {self.load_1m:g} on {cores} cores" if self.load_1m >= cores else None
        return f"{self.busy_cores:g} of {cores} cores busy" if self.busy_cores > cores * _BUSY_PART else None

    def __str__(self) -> str:
        busy = "" if self.busy_cores is None else f", {self.busy_cores:g} cores busy"
        return f"load {self.load_1m:g}{busy}"

    def as_dict(self) -> dict[str, float | None]:
        """Return plain numbers."""
        return asdict(self)


def describe() -> dict[str, Any]:
    """Return machine and versions, to be written beside every result."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "confluent_kafka": confluent_kafka.__version__,
        "librdkafka": confluent_kafka.libversion()[0],
        "kafka": f"the broker that {VARIABLE} names" if os.environ.get(VARIABLE) else f"{KAFKA_VERSION}, same machine",
        "humus": __version__,
        "commit": _commit(),
    }


def _busy_ticks() -> int | None:
    """Return the clock ticks that all cores together have spent on anything but waiting; `None` where nobody says."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.read_text("ascii").split()[1:9])
    return user + nice + system + irq + softirq + steal


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = (
        re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text("utf-8"), re.MULTILINE) if cpuinfo.exists() else None
    )
    return found[1] if found else platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit, with a plus sign if the package differs from it; `None` outside of a repository."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    return commit and commit + ("+" if _git("status", "--porcelain", "--", "src", "bench") else "")


def _git(*arguments: str) -> str | None:
    try:
        # Whichever git the user's PATH has.
        command = ["git", "-C", str(_ROOT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
