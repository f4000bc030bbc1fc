"""Builds the wheel and the sdist of the tracked files, so that the same commit makes the same bytes anywhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "BuildFailed", "build", "commit_time", "git", "twice"]

ROOT: Final = Path(__file__).parents[2]


class BuildFailed(Exception):  # noqa: N818 - says what happened
    """The package cannot be built, or not twice alike."""


def git(*arguments: str, root: Path = ROOT) -> str:
    """Return what git says.

    Raises:
        BuildFailed: git is not there, or says no.
    """
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), *arguments],  # noqa: S607 - the git on the path
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise BuildFailed("git is not there, and a release is built of a commit") from None
    except subprocess.CalledProcessError as error:
        raise BuildFailed(f"git {arguments[0]}: {error.stderr.strip()}") from None
    return done.stdout


def commit_time() -> str:
    """Return the seconds of the last commit: `SOURCE_DATE_EPOCH`, the time that all files in the packages have."""
    return git("log", "-1", "--format=%ct").strip()


def build(folder: Path, *, source: Path | None = None, umask: int = 0o022, zone: str = "UTC") -> dict[str, bytes]:
    """Build both packages in a folder that is not there yet; return them by name.

    Args:
        folder: the sources are copied below it, the packages made in its folder `dist`.
        source: an unpacked sdist, of which a wheel alone is built; `None`: this repository's tracked files.
        umask: of the building process, and of the copied files.
        zone: its time zone.

    Raises:
        BuildFailed: the build fails.
    """
    copy, out = folder / "source", folder / "dist"
    _copy(source, copy, umask)
    what = [] if source is None else ["-t", "wheel"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), *what],
        check=False,
        cwd=copy,
        env={**os.environ, "SOURCE_DATE_EPOCH": commit_time(), "TZ": zone, "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        umask=umask,
    )
    if done.returncode:
        raise BuildFailed(f"hatchling: {done.stderr.strip() or done.stdout.strip()}")
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def twice(folder: Path) -> dict[str, bytes]:
    """Build under two users' habits, and the wheel from the sdist as well; return the packages, which are all the same.

    Raises:
        BuildFailed: the build fails, or any of them differ.
    """
    first = build(folder / "first")
    second = build(folder / "second-elsewhere", umask=0o077, zone="Asia/Kolkata")
    [sdist] = [name for name in first if name.endswith(".tar.gz")]
    unpacked = folder / "unpacked"
    shutil.unpack_archive(folder / "first/dist" / sdist, unpacked, filter="data")
    third = build(folder / "third", source=unpacked / sdist.removesuffix(".tar.gz"))
    differ = [name for name in first if second.get(name) != first[name]]
    differ += [f"{name} out of the sdist" for name, content in third.items() if first.get(name) != content]
    if differ:
        raise BuildFailed(f"built twice, and not the same: {', '.join(differ)}")
    return first


def _copy(source: Path | None, to: Path, umask: int) -> None:
    if source is None:
        source = ROOT
        names = [name for name in git("ls-files", "-z").split("\0") if name and (ROOT / name).is_file()]
    else:
        names = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()]
    for name in names:
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
        target.chmod(0o666 & ~umask)
