"""Runs the candidates round by round, one after the other, and writes what they measured."""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import KafkaException
from tests.kafka.broker import BrokerDied
from tests.kafka.distribution import KafkaUnavailable

from bench import machine, report
from bench.broker import broker, say
from bench.child import Outcome
from bench.instruments import MeasurementFailed
from bench.machine import Noise
from bench.mode import Amounts, Mode
from bench.modes import MODES
from bench.pace import Pace, in_words
from bench.peers import environments
from bench.peers.environments import NotAvailable
from bench.report import Results, Round, Run

__all__ = ["EXIT_FAILED", "EXIT_NO_KAFKA", "EXIT_WELL", "keep_topic", "measure"]

EXIT_WELL, EXIT_FAILED, EXIT_NO_KAFKA = 0, 1, 3
_OF_THIS_ALONE = (MeasurementFailed, NotAvailable, AssertionError, KafkaException)
"""What can go wrong with one run or one mode, such as an answer of the broker that does not come."""


def measure(modes: Sequence[Mode], only: frozenset[str], amounts: Amounts, folder: Path) -> int:
    """Measure, print the tables, write the results; return the exit code."""
    failed = False
    try:
        with broker() as brokers:
            for mode in modes:
                candidates = mode.chosen(only)
                try:
                    if candidates:
                        failed |= _measure(mode, candidates, amounts, brokers, folder)
                except _OF_THIS_ALONE as error:  # its topic could not be made: the other modes go on
                    failed = True
                    say(f"error: {mode.name}: {error}")
    except (KafkaUnavailable, BrokerDied) as error:
        say(f"error: {error}")
        return EXIT_NO_KAFKA
    return EXIT_FAILED if failed else EXIT_WELL


def keep_topic(amounts: Amounts) -> int:
    """Make the topic of the throughput mode and keep it until interrupted; return the exit code."""
    try:
        with broker() as brokers:
            topic = _prepare(MODES["throughput"], brokers, amounts)
            say("run a candidate, by itself or under a profiler, with")
            say(f"  {sys.executable} -m bench --brokers {brokers} --topic {topic} --candidate NAME")
            say("Ctrl-C ends it")
            while True:
                time.sleep(3600)
    except (KafkaUnavailable, BrokerDied) as error:
        say(f"error: {error}")
        return EXIT_NO_KAFKA


def _prepare(mode: Mode, brokers: str, amounts: Amounts) -> str:
    began = time.monotonic()
    topic = mode.prepare(brokers, amounts)
    if topic:
        say(f"{mode.name}: topic {topic} filled in {time.monotonic() - began:.1f} s")
    return topic


def _measure(mode: Mode, candidates: list[str], amounts: Amounts, brokers: str, folder: Path) -> bool:
    """Measure one mode; return whether anything failed. What was measured is written even if it is interrupted."""
    not_run = _make_ready(mode, candidates)
    results = Results(mode, amounts, machine.describe(), datetime.now(UTC), candidates, not_run=not_run)
    runnable = [name for name in candidates if name not in not_run]
    if not runnable:
        return False
    topic = _prepare(mode, brokers, amounts)
    if topic and mode.warm_up:
        say(f"{mode.name}: a run that does not count, so that nobody meets a cold broker")
        mode.run(runnable[0], brokers, topic, amounts)
    pace = Pace(mode.typical_s)
    try:
        for number in range(amounts.rounds):
            _round(number, results, pace, brokers, topic)
    finally:
        if any(one.runs for one in results.rounds):
            sys.stdout.write(f"{results.as_markdown()}\n")
            _write(results, folder)
    return bool(results.failed)


def _write(results: Results, folder: Path) -> None:
    markdown, data = report.write(results, folder)
    say(f"written: {markdown}\nwritten: {data}")
    if results.mode.plotted:
        picture = folder / f"{results.stem}.svg"
        try:
            environments.run(
                [str(environments.python("plot")), "-m", "bench.plot", str(data), str(picture)], "drawing the plot"
            )
            say(f"written: {picture}")
        except NotAvailable as error:
            say(f"no plot: {error}")


def _make_ready(mode: Mode, candidates: list[str]) -> dict[str, str]:
    """Make what each candidate needs; return those that can't be run here, each with what is missing."""
    not_run = {}
    for candidate in candidates:
        try:
            mode.ready(candidate)
        except NotAvailable as error:
            not_run[candidate] = str(error)
            say(f"{mode.name}: {candidate} is not run: {error}")
    return not_run


def _round(number: int, results: Results, pace: Pace, brokers: str, topic: str) -> None:
    mode, amounts = results.mode, results.amounts
    this = Round()
    results.rounds.append(this)
    where = f"{mode.name} {number + 1}/{amounts.rounds}"
    turns = results.turns(number)
    for at, candidate in enumerate(turns):
        began = time.monotonic()
        noise = Noise.listen()
        outcome = _attempt(mode, candidate, brokers, topic, amounts)
        this.runs.append(Run(noise, outcome))
        pace.took(candidate, time.monotonic() - began)
        if noise.too_much:
            say(f"{where}: noisy: {noise}")
        rounds_after = amounts.rounds - number - 1
        left = pace.left(turns[at + 1 :]) + rounds_after * pace.left(results.turns(number + 1))
        say(f"{where}: {candidate:<20}{_in_short(mode, outcome)}   (about {in_words(left)} left)")
        if outcome.fault:
            say("\n".join(f"    {line}" for line in outcome.said.splitlines()))


def _attempt(mode: Mode, candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    began = time.monotonic()
    try:
        return mode.run(candidate, brokers, topic, amounts)
    except _OF_THIS_ALONE as error:
        # Of this run alone, such as a group whose offsets can't be asked: the others go on.
        return Outcome(candidate, time.monotonic() - began, fault=f"{type(error).__name__}: {error}")


def _in_short(mode: Mode, outcome: Outcome) -> str:
    if outcome.figures is None:
        return f"FAILED after {outcome.total_s:.1f} s: {outcome.fault}"
    figures = {**outcome.figures, "total_s": outcome.total_s}
    columns = [column for column in mode.columns if not column.alone and column.figure in figures]
    return "   ".join(f"{figures[column.figure]:,.{column.digits}f} {column.heading}" for column in columns)
