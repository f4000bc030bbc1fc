"""`humus lag` and `humus offsets` on a real broker, with Kafka's own tools as the other end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from confluent_kafka import Consumer

from humus.cli._offset_plan import plan_reset
from tests.integration.command_line import fails, humus, humus_json
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import AclOperation, ResourceType, eventually
from tests.kafka.properties import PASSWORD, USER
from tests.kafka.records import Record

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
"""Not long ago: the broker deletes what is older than an hour."""
Protocol = Literal["classic", "consumer"]
both_protocols = pytest.mark.parametrize("protocol", ["classic", "consumer"])


@contextmanager
def member(kafka: Kafka, group: str, topic: str, protocol: Protocol) -> Iterator[None]:
    """Have a member of the group that has every partition of the topic, by a client that is not ours."""
    own: dict[str, Any] = {"group.id": group, "group.protocol": protocol, "client.id": "worker", "log_level": 0}
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "enable.auto.commit": False, **own})
    consumer.subscribe([topic])
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            consumer.poll(0.05)
        consumer.close()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        eventually(
            lambda: kafka.admin.members(group), lambda found: any(each.assignment.topic_partitions for each in found)
        )
        yield
    finally:
        stop.set()
        thread.join(20)


@pytest.fixture
def filled(topic: MakeTopic, produce: Produce) -> str:
    """Return a topic with 10 and 4 records, one a second from `BEGAN` on, and an empty partition."""
    name = topic(3)
    for partition, count in ((0, 10), (1, 4)):
        produce(
            name,
            *(
                Record(b"", partition=partition, timestamp=round(BEGAN.timestamp() * 1000) + 1000 * at)
                for at in range(count)
            ),
        )
    return name


def committed(kafka: Kafka, group: str, topic: str) -> dict[int, int | None]:
    """Return what Kafka's own tool says is committed."""
    return {at: found.committed for at, found in kafka.tools.group_offsets(group, topic).items()}


@both_protocols
def test_lag_is_what_kafkas_own_tool_says(kafka: Kafka, group: str, filled: str, protocol: Protocol) -> None:
    """Committed offset, end and lag agree with `kafka-consumer-groups`, and the member is named, by either protocol."""
    where = ("offsets", "reset", group, "-b", kafka.bootstrap, "--create", "--execute")
    humus_json(*where, "--topic", f"{filled}:0", "--to", 3)
    with member(kafka, group, filled, protocol):
        found = humus_json("lag", group, "-b", kafka.bootstrap)
        theirs = kafka.tools.group_offsets(group, filled)
    assert found["state"] == "stable"
    assert found["lag"] == 7
    ours = {row["partition"]: (row["committed"], row["end"], row["lag"]) for row in found["partitions"]}
    assert ours == {at: (each.committed, each.end, each.lag) for at, each in theirs.items()}
    assert {(row["client_id"], row["host"]) for row in found["partitions"]} == {("worker", "/127.0.0.1")}
    shown = humus("lag", group, "-b", kafka.bootstrap, "--topic", f"{filled}:0,2")
    assert f"{filled}          0          3   10    7" in shown.stdout
    assert f"group {group}: empty, 0 members, lag 7" in shown.stdout


def test_a_group_that_nobody_knows(kafka: Kafka, group: str, filled: str) -> None:
    """A wrong name is said to be one, exit code 1; so is a topic's and a partition's."""
    at = ("-b", kafka.bootstrap)
    for command in (("lag", group), ("offsets", "show", group), ("offsets", "reset", group, "-t", filled, "--to", "0")):
        assert fails(1, *command, *at).startswith(f"error: there is no group {group}: check its name")
    assert "there is no topic nowhere" in fails(1, "lag", group, "-t", "nowhere", *at)
    assert f"{filled} has no partition 3" in fails(1, "offsets", "reset", group, "-t", f"{filled}:3", "--to", "0", *at)
    assert kafka.admin.committed(group, filled) == {}


def test_a_reset_is_a_dry_run_until_it_is_executed(kafka: Kafka, group: str, filled: str) -> None:
    """Without `--execute` nothing moves; with it Kafka's own tool sees what was shown."""
    reset = ("offsets", "reset", group, "-b", kafka.bootstrap, "-t", filled, "--create")
    shown = humus(*reset, "--to", "latest")
    assert shown.exit_code == 0
    assert "dry run: nothing was changed" in shown.stderr
    assert kafka.admin.committed(group, filled) == {}
    done = humus_json(*reset, "--to", "latest", "--execute")
    assert [(row["before"], row["after"]) for row in done["partitions"]] == [(None, 10), (None, 4), (None, 0)]
    assert committed(kafka, group, filled) == {0: 10, 1: 4, 2: 0}
    humus_json(*reset, "--shift", -6, "--execute")
    assert committed(kafka, group, filled) == {0: 4, 1: 0, 2: 0}
    shown = humus("offsets", "show", group, "-b", kafka.bootstrap)
    assert f"{filled}          0          4      0   10" in shown.stdout


