"""The core as the shell meets it: events in, commands out. Times are given, nothing waits."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import pytest
from tests.pieces import offsets_of, piece, tp_of

from humus.queue.kafka._assignment import COMMIT_GRACE, Assignment
from humus.queue.kafka._commands import (
    AskEnds,
    AskStarts,
    Begin,
    Cancel,
    Command,
    Commit,
    Drain,
    Failed,
    Failing,
    Fatal,
    Feed,
    GiveBack,
    Halted,
    Notice,
    Pause,
    Resume,
    Stopped,
    WorkerDone,
    WorkerEvent,
)
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Failure, Key, Start
from humus.queue.kafka._stalls import Ends, Stalls
from humus.queue.kafka._subscription import Semantic

C = TypeVar("C", bound=Command)

DRAIN, REBALANCE = 5.0, 10.0
A, B = tp_of(0), tp_of(1)
M = tp_of(0, "metrics")
"""A partition at most once; the others are at least once."""


class Core(Assignment):
    """The core, with shorthands for what the shell does around it."""

    def __init__(self) -> None:
        super().__init__(
            {"orders": Semantic.AT_LEAST_ONCE, "metrics": Semantic.AT_MOST_ONCE},
            commit_interval=1.0,
            drain_timeout=DRAIN,
            rebalance_timeout=REBALANCE,
            flow=Flow(1_000_000),
        )

    def at(self, now: float) -> list[Command]:
        """Let time come, and return what is to be done."""
        self.tick(now)
        return self.commands()

    def key(self, tp: TopicPartition = A) -> Key:
        """Return the key of a partition's living epoch."""
        return self._partitions[tp].key

    def assigned(self, tps: Iterable[TopicPartition], now: float) -> None:
        """Assign partitions, and answer at once that they begin at 0, which is committed."""
        super().assigned(tps, now)
        for ask in of(AskStarts, self._commands):
            self.started(ask.keys, {key.tp: Start(0, -1, committed=True) for key in ask.keys}, now)
        self._commands = [command for command in self._commands if not isinstance(command, AskStarts | Begin)]

    def begin(self, *tps: TopicPartition, records: int = 5, now: float = 0.0) -> None:
        """Assign partitions, give each records (at most once: with the first one committed), forget the commands."""
        self.assigned(tps, now)
        for tp in tps:
            self.received(tp, piece(range(records)))
        for commit in of(Commit, self.at(now)):
            for tp, (offset, _) in commit.offsets.items():
                self.commit_confirmed(tp, offset, now)
        self.commands()

    def done(self, tp: TopicPartition, position: int, now: float = 0.0) -> None:
        """Let a worker say that it has ended."""
        self.worker_said(WorkerDone(self.key(tp), position), now)

    def view(self, tp: TopicPartition = A) -> str:
        """Return the state that is shown of a partition."""
        [view] = [view for view in self.views() if view.tp == tp]
        return view.state


@pytest.fixture
def core() -> Core:
    """Make a core with nothing assigned."""
    return Core()


