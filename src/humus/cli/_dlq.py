"""What `humus dlq` does: reads a dead-letter topic, prints what is in it, sends letters back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Message

from humus.cli._choice import Choice, parse_letter, parse_time, parse_topics
from humus.cli._cluster import Cluster
from humus.cli._dlq_print import print_end, print_list, print_plan, print_summary
from humus.cli._groups import refuse_members
from humus.cli._interrupt import Interrupt
from humus.cli._kafka import Connection
from humus.cli._letter_reader import headers_in, place_in, read_letters, timestamp_in
from humus.cli._letter_summary import Summary, row_of
from humus.cli._letters import Facts, facts_of, identity_of, instant
from humus.cli._outbox import Outbox
from humus.cli._output import out, print_json
from humus.cli._progress import BadMetadata, Progress
from humus.cli._render import as_json, as_text, printable
from humus.cli._replay import Done, Job, ProgressLine, carry_out
from humus.cli._replay_plan import Found, Plan, Range, Rules, faults_of, make_plan
from humus.errors import BrokerError, ConfigError, HumusError
from humus.queue.kafka._dead_letter import PREFIX
from humus.queue.kafka._message import TopicPartition

__all__ = ["Filters", "group_of", "list_letters", "replay", "show"]

_ASSUMED_RETENTION: Final = 7 * 86_400.0
"""Kafka's own default of `offsets.retention.minutes`, in seconds, for a user who may not ask."""
_HEADER_LIMIT: Final = 16 * 1024
_READER: Final = "humus-cli"
"""A group that is named because the client wants one; nothing is asked of it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as they were typed."""

    since: str | None = None
    until: str | None = None
    exception: Sequence[str] = ()
    source: Sequence[str] = ()
    letter: Sequence[str] = ()
    max_replays: int | None = None

    def choice(self) -> Choice:
        """Return what they mean.

        Raises:
            ConfigError: one of them means nothing.
        """
        now = datetime.now(UTC)
        return Choice(
            None if self.since is None else _read("--since", lambda text: parse_time(text, now), self.since),
            None if self.until is None else _read("--until", lambda text: parse_time(text, now), self.until),
            tuple(self.exception),
            tuple(_read("--source", parse_topics, self.source).items()),
            frozenset(_read("--letter", parse_letter, each) for each in self.letter),
            self.max_replays,
        )


def group_of(topic: str, group: str | None) -> str:
    """Return the group that holds the progress of a topic's replays."""
    return group or f"humus-replay-{topic}"


def list_letters(
    connection: Connection, topic: str, filters: Filters, group: str | None, *, each: bool, json: bool
) -> None:
    """Print how many letters there are of each kind, or all of them."""
    choice = filters.choice()
    group = group_of(topic, group)
    summary = Summary()
    rows: list[dict[str, Any]] = []
    with Cluster(connection) as cluster:
        job = Job(cluster, topic, group, _ranges(cluster, topic, choice))
        progress = _progress(job)
        for _, facts in _scan(job):
            if not choice.takes(facts):
                continue
            replayed = facts.partition in progress and facts.offset in progress[facts.partition]
            summary.add(facts, replayed=replayed)
            if each:
                rows.append(row_of(facts, replayed=replayed))
    if json:
        print_json({"topic": topic, "group": group, **summary.as_json(), **({"list": rows} if each else {})})
    elif each:
        print_list(rows)
    else:
        print_summary(topic, summary)


def show(
    connection: Connection, topic: str, partition: int, offset: int | None, *, payload: bool, limit: int, json: bool
) -> None:
    """Print one letter: its headers, and its key and value only where `payload` asks for them."""
    with Cluster(connection) as cluster:
        at = TopicPartition(topic, partition)
        if at not in cluster.partitions(topic):
            raise BrokerError(f"{topic} has no partition {partition}")
        begin, end = cluster.begins([at])[at], cluster.ends([at], stable=True)[at]
        letter = _find(cluster, at, offset, begin, end)
    if json:
        print_json(_as_json(letter, payload=payload, limit=limit))
        return
    place = place_in(letter)
    out(f"{topic}[{place[0]}]@{place[1]}, {instant(timestamp_in(letter)) or 'without a time'}")
    for name, value in headers_in(letter):
        lines = name == f"{PREFIX}exception.stacktrace"
        text = as_text(value, _HEADER_LIMIT, lines=lines)
        out(f"{printable(name)}:\n{text}" if lines and "\n" in text else f"{printable(name)}: {text}")
    for what, data in (("key", letter.key()), ("value", letter.value())):
        if payload:
            out(f"{what}: {as_text(data, limit, lines=True)}")
        else:
            out(f"{what}: {'(none)' if data is None else f'{len(data):,} bytes (--payload shows them)'}")


def replay(
    connection: Connection,
    topic: str,
    filters: Filters,
    group: str | None,
    rules: Rules,
    *,
    execute: bool,
    json: bool,
) -> None:
    """Print what a replay would do; with `execute` it is done."""
    choice = filters.choice()
    group = group_of(topic, group)
    done = Done()
    with Cluster(connection) as cluster:
        refuse_members(cluster.group(group), f"cannot replay as the group {group}")
        topics = cluster.topics()
        job = Job(cluster, topic, group, _ranges(cluster, topic, choice))
        found = _found(job, choice)
        rules = _with_memory(rules, cluster)
        plan = _plan(job, found, _progress(job), topics, rules)
        if not json:
            print_plan(plan, topic)
        if execute and plan.steps:
            with Interrupt() as stopping, Outbox(cluster, topic, group) as outbox:
                # Only now nobody else goes on: what another replay did meanwhile counts.
                progress = _progress(job, stable=True)
                plan = _plan(job, found, progress, topics, rules)
                _carry_out(job, outbox, plan, progress, stopping, done)
    print_end(plan, topic, group, done, execute=execute, json=json)


