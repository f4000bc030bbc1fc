"""`humus new`: a service to start from, out of the files in `templates/`."""

import os
import re
import shutil
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final

import typer

from humus._version import __version__
from humus.cli._commands import examples, usage_error
from humus.cli._output import note, out
from humus.errors import HumusError

__all__ = ["EXAMPLES", "new"]

EXAMPLES: Final = examples(
    ("humus new order-service", "a service in ./order-service"),
    ("humus new order-service --topic orders", "that reads the topic orders"),
)
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_LONGEST: Final = 63
"""Of a name in Kubernetes."""
_LONGEST_TOPIC: Final = 249 - len(".dlt")
_SUFFIX: Final = ".in"
_HIDDEN: Final = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the service, its folder and its group: like order-service.")
    ],
    topic: Annotated[str, typer.Option("--topic", "-t", metavar="TOPIC", help="What it reads.")] = "events",
) -> None:
    """Make a service to start from, in a new folder of its name.

    With a configuration, tests that need no Kafka, and a Dockerfile. What is there already is left alone.
    """
    _check(name, topic)
    folder = Path(name)
    if folder.exists() or folder.is_symlink():
        usage_error(f"{name} is there already: choose another name, or move it away")
    try:
        written = _write(folder, {"@NAME@": name, "@TOPIC@": topic, "@VERSION@": __version__, "@NEXT@": _next_minor()})
    except OSError as error:
        raise HumusError(f"{folder.absolute()} cannot be made: {error.strerror}") from None
    for path in written:
        out(f"{folder / path}")
    note(
        "\nnext:\n"
        f"  cd {name}\n"
        "  python3 -m venv .venv && . .venv/bin/activate && pip install -r requirements-dev.txt\n"
        "  pytest\n"
        "  python app.py"
    )


def _check(name: str, topic: str) -> None:
    from humus.queue.kafka._subscription import topic_fault  # noqa: PLC0415 - not for `--help`

    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        better = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:_LONGEST].strip("-")
        hint = f"; how about {better}?" if _NAME.fullmatch(better) else ""
        usage_error(
            f"NAME must be small letters, digits and single dashes, begin with a letter, and have at most {_LONGEST} "
            f"characters{hint}"
        )
    if (fault := topic_fault(topic)) is not None:
        usage_error(f"--topic: {fault}")
    if len(topic) > _LONGEST_TOPIC:
        usage_error(f"--topic: at most {_LONGEST_TOPIC} characters, as its dead letters go to TOPIC.dlt")


def _next_minor() -> str:
    major, minor, *_ = __version__.split(".")
    return f"{major}.{int(minor) + 1}"


def _write(folder: Path, values: dict[str, str]) -> list[Path]:
    """Write all files, or nothing: beside the folder first, which then gets its name."""
    beside = folder.with_name(f".{folder.name}-{os.getpid()}")
    beside.mkdir()
    try:
        written = sorted(_copy(files("humus.cli") / "templates", beside, values))
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return [path.relative_to(beside) for path in written]


def _copy(source: Traversable, target: Path, values: dict[str, str]) -> list[Path]:
    written = []
    for one in source.iterdir():
        if one.is_dir():
            below = target / one.name
            below.mkdir()
            written += _copy(one, below, values)
        elif one.name.endswith(_SUFFIX):
            name = one.name.removesuffix(_SUFFIX)
            text = one.read_text("utf-8")
            for placeholder, value in values.items():
                text = text.replace(placeholder, value)
            path = target / _HIDDEN.get(name, name)
            path.write_text(text, "utf-8")
            written.append(path)
    return written
