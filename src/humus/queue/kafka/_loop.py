"""The poll loop: carries the client's events to the core, and the core's commands to client and workers.

One thread, the poll thread, owns the client and all core state; there are no locks, and user code never runs here. A
round: take records, or wait for one; tell the core what happened; read how far the workers are; let time pass in the
core; do what it says. Nothing is decided here but how long to wait.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Final

from humus.errors import BrokerError, HumusError, ProcessingFailed
from humus.queue._describe import error_message, error_type
from humus.queue.kafka._assignment import Assignment
from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._client import (
    Assigned,
    Client,
    Committed,
    Event,
    Jumped,
    Lost,
    Record,
    Revoked,
    Statistics,
    Trouble,
)
from humus.queue.kafka._client_errors import ClientError, Kind, Where, classify
from humus.queue.kafka._commands import (
    AskEnds,
    AskStarts,
    Begin,
    Cancel,
    Commit,
    Drain,
    Failing,
    Fatal,
    Feed,
    GiveBack,
    Halted,
    Notice,
    Pause,
    Resume,
    Stopped,
    WorkerDone,
    WorkerEvent,
)
from humus.queue.kafka._conditions import Conditions
from humus.queue.kafka._diagnosis import Diagnosis
from humus.queue.kafka._figures import Figures
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._handshake import certificate_fault
from humus.queue.kafka._letter_box import LetterBox
from humus.queue.kafka._lookout import Blind, Lookout, Sighting, Started, Told
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._options import Options
from humus.queue.kafka._partition import Key
from humus.queue.kafka._snapshot import figures, snapshot
from humus.queue.kafka._stalls import Stalls
from humus.queue.kafka._status import RuntimeState, RuntimeStatus
from humus.queue.kafka._telemetry import telemetry_or_none
from humus.queue.kafka._thread_worker import ThreadWorker
from humus.queue.kafka._tokens import TokenSource
from humus.queue.kafka._worker import Terms, Worker

__all__ = ["PollLoop"]

_log = logging.getLogger("humus.kafka.runtime")
_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_IDLE_WAIT: Final = 0.1
"""Seconds a round waits for a record while nothing else is expected: a stop is noticed within it."""
_SHORTEST_WAIT: Final = 0.002
_LONGEST_WAIT: Final = 0.02
"""Seconds a round waits while a worker or a commit is expected to be done: at first, and when it takes its time."""
_SHORTEST_GAP: Final = 0.002
_LONGEST_GAP: Final = 0.2
"""Seconds between two records that are taken while the buffer is full: callbacks wait so long."""
_CLOSE_WITHIN: Final = 2.0
"""Seconds that leaving the group may take, with the commits' 7 s within the 10 s of D60; it takes some milliseconds."""
_GHOSTS_WITHIN: Final = 0.5
"""Seconds that cancelled tasks have to come to an end before the runtime does."""
_NOWHERE: Final = (
    "the group has committed nothing, and auto_offset_reset is 'error': "
    "commit where it is to begin, or choose earliest or latest"
)
_RECONCILE_EVERY: Final = 5.0
_SNAPSHOT_EVERY: Final = 0.1
_SNAPSHOT_A_PARTITION: Final = 0.001
"""Seconds between snapshots: a tenth, and more with many partitions, so that they cost half a percent of a core."""


