"""What is left when it is over: the members' notes, the topics, the commits as the broker wrote them, Kafka's own say.

All times are in ns of the machine's clock, which members and brokers share.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from tests.chaos.crew import Group
from tests.chaos.member import DONE, NOTE, STARTED
from tests.chaos.plan import Fault
from tests.chaos.source import KEYS, Source
from tests.integration.commit_log import commits
from tests.kafka.access import Kafka
from tests.kafka.tools import GroupOffset

__all__ = ["Attempt", "Committed", "Evidence", "GroupEvidence", "Happened", "collect"]

_WITHIN: Final = 30.0
_BATCH: Final = 10_000
_MS: Final = 1_000_000
_COMES_AGAIN: Final = re.compile(rb"\[(\d+)\]: (?:left|given back|lost) with commits outstanding: up to \d+ handled")


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault, as it was carried out; `pid` is the member's it befell, `number` its group's or the broker's."""

    fault: Fault
    number: int
    pid: int | None
    began: int
    ended: int


@dataclass(slots=True)
class Attempt:
    """A member handled a record; `done` is `None` where it did not come to an end. `sends` counts retries, too."""

    pid: int
    number: int
    started: int
    done: int | None = None
    sends: int = 1


class Committed(NamedTuple):
    """The broker took a commit; to the millisecond."""

    partition: int
    offset: int
    at: int


@dataclass(slots=True)
class GroupEvidence:
    """What is known of one group; `attempts` by partition and offset, each list in the order in which they began."""

    number: int
    protocol: str
    attempts: Mapping[tuple[int, int], list[Attempt]]
    commits: Sequence[Committed]
    kafka_says: Mapping[int, GroupOffset]
    overlaps: Sequence[str] = ()
    """Records that a process began while it had another one of their partition in hand."""
    announced: frozenset[tuple[int, int]] = frozenset()
    """(process, partition) where a member logged that it could not have all confirmed."""


@dataclass(slots=True)
class Evidence:
    """All of it. `topics`: the numbers of the records, by partition, in the order of the log.

    A record's key is its number modulo `keys`.
    """

    records: int
    keys: int
    confirmed: Mapping[int, tuple[int, int]]
    topics: Sequence[Mapping[int, Sequence[int]]]
    groups: Sequence[GroupEvidence]
    happened: Sequence[Happened] = field(default_factory=list)


def collect(kafka: Kafka, source: Source, groups: Sequence[Group], happened: Sequence[Happened]) -> Evidence:
    """Collect it, once all members have left."""
    with ThreadPoolExecutor(len(groups)) as side_by_side:
        said = list(side_by_side.map(lambda group: kafka.tools.group_offsets(group.name, group.topic), groups))
    return Evidence(
        source.records,
        KEYS,
        source.confirmed(),
        [_read(kafka, group.topic) for group in groups],
        [_of_group(kafka, group, says) for group, says in zip(groups, said, strict=True)],
        happened,
    )


def _of_group(kafka: Kafka, group: Group, kafka_says: Mapping[int, GroupOffset]) -> GroupEvidence:
    attempts: defaultdict[tuple[int, int], list[Attempt]] = defaultdict(list)
    overlaps: list[str] = []
    announced: set[tuple[int, int]] = set()
    for one in group.members:
        if one.notes.exists():
            overlaps += read_notes(one.pid, one.notes.read_bytes(), attempts)
        announced.update((one.pid, int(found)) for found in _COMES_AGAIN.findall(one.service.log.read_bytes()))
    for of_one in attempts.values():
        if len(of_one) > 1:
            of_one.sort(key=lambda attempt: attempt.started)
    log = [Committed(at.partition, at.offset, at.at * _MS) for at in commits(kafka, group.name, group.topic)]
    return GroupEvidence(group.number, group.protocol, attempts, log, kafka_says, tuple(overlaps), frozenset(announced))


def read_notes(pid: int, notes: bytes, attempts: defaultdict[tuple[int, int], list[Attempt]]) -> Iterable[str]:
    """Read a member's notes into `attempts`; return what it did side by side and should not have."""
    in_hand: dict[int, int] = {}  # partition -> offset
    last: dict[int, Attempt] = {}
    overlaps = []
    whole = len(notes) - len(notes) % NOTE.size  # it may have been killed within a note
    for at, offset, number, partition, what, attempt in NOTE.iter_unpack(notes[:whole]):
        held = in_hand.pop(partition, None)
        if what == STARTED:
            if held is not None:
                overlaps.append(f"process {pid}, partition {partition}: {offset} began while {held} was in hand")
            in_hand[partition] = offset
            if attempt > 1:
                last[partition].sends += 1
            else:
                last[partition] = Attempt(pid, number, at)
                attempts[partition, offset].append(last[partition])
        elif held != offset:
            overlaps.append(f"process {pid}, partition {partition}: {offset} ended while {held} was in hand")
        elif what == DONE:
            last[partition].done = at
    return overlaps


def _read(kafka: Kafka, topic: str) -> dict[int, list[int]]:
    """Read a topic from its beginning to its end."""
    ends = {at: end for at, end in kafka.admin.end_offsets(topic).items() if end}
    found: dict[int, list[int]] = {at: [] for at in kafka.admin.partitions(topic)}
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "nobody", "enable.auto.commit": False}
    consumer = Consumer(config)
    try:
        consumer.assign([TopicPartition(topic, at, 0) for at in ends])
        left = sum(ends.values())
        while left:
            messages = consumer.consume(min(_BATCH, left), _WITHIN)
            assert messages, f"{topic} cannot be read: {left} records are missing"
            for message in messages:
                assert message.error() is None, str(message.error())
                found[message.partition() or 0].append(int(message.value() or b"-1"))
            left -= len(messages)
    finally:
        consumer.close()
    return found