def of(kind: type[C], commands: Iterable[Command]) -> list[C]:
    """Return the commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]


def kinds(commands: Sequence[Command]) -> list[str]:
    """Return the names of the commands, but for notices."""
    return [type(command).__name__ for command in commands if not isinstance(command, Notice)]


def notices(commands: Iterable[Command]) -> str:
    """Return all that is said to the operator."""
    return "\n".join(notice.text for notice in of(Notice, commands))


def failure(offset: int, attempts: int = 1) -> Failure:
    """Make a failure at an offset."""
    return Failure(offset, attempts, "ValueError", "no", 0.0)


# -- assign and feed ----------------------------------------------------------------------------------------------


def test_an_assigned_partition_is_resumed_and_fed(core: Core) -> None:
    """D44: a pause survives in the client, so a new epoch is resumed; records go to its worker as they come."""
    core.assigned([A], 0.0)
    core.received(A, piece([0, 1]))
    feed, resume = core.at(0.0)
    assert feed == Feed(core.key(), feed.pieces if isinstance(feed, Feed) else [])
    assert resume == Resume([A])


def test_records_of_what_is_not_ours_are_dropped_and_counted(core: Core) -> None:
    """D43: what comes for a partition without an epoch is stale."""
    core.received(A, piece([0, 1]))
    assert core.at(0.0) == []
    assert core.stale_epochs == 2


def test_each_assignment_is_a_new_epoch(core: Core) -> None:
    """D41: nothing of an earlier epoch reaches the next one of the same partition."""
    core.begin(A)
    old = core.key()
    core.assigned([A], 1.0)
    core.received(A, piece([0]))
    core.worker_said(WorkerDone(old, 0), 1.0)
    assert core.key().epoch > old.epoch
    core.moved(old, 1, 1.0)
    core.worker_said(Failing(old, failure(0)), 1.0)
    core.worker_said(Halted(old, failure(0)), 1.0)
    assert core.views()[0].position == 0
    assert core.view() == "running"


# -- revoke -------------------------------------------------------------------------------------------------------


def test_a_revoke_drains_commits_confirms_and_gives_back_in_this_order(core: Core) -> None:
    """D40: stop feeding, finish the record in flight, commit what was handled, and only then give back."""
    core.begin(A, B)
    core.revoked([A], 1.0)
    core.received(A, piece([5]))
    assert kinds(core.at(1.0)) == ["Drain", "Pause"]
    assert kinds(core.at(2.0)) == []
    core.done(A, 3, 2.1)
    assert of(Commit, core.at(2.1)) == [Commit({A: (3, -1)})]
    assert kinds(core.at(2.2)) == []
    core.commit_confirmed(A, 3, 2.3)
    assert core.at(2.3) == [GiveBack([A])]
    assert not core.owns(A)
    assert core.owns(B)


def test_at_least_once_leaves_and_at_most_once_finishes(core: Core) -> None:
    """D23 D40: at least once ends after the record in flight, at most once after what is committed."""
    core.begin(A, M)
    core.revoked([A, M], 1.0)
    assert of(Drain, core.at(1.0)) == [Drain(core.key(A), finish=False), Drain(core.key(M), finish=True)]


def test_at_most_once_waits_for_the_answer_before_it_finishes(core: Core) -> None:
    """D23: records whose commit is on its way are handled if it comes into force: until then the worker must wait."""
    core.begin(M)
    [commit] = of(Commit, core.at(1.0))
    assert commit.offsets == {M: (2, -1)}
    core.revoked([M], 1.1)
    assert of(Drain, core.at(1.1)) == []
    core.commit_confirmed(M, 2, 1.2)
    feed, drain = (command for command in core.at(1.2) if isinstance(command, Feed | Drain))
    assert isinstance(feed, Feed)
    assert offsets_of(*feed.pieces) == [1]
    assert drain == Drain(core.key(M), finish=True)
    core.done(M, 2, 1.3)
    assert of(GiveBack, core.at(1.3)) == [GiveBack([M])]
    assert core.counts().lost == 0


def test_all_revoked_partitions_are_given_back_together(core: Core) -> None:
    """D40: the client completes a revoke as a whole."""
    core.begin(A, B)
    core.revoked([A, B], 1.0)
    core.at(1.0)
    core.done(A, 0, 1.1)
    assert of(GiveBack, core.at(1.1)) == []
    core.done(B, 0, 1.2)
    assert of(GiveBack, core.at(1.2)) == [GiveBack([A, B])]


def test_a_partition_without_work_is_given_back_at_once(core: Core) -> None:
    """D40: nothing to finish, nothing to commit, nothing to wait for."""
    core.assigned([A], 0.0)
    core.at(0.0)
    core.revoked([A], 1.0)
    assert of(GiveBack, core.at(1.0)) == [GiveBack([A])]


def test_what_is_revoked_and_unknown_is_given_back_all_the_same(core: Core) -> None:
    """D46: the client waits for the whole of what it revoked, whatever we think we own."""
    core.begin(A)
    core.revoked([A, B], 1.0)
    core.at(1.0)
    core.done(A, 0, 1.0)
    assert of(GiveBack, core.at(1.0)) == [GiveBack([A, B])]


def test_a_worker_is_given_up_when_the_drain_is_over(core: Core) -> None:
    """D41: at `drain_timeout` it is cancelled, what it handled until then is committed, the rest is not waited for."""
    core.begin(A)
    core.moved(core.key(), 2, 0.5)
    core.revoked([A], 1.0)
    assert "Commit" in kinds(core.at(1.0))
    core.commit_confirmed(A, 2, 3.0)
    assert kinds(core.at(1.0 + DRAIN - 0.01)) == []
    commands = core.at(1.0 + DRAIN)
    assert kinds(commands) == ["Cancel", "GiveBack"]
    assert "was not done when the drain ended" in notices(commands)


def test_partitions_are_given_back_before_the_rebalance_times_out(core: Core) -> None:
    """D46: at nine tenths of `rebalance_timeout` they go, confirmed or not, and what comes again is said (D12)."""
    core.begin(A)
    core.revoked([A], 1.0)
    core.at(1.0)
    core.done(A, 3, 1.5)
    assert kinds(core.at(1.5)) == ["Commit"]
    assert kinds(core.at(1.0 + REBALANCE * 0.9 - 0.01)) == []
    commands = core.at(1.0 + REBALANCE * 0.9)
    assert kinds(commands) == ["GiveBack"]
    assert "up to 3 handled records will come again" in notices(commands)


def test_a_refused_commit_is_tried_again_during_a_drain(core: Core) -> None:
    """D12 D40: many commits are refused while the group rebalances, and pass when they are retried."""
    core.begin(A)
    core.revoked([A], 1.0)
    core.at(1.0)
    core.done(A, 3, 1.0)
    assert kinds(core.at(1.0)) == ["Commit"]
    assert core.commit_refused(A, 3, 1.1)
    assert kinds(core.at(1.11)) == []
    assert kinds(core.at(1.16)) == ["Commit"]
    core.commit_confirmed(A, 3, 1.2)
    assert core.at(1.2) == [GiveBack([A])]


def test_retained_partitions_go_on_through_a_rebalance(core: Core) -> None:
    """D44: they keep their epoch and what is buffered."""
    core.begin(A, B)
    before = core.key(B)
    core.revoked([A], 1.0)
    core.at(1.0)
    core.moved(before, 2, 1.1)
    core.received(B, piece([5]))
    assert of(Feed, core.at(1.2)) == [Feed(before, [core._partitions[B].fed[-1]])]  # noqa: SLF001 - the very piece
    assert core.key(B) == before


def test_a_second_revoke_joins_the_first(core: Core) -> None:
    """D40: should the client revoke more before the first is complete, all of it is given back once."""
    core.begin(A, B)
    core.revoked([A], 1.0)
    core.at(1.0)
    core.revoked([B], 2.0)
    core.at(2.0)
    core.done(A, 0, 2.0)
    core.done(B, 0, 2.0)
    assert of(GiveBack, core.at(2.0)) == [GiveBack([A, B])]


# -- lost ---------------------------------------------------------------------------------------------------------


def test_a_lost_partition_is_dropped_and_never_committed(core: Core) -> None:
    """D43: stop at once, commit nothing, and say how many records will come again."""
    core.begin(A)
    core.moved(core.key(), 3, 0.5)
    core.lost([A], 1.0)
    commands = core.at(9.0)
    assert kinds(commands) == ["Cancel"]
    assert "up to 3 handled records will come again" in notices(commands)
    assert (core.flow.size, core.rebalances.lost) == (0, 1)


def test_a_confirmation_after_the_epoch_feeds_nobody(core: Core) -> None:
    """D23 D43: a chunk whose commit came into force after its partition was lost is lost, and counted as such."""
    core.begin(M)
    assert kinds(core.at(1.0)) == ["Commit"]
    core.lost([M], 1.1)
    key = core.commands()[-1]
    assert isinstance(key, Cancel)
    core.commit_confirmed(M, 2, 1.2)
    core.worker_said(WorkerDone(key.key, 1), 1.3)
    commands = core.at(1.3)
    assert of(Feed, commands) == []
    assert "1 committed records are not handled and lost: offsets 1" in notices(commands)
    counts = core.counts()
    assert (counts.handled, counts.lost) == (1, 1)


def test_a_confirmation_after_the_worker_ended_is_lost_at_once(core: Core) -> None:
    """D23: the same with the worker gone first."""
    core.begin(M)
    assert kinds(core.at(1.0)) == ["Commit"]
    core.lost([M], 1.1)
    cancel = core.commands()[-1]
    assert isinstance(cancel, Cancel)
    core.worker_said(WorkerDone(cancel.key, 1), 1.2)
    core.commit_confirmed(M, 2, 1.3)
    assert "lost: offsets 1" in notices(core.commands())
    assert (core.counts().handled, core.counts().lost) == (1, 1)


@pytest.mark.parametrize("end", [Core.revoked, Core.lost])
@pytest.mark.parametrize("unsure", [True, False])
def test_what_a_lost_answer_leaves_open_is_said(
    core: Core, end: Callable[[Core, list[TopicPartition], float], None], unsure: bool
) -> None:
    """D23: a chunk that is dropped with its commit's answer lost may be lost; refused for sure, it comes again."""
    core.begin(M)
    assert kinds(core.at(1.0)) == ["Commit"]
    end(core, [M], 1.1)
    core.commit_refused(M, 2, 1.2, unsure=unsure)
    commands = core.commands()
    assert of(Feed, commands) == []
    assert core.counts().lost == 0
    said = "1 records are not handled, and lost if their commit, which got no answer, is in force: offsets 1"
    assert (said in notices(commands)) == unsure


