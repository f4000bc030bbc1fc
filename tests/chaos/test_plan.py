"""Plans: repeatable, and with all that is asked for."""

from tests.chaos.plan import GROUPS, Fault, draw, short


def test_a_seed_is_one_plan() -> None:
    """The same seed gives the same plan, another one another."""
    assert draw(7, 600) == draw(7, 600)
    assert draw(7, 600) != draw(8, 600)


def test_a_long_plan_has_every_fault_and_a_graceful_act() -> None:
    """The long form knows every fault; its first third has only members that join and leave."""
    for seed in range(50):
        plan = draw(seed, 600)
        assert {step.fault for step in plan} == set(Fault)
        first_fault = next(at for at, step in enumerate(plan) if not step.fault.graceful)
        assert sum(step.pause for step in plan[:first_fault]) > 150


def test_groups_keep_their_size() -> None:
    """However long a plan is, every group has two or three members, those on their way to replace another included."""
    for seed in range(20):
        members = [2] * GROUPS
        for step in draw(seed, 1200):
            if step.fault.graceful:
                members[step.number - 1] += 1 if step.fault is Fault.JOIN else -1
            assert all(2 <= count <= 3 for count in members)


def test_the_short_form_has_the_faults_that_matter() -> None:
    """A graceful leave and join, a SIGKILL, a frozen member, a broker that restarts: the graceful ones first."""
    faults = [step.fault for step in short()]
    assert set(faults) == {Fault.JOIN, Fault.LEAVE, Fault.KILL, Fault.FREEZE, Fault.RESTART_BROKER}
    assert faults == sorted(faults, key=lambda fault: not fault.graceful)
