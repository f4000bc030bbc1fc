"""The core, once a record has ended the runtime."""

from tests.pieces import piece

from humus.queue.kafka._assignment import Assignment
from humus.queue.kafka._commands import Commit, Fatal, Feed, Notice, Stopped
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Key, Start
from humus.queue.kafka._subscription import Semantic

TP = TopicPartition("orders", 0)


def test_at_most_once_nothing_is_handled_behind_a_fatal_record() -> None:
    """A commit on its way when a record ended the runtime feeds nobody: its records are lost, and named (D34)."""
    core = Assignment(
        {"orders": Semantic.AT_MOST_ONCE},
        commit_interval=1.0,
        drain_timeout=5.0,
        rebalance_timeout=10.0,
        flow=Flow(1_000_000),
    )
    core.assigned([TP], 0.0)
    core.started([Key(TP, 1)], {TP: Start(0, -1, committed=True)}, 0.0)
    core.received(TP, piece(range(3)))
    core.tick(0.0)
    core.commit_confirmed(TP, 1, 0.0)
    core.tick(0.0)
    commands = core.commands()
    (fed,) = [command for command in commands if isinstance(command, Feed)]
    sent = [offset for command in commands if isinstance(command, Commit) for offset, _ in command.offsets.values()]
    assert sent == [1, 2]

    core.worker_said(Fatal(fed.key, 1, 0, SystemExit()), 0.1)
    core.commit_confirmed(TP, 2, 0.1)
    core.tick(0.1)
    commands = core.commands()
    assert not [command for command in commands if isinstance(command, Feed)]
    assert [command.offset for command in commands if isinstance(command, Notice)] == [1]
    assert core.counts().lost == 1
    assert any(isinstance(command, Stopped) for command in commands)