def test_an_answer_that_is_lost_while_the_epoch_lives_costs_nothing(core: Core) -> None:
    """D20: the commit is tried again, and its records are handled when it is confirmed."""
    core.begin(M)
    core.at(1.0)
    core.commit_refused(M, 2, 1.2, unsure=True)
    commands = core.at(1.3)
    assert of(Commit, commands)[0].offsets == {M: (2, -1)}
    assert "lost" not in notices(commands)
    core.commit_confirmed(M, 2, 1.4)
    assert [offsets_of(*feed.pieces) for feed in of(Feed, core.commands())] == [[1]]


def test_a_commit_without_an_answer_at_the_very_end_is_said(core: Core) -> None:
    """D61: what it covers is committed or not, as nobody can know any more: the log names it."""
    core.begin(M)
    assert kinds(core.at(1.0)) == ["Commit"]
    core.stop(1.1)
    core.at(1.1 + DRAIN + COMMIT_GRACE)
    core.at(1.1 + DRAIN + 2 * COMMIT_GRACE)
    core.abandon()
    assert "lost if their commit, which got no answer, is in force: offsets 1" in notices(core.commands())


def test_a_member_that_is_gone_has_lost_everything(core: Core) -> None:
    """D40 D43: all its partitions count as lost; nothing is pending, so there is nothing to give back."""
    core.begin(A, B)
    core.member_gone("UNKNOWN_MEMBER_ID", 1.0)
    commands = core.at(1.0)
    assert kinds(commands) == ["Cancel", "Cancel"]
    assert "does not know this member" in notices(commands)
    assert core.views() == []


