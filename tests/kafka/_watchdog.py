"""Ends processes and removes folders when the test run is gone, even if the run itself was killed with SIGKILL.

Run as a script, with the test run at the other end of its standard input: one `add`/`drop`, `process`/`folder`, value
a line; the end of input means that the run is gone. Process means a process group.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress


def _main() -> None:
    kept: dict[tuple[str, str], None] = {}
    for line in sys.stdin:
        verb, kind, value = line.rstrip("\n").split(" ", 2)
        if verb == "add":
            kept[kind, value] = None
        else:
            kept.pop((kind, value), None)
    for kind, value in kept:
        if kind == "process":
            with suppress(ProcessLookupError):
                os.killpg(int(value), signal.SIGKILL)
    for kind, value in kept:
        if kind == "folder":
            shutil.rmtree(value, ignore_errors=True)


_main()
