"""How long a process takes from its start to its first record."""

from dataclasses import replace

from bench.child import Outcome
from bench.mode import Amounts, Column, Mode
from bench.modes import throughput

__all__ = ["MODE"]

RECORDS = 8_000
_LIMIT = 1.5
"""Seconds: enough for a peer to commit, which it has to."""
_NOT_HERE = {"humus-at-most-once", "bare-backoff", "aiokafka-getmany", "faststream-ack-first", "franz-go-each"}


def _few(amounts: Amounts) -> Amounts:
    return replace(amounts, records=RECORDS, limit=_LIMIT)


def _run(candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    return throughput.run(candidate, brokers, topic, _few(amounts))


MODE = Mode(
    name="startup",
    title="Start-up",
    about=(
        "From the start of the process to its first record, of a topic that has some: interpreter, imports, "
        "connection, group, assignment, fetch. The broker lets a group begin at once: group.initial.rebalance.delay.ms "
        "is 0."
    ),
    candidates=throughput.MODE.candidates,
    columns=(
        Column("startup_s", "start to first record, s", 2, "ratio"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("total_s", "process, start to end, s", 1),
    ),
    prepare=lambda brokers, amounts: throughput.make_topic(brokers, _few(amounts)),
    run=_run,
    ready=throughput.MODE.ready,
    yardstick="bare",
    on_request=throughput.MODE.on_request | _NOT_HERE,
    typical_s=4.0,
)