def test_a_member_that_is_gone_completes_its_pending_revoke(core: Core) -> None:
    """D40: the client says nothing more until the revoke is complete, so it is completed at once."""
    core.begin(A, B)
    core.revoked([A], 1.0)
    core.at(1.0)
    core.member_gone("UNKNOWN_MEMBER_ID", 1.5)
    commands = core.at(1.5)
    assert kinds(commands) == ["Cancel", "Cancel", "GiveBack"]
    assert of(GiveBack, commands) == [GiveBack([A])]
    assert of(Commit, core.at(9.0)) == []


def test_a_lost_partition_is_not_given_back(core: Core) -> None:
    """D43: what was lost while it drained is out of the pending revoke."""
    core.begin(A, B)
    core.revoked([A, B], 1.0)
    core.at(1.0)
    core.lost([A], 1.1)
    core.commands()
    core.done(B, 0, 1.2)
    assert of(GiveBack, core.at(1.2)) == [GiveBack([B])]


@pytest.mark.parametrize("again", [True, False])
def test_a_late_refusal_tells_nothing_of_the_new_epoch(core: Core, again: bool) -> None:
    """D43: that an earlier membership is unknown does not lose the partitions of the present one."""
    core.begin(A)
    core.moved(core.key(), 3, 0.5)
    assert of(Commit, core.at(1.0)) == [Commit({A: (3, -1)})]
    core.lost([A], 1.1)
    if again:
        core.assigned([A], 1.2)
    assert not core.commit_refused(A, 3, 1.3)


# -- handlers left behind -----------------------------------------------------------------------------------------


def test_a_new_epoch_waits_for_a_handler_that_was_left_behind(core: Core) -> None:
    """D42: never two handlers of one partition at once in one process; what came meanwhile is handled then."""
    core.begin(A)
    old = core.key()
    core.lost([A], 1.0)
    core.assigned([A], 2.0)
    core.received(A, piece(range(5)))
    commands = core.at(2.0)
    assert of(Feed, commands) == []
    assert "waits for a handler of an earlier epoch" in notices(commands)
    assert core.view() == "waiting"
    core.worker_said(WorkerDone(old, 1), 3.0)
    commands = core.at(3.0)
    assert [offsets_of(*feed.pieces) for feed in of(Feed, commands)] == [[0, 1, 2, 3, 4]]
    assert "going on" in notices(commands)


def test_a_new_epoch_waits_for_the_last_of_several(core: Core) -> None:
    """D42: an earlier epoch may itself have been left behind before its handler ended."""
    core.begin(A)
    first = core.key()
    core.lost([A], 1.0)
    core.begin(A, now=1.0)
    core.worker_said(WorkerDone(first, 1), 1.5)
    second = core.key()
    assert of(Feed, core.at(1.5))
    core.lost([A], 2.0)
    core.begin(A, now=2.0)
    assert core.view() == "waiting"
    core.worker_said(WorkerDone(second, 1), 2.5)
    assert of(Feed, core.at(2.5))
    assert not core.haunted


@pytest.mark.parametrize("said", ["done", "halted", "fatal"])
def test_whatever_a_left_behind_worker_says_it_can_only_end(core: Core, said: str) -> None:
    """D41: nothing it does later can commit, halt, or touch the next epoch."""
    core.begin(A)
    old = core.key()
    core.lost([A], 1.0)
    core.assigned([A], 2.0)
    core.received(A, piece(range(5)))
    core.commands()
    core.worker_said(Failed(old, failure(0)), 2.5)
    last_words: dict[str, WorkerEvent] = {
        "done": WorkerDone(old, 5),
        "halted": Halted(old, failure(4)),
        "fatal": Fatal(old, 4, 4, SystemExit()),
    }
    core.worker_said(last_words[said], 3.0)
    assert core.view() in ("running", "paused")
    assert core.views()[0].position == 0
    assert core.counts().skipped == 0
    assert not core.stopping
    assert not core.haunted
    assert of(Feed, core.commands())


