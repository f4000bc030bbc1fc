"""`humus dlq` on a real broker: what is listed, and that a replay sends each letter once, whatever interrupts it."""

import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from humus.queue.kafka._dead_letter import LastFailure, dead_letter_of
from humus.testing import message
from tests.integration.command_line import fails, humus, humus_json, start_humus
from tests.kafka import processes
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually
from tests.kafka.records import Record

OWN = (("a", b"\xff\x00"), ("a", None), ("traceparent", b"00-1-2-01"))


def letter(
    topic: str, number: int, *, partition: int = 0, exception: str = "app.NoSuchCustomer", dead: int = 0
) -> Record:
    """Return the dead letter of record `number` of a topic's partition, as the runtime writes it."""
    record = message(b"v%d" % number, key=b"k%d" % number, headers=OWN, topic=topic, partition=partition, offset=number)
    found = dead_letter_of(record, LastFailure("g", 3, exception, "no \x1b[2J good", "File"), "dlt")
    return Record(found.value, key=found.key, headers=(*found.headers, ("traceparent", b"00-9-9-01")), partition=dead)


def committed_in(kafka: Kafka, topic: str, partitions: int = 1) -> list[Message]:
    """Return all records of a topic that a reader of committed records sees, up to its end of now."""
    group = {"group.id": "humus-tests-reader", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "enable.partition.eof": True, **group})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found: list[Message] = []
    ends = 0
    try:
        while ends < partitions:
            for record in consumer.consume(500, 0.2):
                error = record.error()
                if error is None:
                    found.append(record)
                else:
                    assert error.name() == "_PARTITION_EOF", error
                    ends += 1
    finally:
        consumer.close()
    return found


def values(records: Sequence[Message]) -> Counter[object]:
    """Return how often each value is there."""
    return Counter(record.value() for record in records)


@pytest.fixture
def dead(topic: MakeTopic) -> str:
    """Return a dead-letter topic of two partitions."""
    return topic(2)


@pytest.fixture
def source(topic: MakeTopic) -> str:
    """Return a source topic of two partitions."""
    return topic(2)


def test_letters_are_counted_and_listed(kafka: Kafka, produce: Produce, source: str, dead: str) -> None:
    """By exception and source, or one by one; filters choose; nothing foreign reaches the terminal as it is."""
    produce(
        dead,
        letter(source, 0),
        letter(source, 1, partition=1, exception="builtins.ValueError", dead=1),
        letter(source, 2),
        Record(b"foreign", partition=1),
    )
    at = ("-b", kafka.bootstrap)
    found = humus_json("dlq", "list", dead, *at)
    assert (found["letters"], found["replayed"]) == (4, 0)
    assert [(row["letters"], row["exception"], row["topic"], row["partition"]) for row in found["kinds"]] == [
        (2, "app.NoSuchCustomer", source, 0),
        (1, None, None, None),
        (1, "builtins.ValueError", source, 1),
    ]
    one = humus_json("dlq", "list", dead, "--letters", "-e", "ValueError", "--source", f"{source}:1", *at)["list"]
    assert [(row["partition"], row["offset"], row["original_offset"], row["attempts"]) for row in one] == [(1, 0, 1, 3)]
    assert humus_json("dlq", "list", dead, "--until", "1h", *at)["letters"] == 0
    assert humus_json("dlq", "list", dead, "--since", "1h", *at)["letters"] == 4
    shown = humus("dlq", "list", dead, "--letters", *at).stdout
    assert "no \\x1b[2J good" in shown
    assert "\x1b" not in shown


def test_a_letter_is_shown_and_its_payload_only_when_asked(
    kafka: Kafka, produce: Produce, source: str, dead: str
) -> None:
    """Headers always; key and value on `--payload`, within its limit; the last one of a partition by its name."""
    produce(dead, letter(source, 0), letter(source, 777))
    at = ("-b", kafka.bootstrap)
    shown = humus("dlq", "show", dead, 0, 0, *at).stdout
    assert f"humus.dlt.original.topic: {source}\n" in shown
    assert "a: 0xff00\n" in shown
    assert "value: 2 bytes (--payload shows them)" in shown
    assert "v0" not in shown
    shown = humus("dlq", "show", dead, 0, "--last", "--payload", "--limit", 3, *at).stdout
    assert "value: v77... (1 bytes more)" in shown
    found = humus_json("dlq", "show", dead, 0, 0, "--payload", *at)
    assert found["value"] == {"bytes": 2, "text": "v0", "cut": False}
    assert "has no record at offset 9: its log goes from 0 to 2" in fails(1, "dlq", "show", dead, 0, 9, *at)
    assert "is empty" in fails(1, "dlq", "show", dead, 1, "--last", *at)
    assert "has no partition 2" in fails(1, "dlq", "show", dead, 2, 0, *at)
    assert "either its OFFSET, or --last" in fails(2, "dlq", "show", dead, 0, *at)


