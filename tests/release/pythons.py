"""The Pythons of this machine, to try the packages on: the oldest that is promised, and the newest that is there."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["OLDEST", "Python", "find", "newest"]

OLDEST: Final = (3, 11)
_NEWEST: Final = (3, 16)
"""As far as is looked for."""
_ASK: Final = "import ensurepip, sys, venv; print(*sys.version_info[:3])"


class Python(NamedTuple):
    """An interpreter that works and has venv."""

    version: tuple[int, int, int]
    path: str

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def find(minor: tuple[int, int]) -> Python | None:
    """Return the latest Python of that minor version, on the path or among pyenv's; `None` where there is none."""
    found = [python for path in _candidates(minor) if (python := _ask(path)) and python.version[:2] == minor]
    return max(found, default=None)


def newest() -> Python | None:
    """Return the newest Python that is there; it may be the oldest that is promised."""
    for minor in range(_NEWEST[1], OLDEST[1] - 1, -1):
        found = find((3, minor))
        if found is not None:
            return found
    return None


def _candidates(minor: tuple[int, int]) -> Iterator[str]:
    name = "python{}.{}".format(*minor)
    yield name
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in pyenv.glob(f"versions/{minor[0]}.{minor[1]}.*/bin/{name}"))


def _ask(path: str) -> Python | None:
    try:
        done = subprocess.run([path, "-c", _ASK], check=False, capture_output=True, text=True, timeout=30)  # noqa: S603
    except OSError:
        return None
    if done.returncode:  # also a shim of pyenv for a version that is not switched on
        return None
    major, minor, micro = map(int, done.stdout.split())
    return Python((major, minor, micro), path)
