"""How often Python looks for garbage in cycles, in a process that `run` runs.

To the collector each of the client's records is a container. Python starts a collection after 700 more containers were
made than freed (2,000 since 3.13), so each batch of records starts one, and each walks over records that only wait for
their turn: measured, a tenth of what a message costs. What is freed without a cycle, records among it, is freed at once
all the same.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["MORE_MADE_THAN_FREED", "rare_collections"]

MORE_MADE_THAN_FREED: Final = 10_000
"""Containers: ten batches of records. Of garbage in cycles, a few MiB more may wait."""
_PYTHONS_OWN: Final = frozenset({700, 2000})


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect less often meanwhile. Whoever has set another threshold than Python's own keeps it."""
    before = gc.get_threshold()
    ours = (MORE_MADE_THAN_FREED, *before[1:])
    if before[0] in _PYTHONS_OWN:
        gc.set_threshold(*ours)
    try:
        yield
    finally:
        if gc.get_threshold() == ours:
            gc.set_threshold(*before)
