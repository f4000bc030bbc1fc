"""Names that no other test and no other run on the same broker has."""

import itertools
import uuid

__all__ = ["fresh"]

_RUN = uuid.uuid4().hex[:8]
_numbers = itertools.count(1)


def fresh(what: str) -> str:
    """Return a name that was never used before, with what it is for in it."""
    return f"{what}-{_RUN}-{next(_numbers)}"
