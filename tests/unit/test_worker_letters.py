"""The workers and their dead letters, without a broker: what they wait for, and how the wait can end (D32)."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.pieces import piece, tp_of

from humus.queue import kafka
from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._commands import DeadLettered, Fatal, Halted, Waits, WorkerDone, WorkerEvent
from humus.queue.kafka._dead_letter import Answered, DeadLetter, Refusal
from humus.queue.kafka._partition import Key
from humus.queue.kafka._subscription import at_least_once
from humus.queue.kafka._thread_worker import ThreadWorker
from humus.queue.kafka._worker import Terms, Worker

KEY = Key(tp_of(), 1)
WITHIN = 30.0
TOO_LARGE = Refusal("MSG_SIZE_TOO_LARGE", "too large")
AWAY = Refusal("_UNKNOWN_TOPIC", "not there")

both = pytest.mark.parametrize("kind", ["async", "def"])


class Box:
    """A letter box that answers each letter as planned, on a thread of its own; `None`: it is written."""

    def __init__(self, *answers: Refusal | Callable[[Answered], None] | None) -> None:
        self.letters: list[DeadLetter] = []
        self._answers = list(answers)

    def post(self, letter: DeadLetter, answered: Answered) -> None:
        """Note the letter."""
        self.letters.append(letter)
        answer = self._answers.pop(0)
        if callable(answer):
            answer(answered)
        else:
            threading.Thread(target=answered, args=(answer,)).start()


def run(kind: str, box: Box, *, beside: Callable[[Worker, Box], None] = lambda *_: None) -> list[WorkerEvent]:
    """Let a worker of this kind handle records 0 to 2, of which 1 fails; return all that it said."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    terms = Terms("the group", letters=box)

    def process(msg: kafka.Message) -> None:
        if msg.offset == 1:
            raise ValueError("no good")

    async def aprocess(msg: kafka.Message) -> None:
        process(msg)

    processor: Any = aprocess if kind == "async" else process
    subscription = at_least_once(
        "orders", processor, retry=kafka.Retry(max_attempts=1), on_failure=kafka.dead_letter("dlt")
    )

    async def on_loop() -> None:
        loop = asyncio.get_running_loop()
        worker = AsyncWorker(KEY, subscription, said.put, loop, set(), terms)
        worker.feed([piece([0, 1, 2])])
        worker.drain(finish=True)
        worker.wake()
        task = worker.task
        assert task is not None

        def wake() -> None:
            beside(worker, box)
            loop.call_soon_threadsafe(worker.wake)

        helper = threading.Thread(target=wake)
        helper.start()
        await asyncio.wait([task], timeout=WITHIN)
        helper.join()

    if kind == "async":
        asyncio.run(on_loop())
    else:
        worker = ThreadWorker(KEY, subscription, said.put, terms)
        worker.feed([piece([0, 1, 2])])
        worker.drain(finish=True)
        beside(worker, box)
    events: list[WorkerEvent] = []
    while not events or not isinstance(events[-1], WorkerDone | Halted | Fatal):
        events.append(said.get(timeout=WITHIN))
    return events


@both
def test_the_partition_goes_on_behind_a_confirmed_letter(kind: str) -> None:
    """D32: the record counts as handled once its letter is confirmed, and the records behind it are handled."""
    box = Box(None)
    waits, lettered, done = run(kind, box)
    assert isinstance(waits, Waits)
    assert "its dead letter to dlt is not confirmed yet" in waits.failure.reason
    assert isinstance(lettered, DeadLettered)
    assert (lettered.failure.offset, lettered.failure.reason) == (1, "no good")
    assert done == WorkerDone(KEY, 3)
    [letter] = box.letters
    assert letter.topic == "dlt"
    assert kafka.Header("humus.dlt.group", b"the group") in letter.headers
    assert kafka.Header("humus.dlt.exception.type", b"ValueError") in letter.headers


@both
def test_a_refused_letter_is_posted_again(kind: str) -> None:
    """D32: while the topic is not available the partition waits, and shows why; nothing behind it is handled."""
    box = Box(AWAY, AWAY, None)
    events = run(kind, box)
    assert [type(event) for event in events] == [Waits, Waits, Waits, DeadLettered, WorkerDone]
    assert isinstance(events[1], Waits)
    assert "create the dead-letter topic" in events[1].failure.reason
    assert box.letters[0] == box.letters[1] == box.letters[2]
    assert events[-1] == WorkerDone(KEY, 3)


@both
def test_a_letter_that_can_never_be_written_halts_the_partition(kind: str) -> None:
    """D32: it is posted once, not for ever, and the partition stops at the record and says why."""
    box = Box(TOO_LARGE)
    waits, halted = run(kind, box)
    assert isinstance(waits, Waits)
    assert isinstance(halted, Halted)
    assert halted.failure.offset == 1
    assert halted.failure.error_type == "humus.errors.DeadLetterFailed"
    assert "can never be written: too large (MSG_SIZE_TOO_LARGE): it is larger than" in halted.failure.reason
    assert len(box.letters) == 1


@both
@pytest.mark.parametrize("answers_late", [False, True])
def test_a_cancelled_worker_does_not_wait_for_its_letter(kind: str, answers_late: bool) -> None:
    """D41: at the end of the drain a record whose letter is not confirmed is not handled, whatever comes later."""
    posted = threading.Event()
    late: list[Answered] = []

    def keep(answered: Answered) -> None:
        late.append(answered)
        posted.set()

    def cancel(worker: Worker, _box: Box) -> None:
        assert posted.wait(WITHIN)
        worker.cancel()

    *_, done = run(kind, Box(keep), beside=cancel)
    assert done == WorkerDone(KEY, 1)
    if answers_late:
        late[0](None)  # the loop may be closed by now: nobody is told, nothing is raised


@both
def test_a_drain_lets_the_letter_of_the_record_in_flight_be_confirmed(kind: str) -> None:
    """D40: a letter belongs to the record in flight, which may finish before its partition is given back."""
    posted = threading.Event()
    kept: list[Answered] = []

    def keep(answered: Answered) -> None:
        kept.append(answered)
        posted.set()

    def drain(worker: Worker, _box: Box) -> None:
        assert posted.wait(WITHIN)
        worker.drain(finish=False)
        kept[0](None)

    *_, lettered, done = run(kind, Box(keep), beside=drain)
    assert isinstance(lettered, DeadLettered)
    assert done == WorkerDone(KEY, 2)


@both
def test_a_drain_ends_the_wait_before_a_letter_is_posted_again(kind: str) -> None:
    """D40: a letter that was refused is not written, so the drain does not wait until it is posted again."""
    refused = threading.Event()

    def refuse(answered: Answered) -> None:
        answered(AWAY)
        refused.set()

    def drain(worker: Worker, _box: Box) -> None:
        assert refused.wait(WITHIN)
        worker.drain(finish=False)

    box = Box(refuse)
    *_, done = run(kind, box, beside=drain)
    assert done == WorkerDone(KEY, 1)
    assert len(box.letters) == 1