def test_a_worker_given_up_within_its_epoch_can_only_end(core: Core) -> None:
    """D41: between the end of the drain and the giving back, what the worker does is no longer the partition's."""
    core.begin(A)
    core.moved(core.key(), 2, 0.5)
    core.revoked([A], 1.0)
    core.at(1.0)
    assert "Cancel" in kinds(core.at(1.0 + DRAIN))
    core.done(A, 5, 1.0 + DRAIN + 0.1)
    assert core.views()[0].position == 2
    core.commit_confirmed(A, 2, 1.0 + DRAIN + 0.2)
    assert of(GiveBack, core.at(1.0 + DRAIN + 0.2)) == [GiveBack([A])]


def test_who_still_runs_at_the_end_is_named(core: Core) -> None:
    """D60: a handler that had to be left behind is told to the shell, which names it; an idle worker is none."""
    core.begin(A, B, records=2)
    core.moved(core.key(B), 2, 0.5)
    key = core.key(A)
    core.lost([A, B], 1.0)
    assert core.abandon() == [key]
    assert not core.haunted


# -- stop ---------------------------------------------------------------------------------------------------------


def test_a_stop_drains_commits_and_then_stops(core: Core) -> None:
    """D60 D61: everything drains, is committed and confirmed, and only then the group is left."""
    core.begin(A, M)
    core.stop(1.0)
    commands = core.at(1.0)
    assert of(Drain, commands) == [Drain(core.key(A), finish=False), Drain(core.key(M), finish=True)]
    core.done(A, 2, 1.2)
    core.done(M, 1, 1.2)
    assert of(Commit, core.at(1.2)) == [Commit({A: (2, -1)})]
    core.commit_confirmed(A, 2, 1.3)
    assert core.at(1.3) == [Stopped()]
    assert core.at(9.0) == []


def test_a_stop_with_nothing_to_do_is_done(core: Core) -> None:
    """D60: nothing assigned, nothing to wait for."""
    core.stop(0.0)
    assert core.at(0.0) == [Stopped()]


def test_a_stop_ends_when_the_grace_for_commits_is_over(core: Core) -> None:
    """D60: brokers away: it ends within the grace after the last handler has ended, and says what will come again."""
    core.begin(A)
    core.stop(1.0)
    core.at(1.0)
    core.done(A, 2, 1.5)
    core.at(1.5)
    assert of(Stopped, core.at(1.5 + COMMIT_GRACE - 0.01)) == []
    commands = core.at(1.5 + COMMIT_GRACE)
    assert kinds(commands) == ["Stopped"]
    assert "up to 2 handled records will come again" in notices(commands)


@pytest.mark.parametrize(("within", "at"), [(0.0, 2.0), (99.0, 1.0 + DRAIN)])
def test_a_second_stop_can_only_shorten_the_drain(core: Core, within: float, at: float) -> None:
    """D60: a second signal cuts it short; none makes it longer."""
    core.begin(A)
    core.stop(1.0)
    core.at(1.0)
    core.stop(2.0, within=within)
    assert "Cancel" not in kinds(core.at(at - 0.01))
    assert "Cancel" in kinds(core.at(at))


def test_what_is_assigned_during_a_stop_is_drained_at_once(core: Core) -> None:
    """D60: a stop that meets a rebalance feeds nothing any more."""
    core.begin(A)
    core.stop(1.0)
    core.at(1.0)
    core.assigned([B], 1.1)
    core.received(B, piece([0]))
    assert of(Feed, core.at(1.1)) == []
    core.done(A, 0, 1.2)
    assert core.at(1.2) == [Stopped()]


def test_a_revoke_within_a_stop_is_given_back_first(core: Core) -> None:
    """D40 D60: the partitions that the group wants are handed over before the member leaves."""
    core.begin(A, B)
    core.stop(1.0)
    core.at(1.0)
    core.revoked([A], 1.1)
    core.at(1.1)
    core.done(B, 0, 1.2)
    assert of(Stopped, core.at(1.2)) == []
    core.done(A, 0, 1.3)
    assert kinds(core.at(1.3)) == ["GiveBack", "Stopped"]


# -- failures -----------------------------------------------------------------------------------------------------


def test_a_halted_partition_stands_still_alone(core: Core) -> None:
    """D2 D31: nothing behind the failed record is handled or committed; the others go on."""
    core.begin(A, B)
    core.worker_said(Halted(core.key(A), failure(2)), 0.5)
    core.received(A, piece([5]))
    core.received(B, piece([5]))
    commands = core.at(1.0)
    assert [feed.key for feed in of(Feed, commands)] == [core.key(B)]
    assert of(Commit, commands) == [Commit({A: (2, -1)})]
    assert of(Pause, commands) == [Pause([A])]
    assert "halted: no" in notices(commands)
    assert core.view(A) == "halted"


