"""What the bench says of its runs: it is only worth as much as its arithmetic."""

from datetime import UTC, datetime

import pytest
from bench.child import Outcome
from bench.instruments import Figures
from bench.machine import Noise
from bench.mode import Amounts
from bench.modes import MODES
from bench.report import Results, Round, Run
from bench.series import Spread, percentile

QUIET = Noise(load_1m=1.9, load_5m=1.0, busy_cores=0.01)
BUSY = Noise(load_1m=0.1, load_5m=0.1, busy_cores=1000.0)
NOBODY_SAYS = Noise(load_1m=1000.0, load_5m=1.0, busy_cores=None)


def figures(msgs_per_s: float, cpu_us: float) -> Figures:
    """Return what a throughput run measures."""
    more = {"records": 1000.0, "startup_s": 0.5}
    return {"msgs_per_s": msgs_per_s, "cpu_us": cpu_us, "peak_mib": 50.0, "seconds": 2.0, **more}


def results(*rounds: Round) -> Results:
    """Return results of the throughput mode for the yardstick and one other."""
    amounts = Amounts(rounds=len(rounds), records=1000, seconds=1.0, timeout=1.0)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    return Results(MODES["throughput"], amounts, {"cores": 2}, began, ["bare", "humus-async"], list(rounds))


def a_round(bare: Figures | None, humus: Figures | None, noise: Noise = QUIET) -> Round:
    """Return a round of two runs; one without figures has failed."""
    named = (("bare", bare), ("humus-async", humus))
    return Round([Run(noise, Outcome(name, 3.0, found, None if found else "died")) for name, found in named])


def test_spread_is_median_and_ends() -> None:
    """A series is said by its median and its ends, in whatever order it came."""
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(median=3.0, least=1.0, most=10.0)


@pytest.mark.parametrize(("percent", "expected"), [(50, 500), (99, 990), (99.9, 999), (100, 1000)])
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    """The p-th percentile of 1 to 1000 is the number below or at which p percent of them lie."""
    assert percentile(range(1, 1001), percent) == expected


def test_percentile_of_few() -> None:
    """With fewer numbers than a percentile asks for, the largest one is it."""
    assert percentile([1.0, 2.0], 99.9) == 2.0


def test_comparison_is_made_round_by_round() -> None:
    """A ratio is the median of the rounds' ratios, not the ratio of medians: drift over the rounds cancels out."""
    rounds = [
        a_round(figures(1000, 1.0), figures(500, 1.5)),
        a_round(figures(100, 4.0), figures(60, 5.0)),
        a_round(figures(10, 9.0), figures(7, 9.7)),
    ]
    rate, _, cpu, *_ = MODES["throughput"].columns
    assert results(*rounds).compared("humus-async", rate) == pytest.approx(Spread(0.6, 0.5, 0.7))
    compared = results(*rounds).compared("humus-async", cpu)
    assert compared is not None
    assert compared.median == pytest.approx(0.7)
    assert results(*rounds).compared("bare", rate) is None


def test_what_is_added_is_said_in_bare_calls() -> None:
    """Durations are compared with metrics without them, in calls of the histogram; the call itself with nothing."""
    mode = MODES["telemetry"]
    names = ["humus-async", "humus-metrics", "humus-durations", "call-histogram"]
    cpu_us = (1.0, 1.5, 11.5, 8.0)
    this = Round([Run(QUIET, Outcome(name, 3.0, figures(1000, cpu))) for name, cpu in zip(names, cpu_us, strict=True)])
    amounts = Amounts(rounds=1, records=1000, seconds=1.0, timeout=1.0)
    found = Results(mode, amounts, {"cores": 2}, datetime(2026, 1, 1, tzinfo=UTC), names, [this])
    [more] = [column for column in mode.columns if column.against == "difference"]
    [calls] = [column for column in mode.columns if column.against == "calls"]
    assert found.compared("humus-metrics", more) == Spread.of([0.5])
    assert found.compared("humus-durations", more) == Spread.of([10.0])
    assert found.compared("humus-durations", calls) == Spread.of([1.25])
    assert found.compared("humus-metrics", calls) is None
    assert found.compared("call-histogram", more) is None
    row = next(line for line in found.as_markdown().splitlines() if line.startswith("| humus-durations"))
    assert row == "| humus-durations | 1,000 | 1.00 | 11.50 | 10.00 | 1.25 | 50 | 2.00 |"


def test_a_failed_run_is_named_and_counts_for_nothing() -> None:
    """A run that failed is in the table's notes, and neither its figures nor ratios to it are made up."""
    found = results(a_round(None, figures(500, 1.5)), a_round(figures(1000, 1.0), figures(700, 1.5)))
    rate = MODES["throughput"].columns[0]
    assert found.compared("humus-async", rate) == Spread(0.7, 0.7, 0.7)
    assert [outcome.candidate for outcome in found.failed] == ["bare"]
    assert "**Failed**: round 1, `bare`: died" in found.as_markdown()


def test_a_candidate_that_always_fails_has_an_empty_row() -> None:
    """The table stands when a candidate has no figures at all."""
    markdown = results(a_round(figures(1000, 1.0), None)).as_markdown()
    assert "| humus-async | failed |  |" in markdown


@pytest.mark.parametrize(("noise", "told"), [(QUIET, False), (BUSY, True), (NOBODY_SAYS, True)])
def test_noise_is_told(noise: Noise, told: bool) -> None:
    """Cores in use decide whether ratios count; the load average, which holds our own runs, only where it is alone."""
    markdown = results(a_round(figures(1000, 1.0), figures(500, 1.5), noise)).as_markdown()
    assert ("**Noisy**" in markdown) is told


def test_only_brings_the_yardstick_with_it() -> None:
    """A candidate alone says nothing: the yardstick runs with it, and modes that it does not belong to do not run."""
    assert MODES["throughput"].chosen(frozenset({"humus-def"})) == ["bare", "humus-def"]
    assert MODES["latency"].chosen(frozenset({"humus-def"})) == []
    asked = MODES["telemetry"].chosen(frozenset({"humus-durations"}))
    assert asked == ["humus-async", "humus-metrics", "humus-durations", "call-histogram"]
    assert "bare-poll" not in MODES["throughput"].chosen(frozenset())
