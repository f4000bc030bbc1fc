"""Makes what a peer runs in, once a user and lock: a virtual environment, or a Go program. All in the user's cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["NotAvailable", "go_program", "last_line", "locked_version", "python", "run", "version"]

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_REQUIREMENTS = _HERE / "requirements"
_GO = _HERE / "go"
_LIBRARIES = {"arroyo": "sentry-arroyo", "faust": "faust-streaming", "plot": "matplotlib"}
"""Of the environments that are not named after their library."""
_GO_LIBRARY = "github.com/twmb/franz-go"
_WITHIN = 600.0


class NotAvailable(Exception):  # noqa: N818 - reads as what happened
    """It can't be had on this machine; says what is missing, in one line."""


def python(name: str) -> Path:
    """Return the Python of an environment, made from `requirements/NAME.txt` where it is not there yet.

    Raises:
        NotAvailable: it can't be installed.
    """
    lock = _REQUIREMENTS / f"{name}.txt"
    key = _key(lock.read_bytes(), sys.version.encode(), sys.base_prefix.encode())

    def make(folder: Path) -> None:
        _say(f"installing {version(name)} (once) ...")
        run([sys.executable, "-m", "venv", str(folder)], "making a virtual environment")
        own = str(folder / "bin" / "python")
        quietly = ["--quiet", "--disable-pip-version-check", "--no-input"]
        run([own, "-m", "pip", "install", *quietly, "--require-hashes", "-r", str(lock)], f"installing {version(name)}")

    return _made(f"{name}-{key}", make) / "bin" / "python"


def go_program() -> Path:
    """Return the Go program, built where it is not there yet.

    Raises:
        NotAvailable: there is no Go, or it can't be built.
    """
    go = shutil.which("go")
    if go is None:
        raise NotAvailable("no go on PATH: install Go")
    sources = [*sorted(_GO.glob("*.go")), _GO / "go.mod", _GO / "go.sum"]
    key = _key(*(source.read_bytes() for source in sources))

    def make(folder: Path) -> None:
        _say(f"building the Go program with {version('go')} (once) ...")
        run([go, "build", "-C", str(_GO), "-mod=readonly", "-o", str(folder / "franz"), "."], "go build")

    return _made(f"go-{key}", make) / "franz"


def version(name: str) -> str:
    """Return the library of an environment and its locked version."""
    if name == "go":
        return f"franz-go {locked_version((_GO / 'go.mod').read_text('utf-8'), _GO_LIBRARY)}"
    library = _LIBRARIES.get(name, name)
    return f"{library} {locked_version((_REQUIREMENTS / f'{name}.txt').read_text('utf-8'), library)}"


def locked_version(lock: str, library: str) -> str:
    """Return the version that a lock (pip's with hashes, or a go.mod) has of a library, `?` if it has none."""
    found = re.search(rf"^(?:require )?\s*{re.escape(library)}(?:\[[^]]*\])?(?:==| v)([^\s;]+)", lock, re.MULTILINE)
    return found[1] if found else "?"


# -- the cache -----------------------------------------------------------------------------------------------------


def _key(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, made whole or not at all; several benches may ask at once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "humus-tests" / "bench"
    folder = cache / name
    complete = folder / ".complete"
    if not complete.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / "lock"):
            if not complete.exists():
                # In its place at once: a virtual environment names its own folder.
                shutil.rmtree(folder, ignore_errors=True)
                try:
                    folder.mkdir()
                    make(folder)
                    complete.touch()
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
    return folder


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], doing: str) -> None:
    """Run a command to its end.

    Raises:
        NotAvailable: it failed, or takes too long.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        try:
            done = subprocess.run(  # noqa: S603 - this Python, its pip, and the user's Go
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=_WITHIN, cwd=_ROOT
            )
        except subprocess.TimeoutExpired:
            raise NotAvailable(f"{doing} took longer than {_WITHIN:g} s") from None
        if done.returncode:
            output.seek(0)
            raise NotAvailable(f"{doing} failed: {last_line(output.read())}")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