class PollLoop:
    """Runs one member of the group, from subscribing to leaving. Poll thread, but for the marked methods."""

    def __init__(
        self,
        options: Options,
        config: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[BaseException | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.status = RuntimeStatus("starting", options.group_id)
        self.async_workers: set[AsyncWorker] = set()
        self._context = copy_context()  # the application's, of where it runs us: processors see its variables
        self._options = options
        self._config = dict(config)
        self._loop = loop
        self._ended = ended
        self._subscriptions = {subscription.topic: subscription for subscription in options.subscriptions}
        self._core = Assignment(
            {subscription.topic: subscription.semantic for subscription in options.subscriptions},
            commit_interval=options.commit_interval,
            drain_timeout=options.drain_timeout,
            rebalance_timeout=options.rebalance_timeout,
            flow=Flow(options.buffer_max_bytes, options.max_concurrent_fetches),
            stalls=Stalls(options.stall_timeout, from_the_beginning=options.auto_offset_reset == "earliest"),
            begin_at_end=options.auto_offset_reset == "latest",
        )
        self._figures = Figures()
        self._telemetry = telemetry_or_none(options, lambda: self._figures)
        self._client: Client | None = None
        self._letters: LetterBox | None = None
        self._workers: dict[Key, Worker] = {}
        self._needs_wake: set[AsyncWorker] = set()
        self._said: deque[WorkerEvent] = deque()
        self._sightings: deque[Sighting | Told | Started | Blind] = deque()
        self._diagnosis = Diagnosis(Conditions(_log), float(config.get("fetch.wait.max.ms", 500)) / 1000)
        policies = [subscription.on_failure for subscription in options.subscriptions]
        self._letter_topics = sorted({policy.topic for policy in policies if policy.topic is not None})
        self._lookout = Lookout(
            self._config, list(self._subscriptions), self._sightings.append, also=self._letter_topics
        )
        self._error: BaseException | None = None
        self._joined = False
        self._stopped = False
        self._stops: deque[float] = deque()  # asked for by other threads: within so many seconds
        self._nudge = threading.Event()
        self._wait = _SHORTEST_WAIT
        self._gap = _SHORTEST_GAP
        self._take_at = 0.0
        self._snapshot_at = 0.0
        self._reconcile_at = 0.0
        self._orphans: set[TopicPartition] = set()
        self._do: dict[type, Callable[[Any], None]] = {
            Feed: self._feed,
            Drain: lambda command: self._workers[command.key].drain(finish=command.finish),
            Cancel: lambda command: self._workers[command.key].cancel(),
            Pause: lambda command: self._the_client.pause(command.tps),
            Resume: lambda command: self._the_client.resume(command.tps),
            Commit: self._commit,
            AskEnds: lambda command: self._lookout.ask_ends(command.keys, command.unknown),
            AskStarts: lambda command: self._lookout.ask_starts(command.keys),
            Begin: lambda command: self._the_client.begin(command.offsets),
            GiveBack: self._give_back,
            Stopped: self._set_stopped,
            Notice: self._notice,
        }

    def stop(self, within: float) -> None:
        """Drain within so many seconds, commit, leave. Any thread, any time; a later call can only shorten the time."""
        self._stops.append(within)
        self._nudge.set()

    def run(self) -> None:
        """Live until stopped, or until an error ends it; `ended` gets the error. The poll thread's target."""
        for step in (self._live, self._clean_up):
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - handed to `ended`, which raises it where the user waits
                self._error = self._error or error
        self._show("stopped")
        if self._telemetry is not None:
            self._telemetry.end()
        self._ended(self._error)

    def _live(self) -> None:
        self._client = self._connect()
        self._lookout.start()
        while not self._stopped:
            self._round(self._client)
        self._wait_for_ghosts()

    def _clean_up(self) -> None:
        self._lookout.stop()
        for worker in self._workers.values():
            worker.cancel()
        self._wake()
        self._close()

    def _connect(self) -> Client:
        sasl = self._options.sasl
        if sasl is not None and sasl.token is not None:
            source = TokenSource(sasl.token, time.time)
            source.fetch()
            self._config["oauth_cb"] = source
        if any(subscription.on_failure.topic for subscription in self._options.subscriptions):
            self._letters = LetterBox(self._config)
            self._letters.start()
        return Client(self._config, list(self._subscriptions))

    # -- a round ------------------------------------------------------------------------------------------------

    @property
    def _the_client(self) -> Client:
        assert self._client is not None
        return self._client

    def _round(self, client: Client) -> None:
        core = self._core
        for events, records in self._take(client):
            for event in events:
                self._happened(event)
            if events or records:
                self._wait = _SHORTEST_WAIT
            if records:
                for tp, piece in client.pieces(records):
                    core.received(tp, piece)
                self._diagnosis.works()
            # At once, for the sake of latency; and before a worker's end is noted: what is meant for it must not hire
            # another one.
            self._obey()
        now = self._clock()
        self._listen(now)
        self._obey()
        for key in core.active():
            core.moved(key, self._workers[key].position, now)
        if core.commit_due(now) or core.watch_due(now):
            idle = core.idle()
            if idle:
                core.client_at(client.positions(idle))
        core.tick(now)
        self._obey()
        self._look_over(client, now)

    def _look_over(self, client: Client, now: float) -> None:
        """Do what need not be done in every round."""
        if now >= self._reconcile_at:
            self._reconcile(client, now)
        if now >= self._snapshot_at:
            if self._options.handler_timeout is not None:
                self._look_for_overdue(now)
            self._diagnosis.commit_silence(self._core.commit_silence(now))
            stopping, running = self._core.stopping, self._joined
            self._show("stopping" if stopping else "running" if running else "starting")
            self._leave_closed_loop(now)
            self._snapshot_at = now + max(_SNAPSHOT_EVERY, _SNAPSHOT_A_PARTITION * len(self.status.partitions))

    def _look_for_overdue(self, now: float) -> None:
        """Show which handlers run past their time-out: what runs in a thread cannot be cut short (D33)."""
        for worker in self._workers.values():
            overdue = worker.overdue(now)
            if overdue is not None:
                self._core.worker_said(overdue, now)

    def _leave_closed_loop(self, now: float) -> None:
        """Stop where the loop was closed without an end to `process_queue`: nobody would handle our partitions."""
        if self._loop.is_closed() and not self._core.stopping:
            _log.error("the event loop was closed while the runtime ran on it: leaving the group")
            self._core.stop(now, within=0.0)

    def _take(self, client: Client) -> Iterable[tuple[list[Event], list[Record]]]:
        """Take records, waiting for the first one as long as nothing else is expected."""
        core = self._core
        wait = self._waiting()
        if not core.flow.closed:
            self._gap = _SHORTEST_GAP
            return client.poll(core.flow.take(), wait if core.hurried else _IDLE_WAIT)
        # Taking next to nothing lets the client's queue fill and stop fetching, without a pause that would throw it
        # away. But callbacks come with records only, so one is taken now and then, and when an answer is due.
        if self._nudge.wait(wait):
            self._nudge.clear()
        now = self._clock()
        if now < self._take_at and not core.answer_due:
            return ()
        self._take_at = now + self._gap
        self._gap = min(self._gap * 2, _LONGEST_GAP)
        return client.poll(1, 0.0)

    def _waiting(self) -> float:
        """Return how long to wait for something that takes its time: a little longer each time."""
        wait = self._wait
        self._wait = min(wait * 1.1, _LONGEST_WAIT)
        return wait

    def _listen(self, now: float) -> None:
        """Take in what other threads have to say."""
        while self._said:
            event = self._said.popleft()
            self._core.worker_said(event, now)
            if isinstance(event, Failing) and self._telemetry is not None:
                self._telemetry.retried(event.key.tp.topic, event.failure.error_type)
            if isinstance(event, WorkerDone | Halted | Fatal):
                worker = self._workers.pop(event.key)
                if isinstance(worker, AsyncWorker):
                    self.async_workers.discard(worker)
            if isinstance(event, Fatal):
                self._fail(_processing_failed(event))
        while self._sightings:
            self._sighted(self._sightings.popleft(), now)
        while self._stops:
            self._core.stop(now, within=self._stops.popleft())

    def _reconcile(self, client: Client, now: float) -> None:
        """Take up partitions that the client holds and the core does not know: nobody would handle them, silently.

        It has been seen once, with a broker that took a member back under its old name after the group had disowned it.
        """
        core = self._core
        self._reconcile_at = now + _RECONCILE_EVERY
        orphans = set() if core.rebalancing else {tp for tp in client.assigned() if not core.owns(tp)}
        if orphans and orphans == self._orphans:  # for a whole interval: no rebalance is about to bring them in order
            _log.error("the client holds partitions that were lost: taking them up again: %s", _list(orphans))
            client.rest(orphans)
            core.assigned(sorted(orphans), now)
            orphans = set()
        self._orphans = orphans

    def _obey(self) -> None:
        commands = self._core.commands()
        for command in commands:
            self._do[type(command)](command)
        if self._needs_wake:
            self._wake()

    # -- the client says ----------------------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        now = self._clock()
        core = self._core
        match event:
            case Assigned(tps):
                self._joined = True
                if tps:  # a rebalance that changes nothing for this member assigns nothing
                    _log.info("assigned: %s", _list(tps))
                self._diagnosis.works(joined=True)
                core.assigned(tps, now)
            case Revoked(tps):
                _log.info("to be given back: %s", _list(tps))
                core.revoked(tps, now)
            case Lost(tps):
                _log.warning("lost: %s", _list(tps))
                core.lost(tps, now)
            case Committed(answers):
                self._committed(answers, now)
            case Trouble(error, tp):
                self._trouble(error, tp, now)
            case Jumped(tp, offset):
                core.jumped(tp, offset)
            case Statistics(text):
                self._diagnosis.statistics(text)
                if self._telemetry is not None:
                    self._telemetry.client_said(text)

    def _committed(self, answers: Sequence[tuple[TopicPartition, int, Any]], now: float) -> None:
        core = self._core
        if self._telemetry is not None:
            self._telemetry.commit_answered(answers)
        refused: dict[str, tuple[ClientError, list[TopicPartition]]] = {}
        of_this_membership = False
        for tp, offset, error in answers:
            if error is None:
                core.commit_confirmed(tp, offset, now)
            else:
                found = classify(error.name(), error.str(), Where.COMMIT, fatal=error.fatal())
                refused.setdefault(found.code, (found, []))[1].append(tp)
                of_this_membership |= core.commit_refused(tp, offset, now, unsure=found.unsure)
        if not refused:
            self._diagnosis.works()
        for found, tps in refused.values():
            _log.warning("commit refused, %s: %s", _list(tps), found)
            if found.kind in (Kind.FATAL, Kind.AUTH):
                self._fail(found.exception())
            elif found.kind is Kind.MEMBER_GONE and of_this_membership:  # a late answer tells of an earlier one
                core.member_gone(found.code, now)

    def _trouble(self, error: Any, tp: TopicPartition | None, now: float) -> None:
        if isinstance(self._error, BrokerError):
            return  # what follows from it says nothing new
        if tp is None:
            found = self._diagnosis.trouble(error, Where.CALLBACK, self._subscriptions)
        else:
            found = self._diagnosis.trouble(error, Where.RECORD, [tp.topic])
        if found is None:
            return
        if found.kind in (Kind.FATAL, Kind.AUTH):
            self._fail(self._explained(found).exception())
        elif found.kind is Kind.UNKNOWN_TOPIC or tp is None:
            self._lookout.look()  # it tells which, and when that is over
        else:
            self._core.unreadable(tp, found.code, str(found), now)

    def _explained(self, error: ClientError) -> ClientError:
        """Find out what is wrong with a broker's certificate; the client ends, so a few seconds do not matter."""
        tls = self._options.tls
        if tls is None or not error.of_certificate:
            return error
        check_host = self._config.get("ssl.endpoint.identification.algorithm") != "none"
        fault = certificate_fault(error.reason, tls, check_host=check_host)
        return error if fault is None else replace(error, what_to_do=fault)

    def _sighted(self, sighting: Sighting | Told | Started | Blind, now: float) -> None:
        if isinstance(sighting, Blind):
            self._fail(sighting.error)
            return
        if isinstance(sighting, Told):
            self._core.told(sighting.asked, sighting.ends, now)
            return
        if isinstance(sighting, Started):
            for tp in sighting.nowhere:
                self._core.unreadable(tp, "_NO_OFFSET", _NOWHERE, now)
            self._core.started(sighting.asked, sighting.starts, now)
            return
        self._core.flow.brokers(sighting.brokers)
        error = self._diagnosis.sighted(sighting, self._subscriptions, self._letter_topics)
        if error is not None:
            self._fail(error.exception())

    def _fail(self, error: BaseException) -> None:
        """End the runtime with this error; what is handled is still committed."""
        if self._error is None:
            self._error = error
            _log.error("stopping: %s", error_message(error))
        self._core.stop(self._clock())

    # -- the core says ------------------------------------------------------------------------------------------

    def _feed(self, command: Feed) -> None:
        worker = self._workers.get(command.key)
        if worker is None:
            worker = self._workers[command.key] = self._employ(command.key)
        worker.feed(command.pieces)

    def _employ(self, key: Key) -> Worker:
        subscription = self._subscriptions[key.tp.topic]
        options = self._options
        observer = None if self._telemetry is None else self._telemetry.observer(key.tp)
        terms = Terms(
            options.group_id, options.handler_timeout, self._letters, observer, self._context.copy(), self._clock
        )
        if not subscription.handler.is_async:
            return ThreadWorker(key, subscription, self._said.append, terms)
        worker = AsyncWorker(key, subscription, self._said.append, self._loop, self._needs_wake, terms)
        self.async_workers.add(worker)
        return worker

    def _commit(self, command: Commit) -> None:
        if self._telemetry is not None:
            self._telemetry.commit_sent(command.offsets)
        self._the_client.commit(command.offsets)

    def _wake(self) -> None:
        workers = list(self._needs_wake)
        self._needs_wake.clear()
        if workers:
            # A loop that is closed has no workers left to wake.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_wake_all, workers)

    def _give_back(self, command: GiveBack) -> None:
        self._the_client.unassign(command.tps)
        _log.info("given back: %s", _list(command.tps))

    def _set_stopped(self, _command: Stopped) -> None:
        self._stopped = True

    def _notice(self, notice: Notice) -> None:
        place = "" if notice.tp is None else f"{notice.tp}{'' if notice.offset is None else f'@{notice.offset}'}: "
        fields: dict[str, object] = {"messaging.consumer.group.name": self._options.group_id}
        if notice.tp is not None:
            fields["messaging.destination.name"] = notice.tp.topic
            fields["messaging.destination.partition.id"] = str(notice.tp.partition)
        if notice.offset is not None:
            fields["messaging.kafka.offset"] = notice.offset
        if notice.error_type is not None:
            fields["error.type"] = notice.error_type
        _log.log(_LEVELS[notice.level], "%s%s", place, notice.text, extra=fields)

    # -- the end ------------------------------------------------------------------------------------------------

    def _wait_for_ghosts(self) -> None:
        """Give cancelled tasks a moment to end, then name who is left behind."""
        until = self._clock() + _GHOSTS_WITHIN
        while self._core.haunted and self.async_workers and (now := self._clock()) < until:
            time.sleep(0.005)
            self._listen(now)
            self._obey()
        for key in self._core.abandon():
            _log.warning("%s: its handler is left behind and still runs", key.tp)
        self._obey()

    def _close(self) -> None:
        """Leave the group and close, in a thread of its own: with the brokers away the client takes 45 s for it."""
        closing = threading.Thread(target=self._close_clients, name="humus close", daemon=True)
        closing.start()
        closing.join(_CLOSE_WITHIN)
        if closing.is_alive():
            _log.warning("the brokers do not answer: the group will notice after the session time-out that we left")

    def _close_clients(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._letters is not None:
            self._letters.close()

    def _show(self, state: RuntimeState) -> None:
        self.status = status = self._snapshot(state)
        if self._telemetry is not None and self._telemetry.counts:
            self._figures = figures(self._core, status)

    def _snapshot(self, state: RuntimeState) -> RuntimeStatus:
        end_offset = self._end_offset if state != "stopped" else _unknown_end
        problems, warnings = self._diagnosis.texts(), self._diagnosis.warnings()
        now = self._clock()
        return snapshot(self._core, state, self._options.group_id, problems, end_offset, warnings=warnings, now=now)

    def _end_offset(self, tp: TopicPartition) -> int | None:
        """Return where the log ends: as of its last fetch, or by the cluster's word where that is later."""
        fetched = None if self._client is None else self._client.end_offset(tp)
        told = self._core.log_ends.end(tp)
        return max((end for end in (fetched, told) if end is not None), default=None)


def _wake_all(workers: list[AsyncWorker]) -> None:
    for worker in workers:
        worker.wake()


def _unknown_end(_tp: TopicPartition) -> None:
    return None


def _processing_failed(event: Fatal) -> HumusError:
    topic, partition = event.key.tp
    failed = ProcessingFailed(
        f"{error_type(event.error)}: {error_message(event.error)}",
        topic=topic,
        partition=partition,
        offset=event.offset,
    )
    failed.__cause__ = event.error
    return failed


def _list(tps: Any) -> str:
    return ", ".join(map(str, sorted(tps))) or "nothing"
