"""Runs the candidates round by round, one after the other, and writes what they measured."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.kafka.access import VARIABLE
from tests.kafka.broker import BrokerDied
from tests.kafka.cluster import Cluster
from tests.kafka.distribution import KafkaUnavailable

from bench import machine, report
from bench.child import Outcome
from bench.instruments import MeasurementFailed
from bench.machine import Noise
from bench.modes import MODES, Amounts, Mode
from bench.report import Results, Round, Run

__all__ = ["EXIT_FAILED", "EXIT_NO_KAFKA", "EXIT_WELL", "keep_topic", "measure"]

EXIT_WELL, EXIT_FAILED, EXIT_NO_KAFKA = 0, 1, 3


def measure(modes: Sequence[Mode], only: frozenset[str], amounts: Amounts, folder: Path) -> int:
    """Measure, print the tables, write the results; return the exit code."""
    failed = False
    try:
        with _kafka() as brokers:
            for mode in modes:
                candidates = mode.chosen(only)
                if candidates:
                    failed |= _measure(mode, candidates, amounts, brokers, folder)
    except (KafkaUnavailable, BrokerDied) as error:
        _say(f"error: {error}")
        return EXIT_NO_KAFKA
    except MeasurementFailed as error:
        _say(f"error: {error}")
        return EXIT_FAILED
    return EXIT_FAILED if failed else EXIT_WELL


def keep_topic(amounts: Amounts) -> int:
    """Make the topic of the throughput mode and keep it until interrupted; return the exit code."""
    try:
        with _kafka() as brokers:
            topic = _prepare(MODES["throughput"], brokers, amounts)
            _say("run a candidate, by itself or under a profiler, with")
            _say(f"  {sys.executable} -m bench --brokers {brokers} --topic {topic} --candidate NAME")
            _say("Ctrl-C ends it")
            while True:
                time.sleep(3600)
    except (KafkaUnavailable, BrokerDied) as error:
        _say(f"error: {error}")
        return EXIT_NO_KAFKA


@contextmanager
def _kafka() -> Iterator[str]:
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    _say("starting Apache Kafka ...")
    with Cluster(1) as cluster:
        yield cluster.bootstrap


def _prepare(mode: Mode, brokers: str, amounts: Amounts) -> str:
    began = time.monotonic()
    topic = mode.prepare(brokers, amounts)
    if topic:
        _say(f"{mode.name}: topic {topic} filled in {time.monotonic() - began:.1f} s")
    return topic


def _measure(mode: Mode, candidates: list[str], amounts: Amounts, brokers: str, folder: Path) -> bool:
    """Measure one mode; return whether anything failed. What was measured is written even if it is interrupted."""
    results = Results(mode, amounts, machine.describe(), datetime.now(UTC), candidates)
    topic = _prepare(mode, brokers, amounts)
    if topic:
        _say(f"{mode.name}: a run that does not count, so that nobody meets a cold broker")
        mode.run(candidates[0], brokers, topic, amounts)
    try:
        for number in range(amounts.rounds):
            _round(number, results, brokers, topic)
    finally:
        if any(one.runs for one in results.rounds):
            sys.stdout.write(f"{results.as_markdown()}\n")
            for path in report.write(results, folder):
                _say(f"written: {path}")
    return bool(results.failed)


def _round(number: int, results: Results, brokers: str, topic: str) -> None:
    mode, amounts = results.mode, results.amounts
    this = Round()
    results.rounds.append(this)
    where = f"{mode.name} {number + 1}/{amounts.rounds}"
    # Each round begins with another one, so that coming first is nobody's advantage.
    turn = number % len(results.candidates)
    for candidate in [*results.candidates[turn:], *results.candidates[:turn]]:
        noise = Noise.listen()
        outcome = mode.run(candidate, brokers, topic, amounts)
        this.runs.append(Run(noise, outcome))
        if noise.too_much:
            _say(f"{where}: noisy: {noise}")
        _say(f"{where}: {candidate:<20}{_in_short(mode, outcome)}")
        if outcome.fault:
            _say("\n".join(f"    {line}" for line in outcome.said.splitlines()))


def _in_short(mode: Mode, outcome: Outcome) -> str:
    if outcome.figures is None:
        return f"FAILED after {outcome.total_s:.1f} s: {outcome.fault}"
    figures = {**outcome.figures, "total_s": outcome.total_s}
    columns = [column for column in mode.columns if column.against != "calls"]
    return "   ".join(f"{figures[column.figure]:,.{column.digits}f} {column.heading}" for column in columns)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
