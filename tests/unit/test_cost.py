"""The guard of the hot path: what a message costs, in instructions, against a table. Nothing here is timed."""

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from tests.cost.paths import PATHS, cost, histogram_call, span_call

from humus.queue.kafka import _async_worker, _thread_worker
from humus.queue.kafka._message import Message

TOLERANCE: Final = 0.04
"""Either way: dearer is a loss, and cheaper wants its new figure in the table, or the next loss would not show."""

FIGURES: Final = {
    "async def": (79.8, 68.2, 65.3),
    "def": (77.1, 64.6, 61.6),
    "at most once, async def": (81.6, 69.9, 66.8),
    "at most once, def": (78.9, 66.3, 63.2),
    "async def, handler_timeout": (120.9, 105.3, 102.3),
    "async def, metrics": (80.0, 68.3, 65.4),
    "async def, durations": (990.6, 872.0, 897.1),
    "def, durations": (987.9, 868.5, 893.4),
    "async def, traces, none sampled": (595.5, 531.9, 536.0),
    "async def, traces, all sampled": (1796.5, 1618.9, 1575.0),
    "async def, traces, all sampled, traceparent": (2175.5, 1968.0, 1930.0),
}
"""Instructions a message, by path; with Python 3.11, 3.12 and 3.13. `python -m tests.cost` prints them."""

PYTHONS: Final = ((3, 11), (3, 12), (3, 13))

counted: Final = functools.cache(lambda name: cost(PATHS[name]))


def figure(name: str) -> float:
    """Return what a path should cost."""
    if sys.version_info[:2] not in PYTHONS:
        pytest.skip(f"no figures for Python {sys.version_info.major}.{sys.version_info.minor}: python -m tests.cost")
    return FIGURES[name][PYTHONS.index(sys.version_info[:2])]


def check(name: str, found: float) -> None:
    """Compare a count with the table.

    Raises:
        AssertionError: it is dearer, or cheaper, than what is tolerated.
    """
    known = figure(name)
    change = found / known - 1
    what = f"{name}: {found:.1f} instructions a message, {change:+.1%} against {known:g}"
    assert change <= TOLERANCE, f"{what}: the hot path got heavier"
    assert change >= -TOLERANCE, f"{what}: it got lighter, so write the new figure into FIGURES"


@pytest.mark.parametrize("name", PATHS)
def test_a_message_costs_what_it_did(name: str) -> None:
    """No change makes the way of a message heavier, unnoticed; `TOLERANCE` is far below the 15 % that would matter."""
    figure(name)
    check(name, counted(name))


@pytest.mark.parametrize("name", ["async def", "def", "at most once, async def"])
def test_the_count_is_the_same_in_every_run(name: str) -> None:
    """Counted again, a path costs the same to the last instruction: no chance, no clock, no race of threads in it."""
    counted(name)
    assert cost(PATHS[name]) == cost(PATHS[name])


def heavier(by: int) -> Callable[..., Message]:
    """Return what makes a message, and executes about so many instructions more."""

    def make(*fields: Any) -> Message:
        for _ in range(by // 3):
            pass
        return Message(*fields)

    return make


@pytest.mark.parametrize("name", ["async def", "def", "at most once, async def"])
def test_a_message_that_costs_more_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """15 % more instructions a message fail, with the number."""
    make = heavier(int(figure(name) * 0.15))
    monkeypatch.setattr(_async_worker, "Message", make)
    monkeypatch.setattr(_thread_worker, "Message", make)
    with pytest.raises(AssertionError, match=r"instructions a message, \+\d+\.\d% against .* got heavier"):
        check(name, cost(PATHS[name]))


def test_metrics_cost_nothing_a_message() -> None:
    """Metrics are counted in integers that a reader reads: without durations they add next to nothing to a message."""
    assert counted("async def, metrics") <= counted("async def") * 1.02


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_a_duration_costs_little_more_than_its_call(kind: str) -> None:
    """With durations, a message costs 1.1 bare calls of the SDK's histogram more, at most."""
    calls = (counted(f"{kind}, durations") - counted(kind)) / histogram_call()
    assert calls <= 1.1, f"{calls:.3f} bare calls"


@pytest.mark.parametrize("sampled", ["none", "all"])
def test_a_span_costs_little_more_than_a_bare_one(sampled: str) -> None:
    """With traces, a message costs 1.1 bare spans of the SDK more, at most."""
    spans = counted(f"async def, traces, {sampled} sampled") - counted("async def")
    bare = span_call({"none": ALWAYS_OFF, "all": ALWAYS_ON}[sampled])
    assert spans / bare <= 1.1, f"{spans / bare:.3f} bare spans"