def test_a_halted_partition_is_given_back_with_its_commit(core: Core) -> None:
    """D31 D40: what was handled before the failed record is not handled again by the next member."""
    core.begin(A)
    core.worker_said(Halted(core.key(A), failure(2)), 0.5)
    core.revoked([A], 0.6)
    assert of(Commit, core.at(0.6)) == [Commit({A: (2, -1)})]
    core.commit_confirmed(A, 2, 0.7)
    assert core.at(0.7) == [GiveBack([A])]


def test_a_retried_record_is_shown(core: Core) -> None:
    """D30: a record that is tried again and again has a name."""
    core.begin(A)
    core.worker_said(Failing(core.key(), failure(0, attempts=4)), 0.5)
    [view] = core.views()
    assert view.state == "retrying"
    assert view.failure is not None
    assert view.failure.attempts == 4
    core.moved(core.key(), 1, 0.6)
    assert core.views()[0].failure is None


@pytest.mark.parametrize(("tp", "position", "committed"), [(A, 2, 2), (M, 1, None)])
def test_a_fatal_record_stops_the_runtime(core: Core, tp: TopicPartition, position: int, committed: int | None) -> None:
    """D34: everything drains; at least once the record is not handled, at most once it is consumed."""
    core.begin(tp)
    error = SystemExit()
    core.worker_said(Fatal(core.key(tp), position, position, error), 0.5)
    assert core.stopping
    assert core.fatal is not None
    assert core.fatal.error is error
    commands = core.at(0.5)
    if committed is not None:
        assert of(Commit, commands) == [Commit({tp: (committed, -1)})]
        core.commit_confirmed(tp, committed, 0.6)
    assert of(Stopped, [*commands, *core.at(0.6)]) == [Stopped()]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_commit_on_its_way_at_a_fatal_record_hires_nobody(core: Core, confirmed: bool) -> None:
    """D34 D50: its records are handled by nobody any more, named if they are lost, and leave the buffer once."""
    core.begin(M)
    assert kinds(core.at(1.0)) == ["Commit"]
    core.worker_said(Fatal(core.key(M), 1, 0, SystemExit()), 1.1)
    core.at(1.1)
    if confirmed:
        core.commit_confirmed(M, 2, 1.2)
    else:
        core.commit_refused(M, 2, 1.2)
    commands = core.at(1.2)
    assert of(Feed, commands) == []
    assert ("lost: offsets 1" in notices(commands)) == confirmed
    assert (core.flow.size, core.flow.records) == (0, 0)
    assert of(Stopped, commands)


def test_an_unreadable_partition_halts_behind_what_it_has(core: Core) -> None:
    """D70: its log cannot be read on; what was fetched before is still handled and committed."""
    core.begin(A)
    core.unreadable(A, "TOPIC_AUTHORIZATION_FAILED", "not allowed", 0.5)
    commands = core.at(0.5)
    assert of(Pause, commands) == [Pause([A])]
    assert "not allowed" in notices(commands)
    assert core.view() == "halted"
    core.moved(core.key(), 5, 0.6)
    assert of(Commit, core.at(1.0)) == [Commit({A: (5, -1)})]
    assert core.views()[0].failure is not None


def test_an_unreadable_partition_at_most_once_handles_what_it_has(core: Core) -> None:
    """D70: what was fetched before is still committed and handled."""
    core.begin(M, records=2)
    core.unreadable(M, "TOPIC_AUTHORIZATION_FAILED", "not allowed", 0.5)
    assert of(Commit, core.at(0.5)) == [Commit({M: (2, -1)})]
    core.commit_confirmed(M, 2, 0.6)
    assert [offsets_of(*feed.pieces) for feed in of(Feed, core.commands())] == [[1]]


def test_an_unreadable_partition_that_waits_handles_what_it_has(core: Core) -> None:
    """D42 D70: so does one that waits for a handler of an earlier epoch."""
    core.begin(A)
    old = core.key()
    core.lost([A], 0.1)
    core.assigned([A], 0.2)
    core.received(A, piece([0, 1]))
    core.unreadable(A, "TOPIC_AUTHORIZATION_FAILED", "not allowed", 0.3)
    core.commands()
    core.worker_said(WorkerDone(old, 0), 0.4)
    assert [offsets_of(*feed.pieces) for feed in of(Feed, core.commands())] == [[0, 1]]


# -- counts -------------------------------------------------------------------------------------------------------


def test_counts_outlive_their_partitions(core: Core) -> None:
    """D10 D23: what happened since the start is the sum over all epochs."""
    core.begin(A, records=4)
    core.received(A, piece([3]))
    core.worker_said(Failed(core.key(), failure(0)), 0.1)
    core.moved(core.key(), 4, 0.2)
    core.revoked([A], 0.3)
    core.at(0.3)
    core.done(A, 4, 0.3)
    core.at(0.3)
    core.commit_confirmed(A, 4, 0.4)
    assert of(GiveBack, core.at(0.4))
    counts = core.counts()
    assert (counts.consumed, counts.handled, counts.skipped, counts.stale) == (4, 4, 1, 1)
    core.begin(A, records=2)
    assert core.counts().consumed == 6


