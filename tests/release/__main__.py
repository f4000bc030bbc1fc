"""`make dist`: builds the packages twice, tries the wheel in clean environments, and puts both into `dist/`."""
# ruff: noqa: T201 - it talks to who runs it

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from humus import __version__
from tests.release.build import ROOT, BuildFailed, git, twice
from tests.release.pythons import OLDEST, Python, find, newest

DIST: Final = ROOT / "dist"
EXTRAS: Final = "cli,otel-config,prometheus"
_EXAMPLES = """examples:
  make dist                       dist/: wheel, sdist and SHA256SUMS, of the last commit
  make dist ARGS=--no-smoke       without trying them
  make dist ARGS=--dirty          of the files as they are, for a look
"""


class SmokeFailed(Exception):  # noqa: N818 - says what happened
    """The wheel does not do, where it was installed, what it should."""


def main(given: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    arguments = _arguments(given)
    try:
        if not arguments.dirty:
            _check_committed()
        with tempfile.TemporaryDirectory(prefix="humus-dist-") as folder:
            packages = twice(Path(folder) / "build")
            print("built twice, and the wheel from the sdist too: the same, byte for byte", flush=True)
            _write(packages)
            if not arguments.no_smoke:
                _smoke(next(DIST.glob("*.whl")), Path(folder))
    except (BuildFailed, SmokeFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print((DIST / "SHA256SUMS").read_text(), end="")
    return 0


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make dist",
        description="Builds wheel and sdist of the last commit, reproducibly, and tries the wheel in clean "
        "environments of the oldest Python that is promised and of the newest that is here.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dirty", action="store_true", help="build although there are changes that are not committed")
    parser.add_argument("--no-smoke", action="store_true", help="only build")
    return parser.parse_args(given)


def _check_committed() -> None:
    if git("status", "--porcelain").strip():
        raise BuildFailed("there are changes that are not committed: a release is built of a commit; or say --dirty")


def _write(packages: dict[str, bytes]) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    for name, content in packages.items():
        (DIST / name).write_bytes(content)
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in packages.items()]
    (DIST / "SHA256SUMS").write_text("".join(sums))


def _smoke(wheel: Path, folder: Path) -> None:
    oldest, latest = find(OLDEST), newest()
    if oldest is None:
        print("Python {}.{}: not found, so the wheel is not tried on it".format(*OLDEST), flush=True)
    if latest is None:
        raise SmokeFailed("there is no Python to try the wheel on")
    if latest == oldest:
        print(f"a Python above {oldest}: not found, so the wheel is not tried on one", flush=True)
    for python in dict.fromkeys(one for one in (oldest, latest) if one is not None):
        began = time.monotonic()
        _try(wheel, python, folder / str(python))
        print(f"Python {python}: installed, quick start, extras, command, plugin: {time.monotonic() - began:.0f} s")


def _try(wheel: Path, python: Python, folder: Path) -> None:
    """Install the wheel where nothing else is, and try it: first as it is, then with all extras."""
    folder.mkdir()
    constraints = folder / "constraints.txt"
    constraints.write_text(_versions((ROOT / "requirements/dev.txt").read_text()))
    script = shutil.copy(Path(__file__).with_name("smoke.py"), folder)
    environment = folder / "venv"
    _run(python.path, "-m", "venv", str(environment))
    inside = str(environment / "bin/python")
    install = (inside, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "-c", str(constraints))
    for what, wanted in (("bare", [str(wheel)]), ("full", [f"{wheel}[{EXTRAS}]", "pytest", "pytest-asyncio"])):
        _run(*install, *wanted)
        _run(inside, "-m", "pip", "check")
        work = folder / what
        work.mkdir()
        _run(inside, "-W", "error", str(script), what, str(ROOT / "README.md"), __version__, str(work))


def _versions(lock: str) -> str:
    """Return the versions of a lock, without its hashes: a wheel that was built just now has none there."""
    return "\n".join(line.removesuffix("\\").rstrip() for line in re.findall(r"^[a-z0-9].*==.*$", lock, re.MULTILINE))


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise SmokeFailed(f"{' '.join(words)}\n{done.stdout}{done.stderr}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
