"""Carries a plan out on a cluster, and returns the verdict."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException

from tests.chaos.crew import HEARTBEAT_SECONDS, SESSION_SECONDS, Group
from tests.chaos.evidence import Happened, collect
from tests.chaos.plan import GROUPS, Fault, Step
from tests.chaos.source import Source
from tests.chaos.verdict import Verdict, judge
from tests.kafka.access import Kafka
from tests.kafka.admin import eventually
from tests.kafka.broker import Broker
from tests.kafka.fresh import fresh

__all__ = ["Conductor", "Say"]

_PARTITIONS: Final = 96
"""Of each topic: a partition has one record in flight, and a record takes a tenth of a second on a busy machine."""
_MEMBERS: Final = 2
_AT_ONCE: Final = 8
_BROKER_STEADY_WITHIN: Final = 120.0
_UNDER_WAY: Final = 500
"""Records that a group has handled when the first member joins it."""
_UNDER_WAY_WITHIN: Final = 60.0
_NO_PROGRESS_WITHIN: Final = 60.0
_LOOK_SECONDS: Final = 0.5

Say = Callable[[str], None]


class Conductor:
    """One run. `say` gets a line for each thing that happens, `progress` a line every half second."""

    def __init__(self, kafka: Kafka, folder: Path, *, records: int, rate: int, say: Say, progress: Say) -> None:
        self._kafka = kafka
        self._folder = folder
        self._records = records
        self._rate = rate
        self._say = say
        self._progress = progress
        self._began = time.monotonic()
        self._happened: list[Happened] = []
        self._groups: list[Group] = []

    def run(self, plan: Sequence[Step]) -> Verdict:
        """Run it to its end.

        Raises:
            AssertionError: it came to no end: a member ended by itself, or broke down when it left.
        """
        topics = [fresh(f"chaos-{number}") for number in range(1, GROUPS + 1)]
        with ThreadPoolExecutor(GROUPS) as side_by_side:
            list(side_by_side.map(lambda topic: self._kafka.admin.create_topic(topic, _PARTITIONS), topics))
        with ExitStack() as stack:
            stack.callback(self._keep_broker_logs)
            for number, (topic, to) in enumerate(zip(topics, [*topics[1:], ""], strict=True), 1):
                group = Group(number, topic, to, self._kafka.bootstrap, self._folder / f"group-{number}")
                stack.callback(group.end)
                self._groups.append(group)
                if group.protocol == "consumer":  # there the session is the broker's
                    self._kafka.tools.alter_group(
                        group.name,
                        consumer_session_timeout_ms=SESSION_SECONDS * 1000,
                        consumer_heartbeat_interval_ms=HEARTBEAT_SECONDS * 1000,
                    )
                for _ in range(_MEMBERS):
                    group.join()
            source = stack.enter_context(
                Source(self._kafka.bootstrap, topics[0], self._records, self._rate, self._folder)
            )
            stack.enter_context(self._watching(source))
            self._carry_out(plan, source)
            stuck = self._wait_for_the_end(source)
            for group in self._groups:
                group.all_leave()
            self._say("all members have left; judging")
            verdict = judge(collect(self._kafka, source, self._groups, self._happened))
            return replace(verdict, failures=[*stuck, *verdict.failures])

    # -- the plan -----------------------------------------------------------------------------------------------

    def _carry_out(self, plan: Sequence[Step], source: Source) -> None:
        """Carry the steps out: those of brokers one after the other, those of members beside each other."""
        running: list[Future[None]] = []
        calm = True
        with ThreadPoolExecutor(_AT_ONCE) as side_by_side:
            for at, step in enumerate(plan):
                time.sleep(step.pause)
                self._check(running)
                if source.done and self._is_done(self._groups[0]):
                    self._say(f"group 1 has nothing left to do: {len(plan) - at} of {len(plan)} steps are left out")
                    break
                if calm and not step.fault.graceful:  # the graceful act ends before anything else begins
                    calm = False
                    for step_running in running:
                        step_running.result()
                if step.fault.of_broker:
                    self._break_broker(step)
                else:
                    running.append(side_by_side.submit(self._break_member, step))
            for step_running in running:
                step_running.result()

    def _check(self, running: Sequence[Future[None]]) -> None:
        for group in self._groups:
            group.check()
        for future in running:
            if future.done():
                future.result()

    def _break_member(self, step: Step) -> None:
        group = self._groups[step.number - 1]
        began = time.time_ns()
        match step.fault:
            case Fault.JOIN:
                eventually(lambda: group.handled > _UNDER_WAY, within=_UNDER_WAY_WITHIN)  # it takes from who is at work
                one = group.join()
            case Fault.LEAVE:
                one = group.leave(step.luck)
            case Fault.KILL:
                one, began = group.kill(step.luck)
                self._note(step, one.pid, began, began)
                time.sleep(step.seconds)
                group.join()
                return
            case _:
                with group.frozen(step.luck) as one:
                    began = time.time_ns()
                    time.sleep(step.seconds)
        self._note(step, one.pid, began, time.time_ns())

    def _break_broker(self, step: Step) -> None:
        cluster = self._kafka.cluster
        broker = cluster.broker(step.number)
        began = time.time_ns()
        match step.fault:
            case Fault.FREEZE_BROKER:
                broker.freeze()
                time.sleep(step.seconds)
                broker.thaw()
            case Fault.KILL_BROKER:
                broker.kill()
                time.sleep(step.seconds)
                cluster.start(broker)
            case _:
                broker.stop()
                time.sleep(step.seconds)
                cluster.start(broker)
        # Two replicas away, and the topics stand still: that would be the test's doing.
        for group in self._groups:
            eventually(partial(self._in_sync, group.topic), within=_BROKER_STEADY_WITHIN, every=0.2)
        self._note(step, None, began, time.time_ns())

    def _in_sync(self, topic: str) -> bool:
        with suppress(KafkaException):
            return min(self._kafka.admin.in_sync(topic).values()) == self._kafka.cluster.size
        return False

    def _note(self, step: Step, pid: int | None, began: int, ended: int) -> None:
        self._happened.append(Happened(step.fault, step.number, pid, began, ended))
        who = f"broker {step.number}" if pid is None else f"group {step.number}, process {pid}"
        self._say(f"{step.fault}: {who}, {(ended - began) / 1e9:.1f} s")

    # -- the end ------------------------------------------------------------------------------------------------

    def _wait_for_the_end(self, source: Source) -> list[str]:
        """Wait until every group has committed all there is; return what keeps them, where nothing moves any more."""
        done: list[Callable[[], bool]] = [
            lambda: source.done,
            *(partial(self._is_done, group) for group in self._groups),
        ]
        return [line for holds in done if (line := self._until(holds))]

    def _is_done(self, group: Group) -> bool:
        with suppress(KafkaException):  # brokers may be about to change places: it is asked again
            committed = self._kafka.admin.committed(group.name, group.topic)
            ends = self._kafka.admin.end_offsets(group.topic)
            return all(committed.get(at, 0) >= end for at, end in ends.items())
        return False

    def _until(self, holds: Callable[[], bool]) -> str:
        before, since = -1, time.monotonic()
        while not holds():
            self._check(())
            handled = sum(group.handled for group in self._groups)
            if handled != before:
                before, since = handled, time.monotonic()
            if time.monotonic() > since + _NO_PROGRESS_WITHIN:
                return f"nothing was handled for {_NO_PROGRESS_WITHIN:g} s, and records are left: {self._line()}"
            time.sleep(_LOOK_SECONDS)
        return ""

    @contextmanager
    def _watching(self, source: Source) -> Iterator[None]:
        """Tell how far it is, every now and then."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_LOOK_SECONDS):
                self._progress(self._line() + (", all produced" if source.done else ""))

        watcher = threading.Thread(target=watch, name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _line(self) -> str:
        groups = ", ".join(
            f"group {group.number} {group.handled:,} ({group.healthy} members)" for group in self._groups
        )
        return f"{time.monotonic() - self._began:4.0f} s: of {self._records:,} records: {groups}"

    def _keep_broker_logs(self) -> None:
        for broker in self._kafka.cluster.brokers:
            self._keep_log(broker)

    def _keep_log(self, broker: Broker) -> None:
        shutil.copy(broker.log_file, self._folder / f"broker-{broker.place.node}.log")
