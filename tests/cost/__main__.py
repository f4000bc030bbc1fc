"""The command: `python -m tests.cost` prints what a message costs on each path, with this Python."""

import sys

from tests.cost.paths import PATHS, cost

if __name__ == "__main__":
    sys.stdout.write(f"Python {sys.version_info.major}.{sys.version_info.minor}: instructions a message\n")
    for name, path in PATHS.items():
        sys.stdout.write(f"{cost(path):8.1f}  {name}\n")