def test_a_replayed_record_is_the_one_that_failed(kafka: Kafka, produce: Produce, source: str, dead: str) -> None:
    """Back in its partition with key, value and headers byte for byte, and a count of its replays; a tombstone too."""
    tombstone = letter(source, 1)
    produce(
        dead,
        letter(source, 0, partition=1),
        Record(None, key=None, headers=tombstone.headers, partition=0),
        partition=0,
    )
    dry = humus("dlq", "replay", dead, "-b", kafka.bootstrap)
    assert "dry run: nothing was replayed" in dry.stderr
    assert committed_in(kafka, source, 2) == []
    assert humus_json("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")["sent"] == 2
    found = sorted(committed_in(kafka, source, 2), key=lambda record: record.partition() or 0)
    assert [(record.partition(), record.key(), record.value()) for record in found] == [
        (0, None, None),
        (1, b"k0", b"v0"),
    ]
    for record in found:
        assert record.headers() == [*OWN, ("humus.replays", b"1")]
    offsets = kafka.tools.group_offsets(f"humus-replay-{dead}", dead)
    assert {at: (each.committed, each.lag) for at, each in offsets.items()} == {0: (2, 0)}


def test_filters_pass_letters_over_and_no_replay_repeats_another(
    kafka: Kafka, produce: Produce, source: str, dead: str
) -> None:
    """Any order of filters: each letter goes out once, those passed over later, new ones as well."""
    produce(dead, *(letter(source, at, exception=f"app.E{at % 3}", dead=at % 2) for at in range(30)))
    replay = ("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    assert humus_json(*replay, "-e", "E1")["sent"] == 10
    assert humus_json(*replay, "--letter", "0:0", "--letter", "1:2")["sent"] == 2
    assert humus_json(*replay, "-e", "E*", "--limit", 5)["beyond_limit"] == 13
    assert humus_json("dlq", "list", dead, "-b", kafka.bootstrap)["replayed"] == 17
    produce(dead, letter(source, 30))
    assert humus_json(*replay)["sent"] == 14
    assert humus_json(*replay)["to_send"] == 0
    assert values(committed_in(kafka, source, 2)) == Counter({b"v%d" % at: 1 for at in range(31)})


def test_a_letter_that_was_written_twice_goes_out_once(kafka: Kafka, produce: Produce, source: str, dead: str) -> None:
    """A crash may write a letter twice (D32): its copy counts as replayed with it, in one replay and across two."""
    produce(dead, letter(source, 0), letter(source, 0), letter(source, 1), letter(source, 1, dead=1))
    replay = ("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    found = humus_json(*replay, "--letter", "0:0", "--letter", "0:1", "--letter", "0:2")
    assert (found["sent"], found["copies"]) == (2, 1)
    found = humus_json(*replay)
    assert (found["sent"], found["copies"]) == (0, 1)
    assert values(committed_in(kafka, source, 2)) == Counter({b"v0": 1, b"v1": 1})


def test_what_cannot_be_replayed_stops_it_before_it_begins(
    kafka: Kafka, produce: Produce, topic: MakeTopic, source: str, dead: str
) -> None:
    """A foreign letter and a source that is gone are named, exit code 1, nothing is sent; the way out works."""
    produce(dead, letter(source, 0), Record(b"foreign", partition=0), letter("no-such-topic", 2))
    replay = ("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    said = fails(1, *replay)
    assert f"{dead}[0]@1 is no dead letter of ours" in said
    assert "the topic no-such-topic does not exist, and 1 letter came from there" in said
    assert "nothing was replayed" in said
    assert committed_in(kafka, source, 2) == []
    assert humus_json(*replay, "--skip-foreign", "--source", source)["sent"] == 1
    elsewhere = topic()
    assert humus_json(*replay, "--to", elsewhere)["sent"] == 2
    assert values(committed_in(kafka, elsewhere)) == Counter({b"foreign": 1, b"v2": 1})
    assert values(committed_in(kafka, source, 2)) == Counter({b"v0": 1})


def test_a_letter_that_a_topic_refuses_is_named(kafka: Kafka, produce: Produce, topic: MakeTopic, dead: str) -> None:
    """Too large for its source topic: the batch counts for nothing, the message names the letter and what to do."""
    small = topic(config={"max.message.bytes": "1000"})
    large = letter(small, 1)
    produce(dead, letter(small, 0), Record(b"x" * 2000, key=b"k", headers=large.headers, partition=0))
    said = fails(1, "dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    assert f"cannot replay {dead}[0]@1 to {small}" in said
    assert "raise max.message.bytes of the topic" in said
    assert "0 of 2 letters are replayed and confirmed" in said
    assert committed_in(kafka, small) == []
    assert humus_json("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute", "--letter", "0:0")["sent"] == 1


def test_wrong_groups_and_topics(kafka: Kafka, produce: Produce, source: str, dead: str, group: str) -> None:
    """A topic that is not there, a group whose offsets are no progress: each said, exit code 1."""
    produce(dead, letter(source, 0))
    at = ("-b", kafka.bootstrap)
    assert "there is no topic nowhere" in fails(1, "dlq", "list", "nowhere", *at)
    assert "there is no topic nowhere" in fails(1, "dlq", "replay", "nowhere", *at)
    other = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    other.commit(offsets=[TopicPartition(dead, 0, 1, metadata="theirs")], asynchronous=False)
    other.close()
    said = fails(1, "dlq", "replay", dead, "--group", group, *at)
    assert f"the group {group} holds no progress of a replay" in said
    assert "--since must be a time with its zone" in fails(2, "dlq", "list", dead, "--since", "yesterday", *at)


def test_letters_older_than_the_brokers_memory_need_a_word(
    kafka: Kafka, produce: Produce, source: str, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No progress, and letters older than offsets are kept: they may have been replayed, so it asks first."""
    produce(dead, letter(source, 0))
    replay = ("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    monkeypatch.setattr("humus.cli._cluster.Cluster.offsets_retention", lambda _self: -60.0)
    assert f"{dead}[0]@0 is older than the broker remembers" in fails(1, *replay)
    assert humus_json(*replay, "--first-time")["sent"] == 1
    assert humus_json(*replay)["to_send"] == 0


@pytest.fixture
def many(produce: Produce, source: str, dead: str) -> int:
    """Fill the dead-letter topic, and return how many letters there are."""
    count = 4000
    produce(dead, *(letter(source, at, partition=at % 2, dead=at % 2) for at in range(count)))
    return count


def wait_for_letters(kafka: Kafka, source: str, count: int) -> None:
    """Wait until so many offsets of the source topic are written, committed or not."""
    eventually(lambda: sum(kafka.admin.end_offsets(source).values()), lambda ends: ends > count, every=0.01)


def test_killed_in_the_middle_nothing_comes_twice(
    kafka: Kafka, source: str, dead: str, many: int, tmp_path: Path
) -> None:
    """SIGKILL three times within open transactions, then once to the end: each letter is there exactly once."""
    for number in range(1, 4):
        process = start_humus(tmp_path / f"{number}.log", "dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
        wait_for_letters(kafka, source, number * 700)
        processes.end(process)
        dry = humus("dlq", "replay", dead, "-b", kafka.bootstrap)
        assert dry.exit_code == 0, dry.output  # a broken batch keeps nobody waiting
    found = humus_json("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    assert 0 < found["sent"] < many
    assert found["already_replayed"] + found["sent"] == many
    assert values(committed_in(kafka, source, 2)) == Counter({b"v%d" % at: 1 for at in range(many)})


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_between_two_letters(
    kafka: Kafka, source: str, dead: str, many: int, tmp_path: Path, sent: signal.Signals
) -> None:
    """Ctrl-C: what is sent is confirmed, the message says what is left, exit code 130, and the same command goes on."""
    log = tmp_path / "replay.log"
    process = start_humus(log, "dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    wait_for_letters(kafka, source, 300)
    process.send_signal(sent)
    assert process.wait(30) == 130, log.read_text()
    processes.end(process)
    assert "not replayed yet; the same command goes on with them" in log.read_text()
    before = len(committed_in(kafka, source, 2))
    assert 0 < before < many
    assert humus_json("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")["sent"] == many - before
    assert values(committed_in(kafka, source, 2)) == Counter({b"v%d" % at: 1 for at in range(many)})


def test_of_two_replays_the_later_one_takes_over(
    kafka: Kafka, source: str, dead: str, many: int, tmp_path: Path
) -> None:
    """The earlier one is fenced and says so, exit code 1; together they have sent each letter once."""
    log = tmp_path / "first.log"
    process = start_humus(log, "dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    wait_for_letters(kafka, source, 300)
    process.send_signal(signal.SIGSTOP)
    second = humus_json("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 1, log.read_text()
    processes.end(process)
    assert "another replay with the group" in log.read_text()
    assert second["sent"] > 0
    assert values(committed_in(kafka, source, 2)) == Counter({b"v%d" % at: 1 for at in range(many)})


def test_what_another_replay_did_since_the_plan_counts(
    kafka: Kafka, produce: Produce, source: str, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the plan and its beginning somebody else replays some: they are not sent again."""
    produce(dead, *(letter(source, at, dead=at % 2) for at in range(10)))
    replay = ("dlq", "replay", dead, "-b", kafka.bootstrap, "--execute")

    def replay_some(*_plan: object) -> None:
        assert humus_json(*replay, "--limit", 4)["sent"] == 4

    monkeypatch.setattr("humus.cli._dlq.print_plan", replay_some)
    assert "replayed and confirmed: 6 letters" in humus(*replay).stdout
    assert values(committed_in(kafka, source, 2)) == Counter({b"v%d" % at: 1 for at in range(10)})
