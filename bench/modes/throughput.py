"""Everything in a topic, as fast as it goes: bare loops, the runtime, and its peers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tests.kafka.admin import Admin

from bench import telemetry, throughput, topics
from bench.child import Child, Outcome, own
from bench.instruments import shape_of
from bench.mode import Amounts, Column, Described, Mode, finished
from bench.peers.catalogue import PEERS
from bench.work import Order

__all__ = ["MODE", "RECORD_BYTES", "confirm", "make_topic", "run"]

PARTITIONS = 8
RECORD_BYTES = 200

Promise = Literal["nothing", "what was handled", "ahead", "all"]
"""What a group has committed at the end: nothing; some of what was handled and no more; more; all of it, no more."""

_OWN: Mapping[str, Described] = {
    **throughput.CANDIDATES,
    **{name: telemetry.CANDIDATES[name] for name in ("humus-metrics", "humus-traces-1", "humus-traces-all")},
}


def make_topic(brokers: str, amounts: Amounts) -> str:
    """Make the topic with the records that everybody reads."""
    topic = topics.make(brokers, PARTITIONS)
    topics.fill(brokers, topic, partitions=PARTITIONS, each=amounts.records // PARTITIONS, size=RECORD_BYTES)
    return topic


def _ready(candidate: str) -> None:
    if candidate in PEERS:
        PEERS[candidate].prepare()


def run(candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    """Run a candidate, and ask the broker what its group has committed."""
    order = Order(brokers, topic, seconds=amounts.limit, timeout=amounts.timeout)
    order = replace(order, shape=shape_of(order))
    peer = PEERS.get(candidate)
    command = own(candidate, order) if peer is None else peer.command(peer.prepare(), order)
    outcome = finished(Child(candidate, command, amounts.timeout))
    promise = _promise(candidate)
    if promise == "nothing" or outcome.figures is None:
        return outcome
    admin = Admin(brokers)
    try:
        committed = sum(admin.committed(order.group, topic).values())
    finally:
        admin.close()
    return confirm(outcome, committed, promise)


def _promise(candidate: str) -> Promise:
    if candidate in PEERS:
        return PEERS[candidate].commits
    if not candidate.startswith("humus-"):
        return "nothing"
    return "ahead" if candidate == "humus-at-most-once" else "all"


def confirm(outcome: Outcome, committed: int, promise: Promise) -> Outcome:
    """Return the outcome with what its group has committed, or failed if that is not what it promises."""
    assert outcome.figures is not None
    handled = round(outcome.figures["handled"])
    if committed == 0:
        return outcome.failed(f"its group has committed nothing, after {handled:,} records were handled")
    if promise in {"what was handled", "all"} and committed > handled:
        return outcome.failed(f"its group has committed {committed:,} records, but {handled:,} were handled")
    if promise == "all" and committed < handled:
        return outcome.failed(f"its group has committed {committed:,} of the {handled:,} records that were handled")
    return replace(outcome, figures={**outcome.figures, "committed": committed})


MODE = Mode(
    name="throughput",
    title="Throughput",
    about=(
        f"The same records of {RECORD_BYTES} bytes in {PARTITIONS} partitions for everybody. The time runs from the "
        "first record to the last, or until the limit; CPU is user and system time of the process, all threads and "
        "children, in between. Every peer ticks off each record that it handles (0.1 us); the broker is asked what its "
        "group has committed, and who committed nothing, or more than was handled, has failed."
    ),
    candidates={**_OWN, **PEERS},
    columns=(
        Column("msgs_per_s", "msg/s", 0, "ratio"),
        Column("msgs_per_s", "humus-async is x times that", 1, "champion"),
        Column("cpu_us", "CPU us a message", 2, "difference"),
        Column("peak_mib", "peak RSS MiB", 0),
        Column("records", "records", 0),
        Column("seconds", "seconds", 2),
        Column("startup_s", "start to first record, s", 2),
    ),
    prepare=make_topic,
    run=run,
    ready=_ready,
    amount=lambda amounts: f"{amounts.records:,} records; the slow get {amounts.limit:g} s from their first record on",
    yardstick="bare",
    on_request=frozenset({"bare-poll"}),
    champion="humus-async",
    others=frozenset(PEERS),
    plotted=True,
    budgets=(
        "humus-async: at least 0.50 x the yardstick's msg/s, at most 0.8 us of CPU a message more",
        "humus-async: at least as fast as bare-shipped",
        "humus-def: at least 0.60 x",
        "humus-at-most-once: at least 0.40 x",
        "humus-async is at least 100 x faststream and franz-go-each, 10 x arroyo, 5 x quix, 3 x aiokafka",
    ),
)