# -- reading -----------------------------------------------------------------------------------------------------------


def _ranges(cluster: Cluster, topic: str, choice: Choice) -> dict[int, Range]:
    """Return what of each partition is to be read; `--since` leaves out what the broker knows to be older."""
    partitions = cluster.partitions(topic)
    begins, ends = cluster.begins(partitions), cluster.ends(partitions, stable=True)
    since = {} if choice.since is None else cluster.at_time(partitions, choice.since)
    return {
        at.partition: Range(
            begins[at],
            begins[at] if choice.since is None else max(begins[at], min(since.get(at, ends[at]), ends[at])),
            ends[at],
        )
        for at in partitions
    }


def _scan(job: Job) -> Iterator[tuple[Message, Facts]]:
    stretches = {partition: (each.start, each.end) for partition, each in job.ranges.items()}
    for letter in read_letters(job.cluster, job.topic, stretches, job.group):
        yield letter, facts_of(*place_in(letter), timestamp_in(letter), headers_in(letter))


def _found(job: Job, choice: Choice) -> dict[int, list[Found]]:
    found: dict[int, list[Found]] = {partition: [] for partition in job.ranges}
    for letter, facts in _scan(job):
        key: Any = letter.key()
        value: Any = letter.value()
        origin = facts.origin
        identity = None if origin is None else identity_of(origin, key, value, headers_in(letter))
        found[facts.partition].append(Found(*facts[:3], origin, identity, choice.takes(facts), facts.replays))
    return found


def _progress(job: Job, *, stable: bool = False) -> dict[int, Progress]:
    """Return how far replays came; `stable` needs this to be the only one, or it waits for the others' transactions."""
    partitions = [TopicPartition(job.topic, partition) for partition in job.ranges]
    committed = job.cluster.committed(job.group, partitions, stable=stable)
    try:
        return {at.partition: Progress.read(found.offset, found.metadata) for at, found in committed.items()}
    except BadMetadata as error:
        raise BrokerError(
            f"the group {job.group} holds no progress of a replay: {error}. Choose another one with --group"
        ) from None


def _find(cluster: Cluster, at: TopicPartition, offset: int | None, begin: int, end: int) -> Message:
    """Return a letter; without an offset the partition's last one."""
    if offset is not None:
        if begin <= offset < end:
            for letter in read_letters(cluster, at.topic, {at.partition: (offset, offset + 1)}, _READER):
                return letter
        raise BrokerError(f"{at} has no record at offset {offset}: its log goes from {begin} to {end}")
    # The last offsets may be of markers: step back until there is a record.
    step = 16
    while True:
        start = max(begin, end - step)
        last = None
        for last in read_letters(cluster, at.topic, {at.partition: (start, end)}, _READER):  # noqa: B007 - the last one
            pass
        if last is not None:
            return last
        if start == begin:
            raise BrokerError(f"{at} is empty")
        step *= 16


# -- replaying ---------------------------------------------------------------------------------------------------------


def _with_memory(rules: Rules, cluster: Cluster) -> Rules:
    retention = cluster.offsets_retention()
    forgotten = time.time() - (_ASSUMED_RETENTION if retention is None else retention)
    return replace(rules, forgotten_before=round(forgotten * 1000))


def _plan(
    job: Job,
    found: Mapping[int, Sequence[Found]],
    progress: Mapping[int, Progress],
    topics: Mapping[str, int],
    rules: Rules,
) -> Plan:
    plan = make_plan(found, job.ranges, progress, topics, rules)
    faults = faults_of(plan, rules, job.group)
    if faults:
        raise HumusError("\n".join([*faults, "nothing was replayed"]))
    return plan


def _carry_out(  # noqa: PLR0917 - what `carry_out` needs
    job: Job, outbox: Outbox, plan: Plan, progress: Mapping[int, Progress], stopping: Callable[[], bool], done: Done
) -> None:
    line = ProgressLine(plan.to_send)
    try:
        carry_out(job, outbox, plan, progress, stopping=stopping, tell=line, done=done)
    except HumusError as error:
        line.end()
        raise BrokerError(
            f"{error}\n{done.sent:,} of {plan.to_send:,} letters are replayed and confirmed; the same command goes on "
            "with the others"
        ) from None
    line.end()


def _as_json(letter: Message, *, payload: bool, limit: int) -> dict[str, Any]:
    headers = [{"name": name, "value": as_json(value, _HEADER_LIMIT)} for name, value in headers_in(letter)]
    partition, offset = place_in(letter)
    key: Any = letter.key()
    value: Any = letter.value()
    shown = limit if payload else 0
    return {
        "topic": letter.topic(),
        "partition": partition,
        "offset": offset,
        "time": instant(timestamp_in(letter)),
        "headers": headers,
        "key": as_json(key, shown),
        "value": as_json(value, shown),
    }


def _read(option: str, parse: Callable[[Any], Any], given: Any) -> Any:
    try:
        return parse(given)
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from None