def test_a_reset_to_a_time_an_edge_and_an_offset(kafka: Kafka, group: str, filled: str) -> None:
    """Each form of `--to` lands where the records say, and what the log does not have is refused as a whole."""
    reset = ("offsets", "reset", group, "-b", kafka.bootstrap, "-t", filled, "--create", "--execute")
    since = (BEGAN + timedelta(seconds=5)).isoformat()
    found = humus_json(*reset, "--to", since)["partitions"]
    assert [row["after"] for row in found] == [5, 4, 0]
    assert [bool(row["note"]) for row in found] == [False, True, True]
    kafka.admin.delete_records(filled, 0, 2)
    humus_json(*reset, "--to", "earliest")
    assert kafka.admin.committed(group, filled) == {0: 2, 1: 0, 2: 0}
    said = fails(1, *reset, "--to", 3)
    assert f"{filled}[2] has no offset 3: its log goes from 0 to 0" in said
    assert "nothing was changed" in said
    assert kafka.admin.committed(group, filled) == {0: 2, 1: 0, 2: 0}


@both_protocols
def test_a_group_with_members_keeps_its_offsets(kafka: Kafka, group: str, filled: str, protocol: Protocol) -> None:
    """A reset is refused while somebody is in the group, and the members are named."""
    reset = ("offsets", "reset", group, "-b", kafka.bootstrap, "-t", filled, "--create", "--execute")
    humus_json(*reset, "--to", 0)
    with member(kafka, group, filled, protocol):
        said = fails(1, *reset, "--to", "latest")
        assert "it has members (worker at 127.0.0.1). Stop them first; nothing was changed" in said
        assert kafka.admin.committed(group, filled) == {0: 0, 1: 0, 2: 0}
    humus_json(*reset, "--to", "latest")
    assert kafka.admin.committed(group, filled) == {0: 10, 1: 4, 2: 0}


@both_protocols
def test_a_member_that_joins_in_between_is_not_overruled(
    kafka: Kafka, group: str, filled: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the members and the commit somebody joins: the broker refuses, and nothing moves."""
    reset = ("offsets", "reset", group, "-b", kafka.bootstrap, "-t", filled, "--create", "--execute")
    humus_json(*reset, "--to", 0)
    joined = member(kafka, group, filled, protocol)

    def join_and_plan(*arguments: Any) -> Any:
        joined.__enter__()
        return plan_reset(*arguments)

    monkeypatch.setattr("humus.cli._groups.plan_reset", join_and_plan)
    try:
        said = fails(1, *reset, "--to", "latest")
    finally:
        joined.__exit__(None, None, None)
    assert f"a member has joined the group {group}" in said
    assert kafka.admin.committed(group, filled) == {0: 0, 1: 0, 2: 0}


def test_a_broker_that_is_away_is_said_so_soon() -> None:
    """Nobody listens: every command ends within its patience, exit code 1, and says where it looked."""
    for command in (("lag", "g"), ("offsets", "show", "g"), ("offsets", "reset", "g", "-t", "t", "--to", "0")):
        said = fails(1, *command, "-b", "127.0.0.1:1")
        assert "no answer within 10 s: check that Kafka runs at 127.0.0.1:1" in said
        assert "Connection refused" in said


def test_rights_that_are_missing_are_named(kafka: Kafka, group: str, filled: str, tmp_path: Path) -> None:
    """No right on the group, then none on the topic: each is said with what to grant, and the password never."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"kafka: {{brokers: '{kafka.cluster.sasl_bootstrap}', group_id: g, "
        f"sasl: {{mechanism: PLAIN, username: {USER}, password: {PASSWORD}}}}}"
    )
    said = fails(1, "lag", group, "-c", config)
    assert f"(GROUP_AUTHORIZATION_FAILED): grant this user READ and DESCRIBE on the group {group}" in said
    kafka.admin.allow(USER, ResourceType.GROUP, group, AclOperation.READ, AclOperation.DESCRIBE)
    said = eventually(
        lambda: fails(1, "lag", group, "-t", filled, "-c", config), lambda said: "GROUP_AUTHORIZATION" not in said
    )
    assert f"there is no topic {filled}, or this user may not see it" in said
    wrong = config.read_text().replace(PASSWORD, "not the one")
    config.write_text(wrong)
    said = fails(1, "lag", group, "-c", config)
    assert "Authentication failed" in said
    assert "not the one" not in said
