"""The time-outs that a member joins with, and handlers that take longer than all of them (D46, D45)."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import pytest

from humus.queue.kafka import Message, Runtime, at_least_once, current
from tests.integration.conftest import MakeRuntime
from tests.integration.service import Protocol, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh

pytestmark = pytest.mark.asyncio

_LINE: Final = re.compile(r"key: (?P<key>{.*}) payload: (?P<payload>{.*})$", re.MULTILINE)
_CLASSIC_GROUP, _CONSUMER_MEMBER = "2", "5"


def coordinators_notes(kafka: Kafka) -> str:
    """Return what the groups' coordinator wrote, by Kafka's own tool."""
    (broker,) = kafka.cluster.brokers
    return kafka.tools.dump_groups(*broker.data.glob("__consumer_offsets-*/*.log"))


def members_of(group: str, said: str) -> Iterator[dict[str, Any]]:
    """Return what the coordinator wrote of each member of the group, oldest first."""
    for line in _LINE.finditer(said):
        key = json.loads(line["key"])
        if key["data"].get("group", key["data"].get("groupId")) == group:
            payload = json.loads(line["payload"]).get("data") or {}
            if key["type"] == _CLASSIC_GROUP:
                yield from payload["members"]
            elif key["type"] == _CONSUMER_MEMBER:
                yield payload


async def test_the_broker_is_told_the_time_outs(kafka: Kafka, topic: MakeTopic) -> None:
    """The group's coordinator keeps the time-outs that the options stand for, in both protocols (D46)."""
    name = topic()
    classic = ("rebalanceTimeout", "sessionTimeout")
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"rebalance_timeout": 9, "session_timeout": 6}, dict(zip(classic, (9_000, 6_000), strict=True))),
        ({"rebalance_timeout": 3, "session_timeout": 6}, dict(zip(classic, (6_000, 6_000), strict=True))),
        ({}, dict(zip(classic, (45_000, 45_000), strict=True))),
        ({"rebalance_timeout": 12, "group_protocol": "consumer"}, {"rebalanceTimeoutMs": 12_000}),
        (
            {"group_protocol": "consumer", "group_instance_id": "one", "client_rack": "b"},
            {"rebalanceTimeoutMs": 30_000, "instanceId": "one", "rackId": "b"},
        ),
    ]
    groups = [fresh("group") for _ in cases]
    async with AsyncExitStack() as stack:
        for group, (options, _) in zip(groups, cases, strict=True):
            member = Runtime(kafka.bootstrap, group, at_least_once(name, lambda _message: None), **options)
            await stack.enter_async_context(running(member))
            await eventually(partial(partitions, member))
    said = await asyncio.to_thread(coordinators_notes, kafka)
    for group, (_, expected) in zip(groups, cases, strict=True):
        *_, told = members_of(group, said)
        assert {key: told[key] for key in expected} == expected
        assert told["clientId"] == "humus"


async def test_a_handler_slower_than_the_poll_interval(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, protocol: Protocol, runtime: MakeRuntime
) -> None:
    """Polling goes on while handlers work for longer than `max.poll.interval.ms`, Python that never waits too (D45)."""
    interval, names = 3.0, (topic(), topic())
    for name in names:
        await asyncio.to_thread(produce, name, b"", b"")
    recorders = Recorder(), Recorder()
    stopped: list[bool] = []

    def sleep(message: Message) -> None:
        if message.offset == 0:
            time.sleep(1.6 * interval)
            stopped.append(current().stopping)

    def spin(message: Message) -> None:
        if message.offset == 0:
            until = time.monotonic() + 1.6 * interval
            while time.monotonic() < until:
                pass
            stopped.append(current().stopping)

    options: dict[str, Any] = {"rebalance_timeout": interval, "drain_timeout": 1}
    if protocol == "classic":
        options["session_timeout"] = interval
    member = runtime(
        at_least_once(names[0], recorders[0].processor("def", sleep)),
        at_least_once(names[1], recorders[1].processor("async", spin)),
        **options,
    )
    async with running(member):
        (before,) = await eventually(lambda: [at.member_id for at in kafka.admin.members(group)])
        await eventually(lambda: sum(recorder.count() for recorder in recorders) == 4)
        await eventually(lambda: [kafka.admin.committed(group, name) for name in names] == [{0: 2}, {0: 2}])
        (after,) = await asyncio.to_thread(kafka.admin.members, group)
        totals = member.status().totals
    assert after.member_id == before
    assert (totals.assigned, totals.revoked, totals.lost_partitions) == (1, 0, 0)
    assert [recorder.started[0] for recorder in recorders] == [[0, 1], [0, 1]]
    assert stopped == [False, False]