def test_rebalances_that_change_something_are_counted(core: Core) -> None:
    """An empty assignment, which comes after every rebalance, is none."""
    core.assigned([], 0.0)
    core.begin(A)
    core.revoked([A], 1.0)
    core.lost([A], 1.0)
    core.lost([A], 1.0)
    assert (core.rebalances.assigned, core.rebalances.revoked, core.rebalances.lost) == (1, 1, 1)


def test_the_offsets_that_are_lost_are_written_as_ranges(core: Core) -> None:
    """D23: many offsets stay readable."""
    core.assigned([M], 0.0)
    core.received(M, piece([0, 1, 2, 3, 5, 6, 9]))
    for handled in (1, 3, 4):
        [commit] = of(Commit, core.at(0.0))
        core.commit_confirmed(M, commit.offsets[M][0], 0.0)
        core.moved(core.key(M), handled, 0.0)
    key = core.key(M)
    core.lost([M], 1.0)
    core.worker_said(WorkerDone(key, 4), 1.0)
    assert "3 committed records are not handled and lost: offsets 5-6, 9" in notices(core.commands())


# -- the buffer, and the watch for what is stuck ------------------------------------------------------------------


def test_handled_records_leave_the_buffer(core: Core) -> None:
    """D50: what the worker has handled makes room, piece by piece, and at the end nothing is left in the books."""
    core.assigned([A], 0.0)
    core.received(A, piece([0, 1, 2], size=300))
    core.received(A, piece([3, 4], size=200))
    core.moved(core.key(), 3, 0.1)
    assert (core.flow.records, core.flow.size) == (2, 200)
    core.moved(core.key(), 5, 0.2)
    assert (core.flow.records, core.flow.size) == (0, 0)


@pytest.mark.parametrize("busy", [True, False])
def test_what_is_with_a_worker_is_no_stall(busy: bool) -> None:
    """D72: while a handler runs the cluster is not asked about its partition, and it is never reported stuck."""
    core = Core()
    core.stalls = Stalls(60.0)
    core.begin(A)
    core.moved(core.key(), 4 if busy else 5, 0.0)
    said: list[Command] = []
    for now in range(1, 200):
        commands = core.at(float(now))
        said += commands
        for ask in of(AskEnds, commands):
            core.told(ask.keys, {A: Ends(0, 9, 5)}, float(now))
    assert bool(of(AskEnds, said)) is not busy
    assert ("stalled for" in notices(said)) is not busy


# -- what the cluster is asked ------------------------------------------------------------------------------------


def starting(*, begin_at_end: bool = False) -> Assignment:
    """Make a core that is told nothing by itself."""
    return Assignment(
        {"orders": Semantic.AT_LEAST_ONCE, "metrics": Semantic.AT_MOST_ONCE},
        commit_interval=60.0,
        drain_timeout=DRAIN,
        rebalance_timeout=REBALANCE,
        flow=Flow(1_000_000),
        begin_at_end=begin_at_end,
    )


def at(core: Assignment, now: float) -> list[Command]:
    """Let time come, and return what is to be done."""
    core.tick(now)
    return core.commands()


def test_a_partition_begins_where_the_cluster_says() -> None:
    """D1: nothing is fetched before the answer, whatever comes before it is stale; then it begins there."""
    core = starting()
    core.assigned([A, B], 0.0)
    [ask] = of(AskStarts, at(core, 0.0))
    assert ask == AskStarts([Key(A, 1), Key(B, 2)])
    assert core.hurried
    core.received(A, piece([0, 1]))
    core.started(ask.keys, {A: Start(5, 7, committed=True), B: Start(0, -1, committed=False)}, 0.1)
    begin, *_rest, resume = at(core, 0.1)
    assert begin == Begin({A: (5, 7), B: (0, -1)})
    assert resume == Resume([A, B]), "what was said of it before it was begun is said again"
    assert core.counts().stale == 2
    assert not core.hurried


@pytest.mark.parametrize("tp", [A, M])
def test_what_is_below_the_start_is_stale_wherever_it_comes_from(tp: TopicPartition) -> None:
    """D1, D21: records of an earlier epoch are dropped and counted; nothing is handled or committed below the start."""
    core = starting()
    core.assigned([tp], 0.0)
    core.started([Key(tp, 1)], {tp: Start(88, -1, committed=True)}, 0.0)
    core.received(tp, piece([0]))
    core.client_at({tp: 1})
    assert kinds(at(core, 100.0)) == ["AskStarts", "Begin", "Resume"]
    core.received(tp, piece([87, 88, 89]))
    core.tick(100.1)
    assert core.counts().stale == 2
    assert core.counts().consumed == 2
    [view] = core.views()
    assert view.position == 88
    for commit in of(Commit, core.commands()):
        assert commit.offsets[tp][0] > 88


