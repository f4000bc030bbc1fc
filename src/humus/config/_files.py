"""A value out of a file, as `${file:PATH}` asks for it: how containers and systemd hand over secrets."""

import os
import stat
from pathlib import Path

__all__ = ["BadFile", "read_value"]

_MOST_BYTES = 1024 * 1024
"""Far above any secret or certificate; a path that was mistaken may lead to anything."""


class BadFile(Exception):  # noqa: N818 - reads as what happened
    """The file gives no value; the message says why, and nothing of what is in it."""


def read_value(path: str) -> str:
    """Return a file's text without the line ends that stand last.

    Raises:
        BadFile: it is not there, no plain file, not readable, too large, not UTF-8, or empty.
    """
    try:
        raw = _read(path)
    except FileNotFoundError:
        where = "" if Path(path).is_absolute() else f" (looked in {Path.cwd()})"
        raise BadFile(f"there is no file {path!r}{where}") from None
    except PermissionError:
        raise BadFile(f"the file {path!r} may not be read by this user") from None
    except (OSError, ValueError) as error:
        raise BadFile(f"the file {path!r} cannot be read: {getattr(error, 'strerror', None) or 'no path'}") from None
    if len(raw) > _MOST_BYTES:
        raise BadFile(f"the file {path!r} is larger than {_MOST_BYTES:,} bytes: is it the right one?")
    try:
        text = raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # the client's strings end there
        raise BadFile(f"the file {path!r} holds no text in UTF-8")
    if not text:
        raise BadFile(f"the file {path!r} is empty")
    return text


def _read(path: str) -> bytes:
    # Not waiting for somebody to open the other end, if it is a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadFile(f"{path!r} is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MOST_BYTES + 1)
