"""What `humus lag` and `humus offsets` do: ask the cluster, let the pure modules decide, print, maybe commit."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from humus.cli._choice import parse_topics
from humus.cli._cluster import Cluster
from humus.cli._group_lag import GroupView, lag_rows, total_lag
from humus.cli._kafka import Connection
from humus.cli._offset_plan import Change, Goal, Have, NotPossible, choose_partitions, parse_goal, plan_reset
from humus.cli._output import note, out, print_json, table_console
from humus.cli._render import printable, table
from humus.errors import BrokerError, ConfigError
from humus.queue.kafka._message import TopicPartition

__all__ = ["lag", "refuse_members", "reset", "show"]

_Topics = Mapping[str, frozenset[int]]
_NAMED: Final = 5


def lag(connection: Connection, group: str, topics: Sequence[str], *, json: bool) -> None:
    """Print what a group has still to do."""
    wanted = _topics(topics)
    with Cluster(connection) as cluster:
        view = cluster.group(group)
        committed = _committed(cluster, view, wanted)
        held = {at for member in view.members for at in member.partitions if _is_in(at, wanted)}
        ends = cluster.ends(committed.keys() | held)
    rows = [row for row in lag_rows(committed, ends, view.members) if _is_in(row.at, wanted)]
    total = total_lag(rows)
    if json:
        print_json({"group": group, "state": view.state, "lag": total, "partitions": [row.as_json() for row in rows]})
        return
    cells = [(*row[:5], row.member and row.member.name, row.member and row.member.host) for row in rows]
    table_console().print(table(("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST"), cells))
    out(f"{_described(view)}, lag {total}")
    past = [str(row.at) for row in rows if row.past_end]
    if past:
        note(f"more is committed than there is in {_listed(past)}: the topic was made anew, or has lost records")


def show(connection: Connection, group: str, topics: Sequence[str], *, json: bool) -> None:
    """Print a group's committed offsets, and where the logs begin and end."""
    wanted = _topics(topics)
    with Cluster(connection) as cluster:
        view = cluster.group(group)
        committed = _committed(cluster, view, wanted)
        begins, ends = cluster.begins(committed), cluster.ends(committed)
    rows = [(*at, committed[at], begins[at], ends[at]) for at in sorted(committed)]
    if json:
        names = ("topic", "partition", "committed", "begin", "end")
        partitions = [dict(zip(names, row, strict=True)) for row in rows]
        print_json({"group": group, "state": view.state, "partitions": partitions})
        return
    table_console().print(table(("TOPIC", "PARTITION", "COMMITTED", "BEGIN", "END"), rows))
    out(_described(view))


def reset(
    connection: Connection,
    group: str,
    topics: Sequence[str],
    *,
    to: str | None,
    shift: int | None,
    create: bool,
    execute: bool,
    json: bool,
) -> None:
    """Print where a group's offsets would go; with `execute` they go there."""
    goal = parse_goal(to, shift, datetime.now(UTC))
    wanted = _topics(topics)
    if not wanted:
        raise ConfigError("say which topics: --topic TOPIC, or --topic TOPIC:PARTITION,...; it may be given repeatedly")
    with Cluster(connection) as cluster:
        view = cluster.group(group)
        partitions, faults = choose_partitions(wanted, cluster.topics())
        if faults:
            raise NotPossible("\n".join([*faults, "nothing was changed"]))
        refuse_members(view, f"cannot reset the offsets of the group {group}")
        changes = plan_reset(goal, partitions, _have(cluster, group, goal, partitions))
        if not view.known and not create and all(change.before is None for change in changes):
            raise BrokerError(f"there is no group {group}: check its name, or give --create for one that is to begin")
        if execute:
            _commit(cluster, group, {TopicPartition(each.topic, each.partition): each.after for each in changes})
    _print_changes(group, changes, execute=execute, json=json)


def refuse_members(view: GroupView, doing: str) -> None:
    """Raise a `BrokerError` that names the members, where a group has any."""
    if view.members:
        names = _listed([printable(str(member)) for member in view.members])
        raise BrokerError(f"{doing}: it has members ({names}). Stop them first; nothing was changed")


def _commit(cluster: Cluster, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit, and read it again: somebody else may commit at the same time, and the last one wins."""
    cluster.commit(group, offsets)
    now = {at: found.offset for at, found in cluster.committed(group, offsets).items()}
    other = [f"{at} is at {now.get(at)}" for at, offset in offsets.items() if now.get(at) != offset]
    if other:
        raise BrokerError(f"the offsets were committed, and changed by somebody else at once: {_listed(other)}")


def _have(cluster: Cluster, group: str, goal: Goal, partitions: Sequence[TopicPartition]) -> Have:
    committed = {at: found.offset for at, found in cluster.committed(group, partitions).items()}
    at_time = {} if goal.time is None else cluster.at_time(partitions, goal.time)
    return Have(committed, cluster.begins(partitions), cluster.ends(partitions), at_time)


def _print_changes(group: str, changes: Sequence[Change], *, execute: bool, json: bool) -> None:
    if json:
        print_json({"group": group, "executed": execute, "partitions": [change.as_json() for change in changes]})
        return
    rows = [(change.topic, change.partition, change.before, change.after, *change[4:]) for change in changes]
    table_console().print(table(("TOPIC", "PARTITION", "BEFORE", "AFTER", "BEGIN", "END", ""), rows))
    if execute:
        out(f"committed for the group {printable(group)}")
    else:
        note("dry run: nothing was changed; --execute commits these offsets")


def _committed(cluster: Cluster, view: GroupView, wanted: _Topics) -> dict[TopicPartition, int]:
    """Return what the group has committed, in all topics or those that are wanted.

    Raises:
        BrokerError: there is no such group or topic.
    """
    topics = cluster.topics()
    if wanted:
        partitions, faults = choose_partitions(wanted, topics)
        if faults:
            raise BrokerError("\n".join(faults))
    else:
        partitions = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
    committed = {at: found.offset for at, found in cluster.committed(view.group, partitions).items()}
    if not view.known and not committed:
        raise BrokerError(f"there is no group {view.group}: check its name")
    return committed


def _topics(texts: Iterable[str]) -> _Topics:
    try:
        return parse_topics(texts)
    except ValueError as error:
        raise ConfigError(f"--topic {error}") from None


def _is_in(at: TopicPartition, wanted: _Topics) -> bool:
    if not wanted:
        return True
    partitions = wanted.get(at.topic)
    return partitions is not None and (not partitions or at.partition in partitions)


def _described(view: GroupView) -> str:
    members = "1 member" if len(view.members) == 1 else f"{len(view.members)} members"
    return f"group {printable(view.group)}: {view.state}, {members}"


def _listed(names: Sequence[Any]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
