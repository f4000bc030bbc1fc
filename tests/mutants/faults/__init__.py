"""The list. Texts are short and of a kind that stays: a mutant that no longer fits fails `make test`."""

from typing import Final

from tests.mutants.faults import commits, failures, flow, rebalances, security
from tests.mutants.mutant import Mutant

__all__ = ["MUTANTS"]

MUTANTS: Final[tuple[Mutant, ...]] = (
    *commits.MUTANTS,
    *rebalances.MUTANTS,
    *failures.MUTANTS,
    *flow.MUTANTS,
    *security.MUTANTS,
)