def test_it_is_asked_again_until_it_is_answered() -> None:
    """D71: brokers that are away put the question off; one at a time is on its way, and none when it has left."""
    core = starting()
    core.assigned([A, B], 0.0)
    at(core, 0.0)
    assert of(AskStarts, at(core, 5.0)) == []
    core.started([Key(A, 1), Key(B, 2)], {B: Start(3, -1, committed=True)}, 6.0)
    assert of(AskStarts, at(core, 6.1)) == []
    assert of(AskStarts, at(core, 6.5)) == [AskStarts([Key(A, 1)])]
    core.lost([A], 8.0)
    core.started([Key(A, 1)], {A: Start(3, -1, committed=True)}, 8.1)
    core.commands()
    assert kinds(at(core, 20.0)) == []


def test_an_answer_counts_for_the_epoch_that_asked() -> None:
    """D1: what was committed at an earlier epoch says nothing of where the next one begins."""
    core = starting()
    core.assigned([A], 0.0)
    core.lost([A], 0.1)
    core.assigned([A], 0.2)
    core.commands()
    core.started([Key(A, 1)], {A: Start(3, -1, committed=True)}, 0.3)
    assert of(Begin, core.commands()) == []
    core.started([Key(A, 2)], {A: Start(9, -1, committed=True)}, 0.4)
    assert of(Begin, core.commands()) == [Begin({A: (9, -1)})]


def test_what_is_revoked_before_it_begins_is_given_back_at_once() -> None:
    """D40: nothing of it is handled or begun any more."""
    core = starting()
    core.assigned([A], 0.0)
    core.revoked([A], 0.1)
    assert kinds(at(core, 0.1)) == ["AskStarts", "GiveBack"]
    core.started([Key(A, 1)], {A: Start(3, -1, committed=True)}, 0.2)
    assert of(Begin, at(core, 0.2)) == []


@pytest.mark.parametrize("tp", [A, M])
def test_where_it_begins_is_committed_at_once(tp: TopicPartition) -> None:
    """D11: from the latest offset, with nothing committed: the end that the cluster names, before any record."""
    core = starting(begin_at_end=True)
    at(core, 0.0)
    core.assigned([tp], 0.1)
    core.started([Key(tp, 1)], {tp: Start(7, -1, committed=False)}, 0.2)
    assert of(Commit, at(core, 0.2)) == [Commit({tp: (7, -1)})]
    core.commit_confirmed(tp, 7, 0.3)
    core.received(tp, piece([5, 6, 7]))
    assert core.views()[0].in_flight == 1, "what is before its commit is not handled behind it"


@pytest.mark.parametrize("committed", [True, False])
def test_nothing_is_committed_before_something_is_handled(committed: bool) -> None:
    """D11: with a committed offset, and from the beginning, nothing is lost before the first commit."""
    core = starting(begin_at_end=committed)
    at(core, 0.0)
    core.assigned([A], 0.1)
    core.started([Key(A, 1)], {A: Start(3, -1, committed=committed)}, 0.2)
    assert of(Commit, at(core, 0.2)) == []


def test_a_jump_is_counted_at_once_and_told_with_where_it_goes_on(core: Core) -> None:
    """D11: from which offset to which, once; without an answer it is told all the same."""
    core.begin(A, B, records=1)
    core.jumped(A, 5)
    core.jumped(B, 5)
    assert core.jumps == 2
    asked = of(AskEnds, core.at(0.1))
    assert [ask.keys for ask in asked] == [[core.key(A)], [core.key(B)]]
    core.told([core.key(A)], {A: Ends(8, 20, None)}, 0.2)
    core.told([core.key(B)], {}, 0.2)
    told = of(Notice, core.at(0.2))
    assert [(notice.level, notice.tp, notice.offset) for notice in told] == [("error", A, 5), ("error", B, 5)]
    assert told[0].text.endswith("going on at its beginning, offset 8: 3 offsets are passed over")
    assert told[1].text.endswith("going on at its beginning")
    core.told([core.key(A)], {A: Ends(8, 20, None)}, 0.3)
    assert of(Notice, core.at(0.3)) == []


def test_the_end_of_a_halted_log_is_asked_for() -> None:
    """A partition that is not fetched has its lag from the cluster, and nothing else of it changes."""
    core = Core()
    core.begin(A, B, records=3)
    core.worker_said(Halted(core.key(A), failure(0)), 0.1)
    asked = of(AskEnds, core.at(1.0))
    assert asked == [AskEnds([core.key(A)], [])]
    core.told([core.key(A)], {A: Ends(0, 500, None)}, 1.1)
    assert (core.log_ends.end(A), core.log_ends.end(B)) == (500, None)
    assert of(Commit, core.at(1.2)) == []
    assert of(AskEnds, core.at(10.0)) == []
    assert of(AskEnds, core.at(11.5)) == [AskEnds([core.key(A)], [])]
