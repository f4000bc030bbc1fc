"""How often Python collects garbage while a service runs."""

import gc
from collections.abc import Iterator

import pytest

from humus.queue._collector import MORE_MADE_THAN_FREED, rare_collections


@pytest.fixture(autouse=True)
def threshold() -> Iterator[None]:
    """Set it as it was, whatever the test did."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("own", [700, 2000])
def test_pythons_own_threshold_is_raised_meanwhile(own: int) -> None:
    """Batches of records start no collection; afterwards all is as it was."""
    gc.set_threshold(own, 10, 10)
    with rare_collections():
        assert gc.get_threshold() == (MORE_MADE_THAN_FREED, 10, 10)
    assert gc.get_threshold() == (own, 10, 10)


@pytest.mark.parametrize("chosen", [0, 100, 50_000])
def test_a_threshold_that_somebody_chose_stays(chosen: int) -> None:
    """Another threshold than Python's own is somebody's decision, even that for no collection at all."""
    gc.set_threshold(chosen, 5, 5)
    with rare_collections():
        assert gc.get_threshold() == (chosen, 5, 5)
    assert gc.get_threshold() == (chosen, 5, 5)


def test_a_threshold_that_the_application_sets_stays() -> None:
    """What is set while the service runs, in `init` for instance, is not undone."""
    gc.set_threshold(700, 10, 10)
    with rare_collections():
        gc.set_threshold(5000, 10, 10)
    assert gc.get_threshold() == (5000, 10, 10)
