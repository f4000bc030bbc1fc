"""The command line, `humus`: `_app.py` puts it together, a module for each command or group of commands.

It needs the extra `cli`, which nothing else of humus imports. Results go to stdout, and as JSON with `--json`; all that
is for a person alone (progress, warnings, errors) goes to stderr. What the exit codes mean is in `_exit.py`.
"""

import sys

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich", "shellingham"})


def main() -> None:
    """Run the command that the process was started with.

    Raises:
        SystemExit: always, with the exit code.
    """
    try:
        from humus.cli._app import make_app  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"error: the command line needs {error.name}: pip install 'humus-queue[cli]'")
    make_app()()
