"""OTP's rules where something fails on the way, for each strategy and each position: in a start, in a
restart, in a shutdown.

The expected journals are written down from the reference manual of supervisor(3), not from the code: a start
that fails takes down those before it in reverse order; a restart that fails is tried again from the child
that failed, under the strategy, and counts; a shutdown goes through all children in reverse order, whatever
one of them does meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
import pytest

from klife_supervision import ExitReason, RestartIntensityReached, StartFailed, Supervisor
from klife_supervision.policy import RESTARTS, STRATEGIES
from tests.support.supervision_fakes import DEADLINE, Family, ended, settled, states
from tests.support.waiting import wait_until

Supervise = Callable[..., Supervisor]

ALL = "abc"


def affected(strategy: str, failed: str) -> str:
    """Who is restarted with `failed`, in start order."""
    return {"one_for_one": failed, "rest_for_one": ALL[ALL.index(failed) :], "one_for_all": ALL}[strategy]


def restart(strategy: str, failed: str, running: str) -> list[str]:
    """The journal of a restart of `failed` that succeeds, while those in `running` run."""
    group = affected(strategy, failed)
    stopped = [f"shutdown {each}" for each in reversed(group) if each != failed and each in running]
    return stopped + [f"start {each}" for each in group]


def restart_that_fails(strategy: str, failed: str, at: str) -> tuple[list[str], str]:
    """The journal of a restart of `failed` in which the start of `at` fails, and who runs afterwards."""
    group = affected(strategy, failed)
    stopped = [f"shutdown {each}" for each in reversed(group) if each != failed]
    begun = group[: group.index(at) + 1]
    return stopped + [f"start {each}" for each in begun], "".join(each for each in ALL if each not in group or each in begun[:-1])


FAILING_RESTARTS = [(strategy, crashed, at) for strategy in STRATEGIES for crashed in ALL for at in affected(strategy, crashed)]


@pytest.mark.parametrize(("strategy", "restart_type", "broken"), list(itertools.product(STRATEGIES, RESTARTS, ALL)))
def test_a_start_that_fails(family: Family, strategy: str, restart_type: str, broken: str) -> None:
    """Neither the strategy nor the restart type has a say: nothing is restarted, those before it are stopped
    in reverse.
    """
    family.failing[broken] = 1
    with pytest.raises(StartFailed) as raised:
        Supervisor.start(family.specs(ALL, restart=restart_type), strategy=strategy)  # type: ignore[arg-type]
    assert raised.value.child == broken
    before = ALL[: ALL.index(broken)]
    assert family.journal.take() == [f"start {each}" for each in before + broken] + [f"shutdown {each}" for each in reversed(before)]


@pytest.mark.parametrize(("strategy", "crashed", "at"), FAILING_RESTARTS)
def test_a_restart_that_fails_is_tried_again_from_the_child_that_failed(
    family: Family, supervise: Supervise, strategy: str, crashed: str, at: str
) -> None:
    supervisor = supervise(family.specs(ALL), strategy=strategy, intensity=2)
    family.journal.take()
    family.failing[at] = 1
    supervisor.child(crashed).crash()
    first, running = restart_that_fails(strategy, crashed, at)
    expected = first + restart(strategy, at, running)
    settled(supervisor)
    with gevent.Timeout(DEADLINE):
        while set(states(supervisor).values()) != {"running"}:
            settled(supervisor)
    assert family.journal.take() == expected
    supervisor.child(at).crash()  # the third within the period: the crash and the failed restart were counted, each once
    assert isinstance(ended(supervisor).term, RestartIntensityReached)


@pytest.mark.parametrize(("strategy", "crashed", "at"), FAILING_RESTARTS)
def test_a_restart_that_fails_once_too_often_stops_who_still_runs(
    family: Family, supervise: Supervise, strategy: str, crashed: str, at: str
) -> None:
    supervisor = supervise(family.specs(ALL), strategy=strategy, intensity=1)
    family.journal.take()
    family.failing[at] = 1
    supervisor.child(crashed).crash()
    reason = ended(supervisor)
    assert (reason.term.child, str(reason.exception)) == (at, f"{at} cannot start")
    first, running = restart_that_fails(strategy, crashed, at)
    assert family.journal.take() == first + [f"shutdown {each}" for each in reversed(running)]


@pytest.mark.parametrize(("strategy", "crashed", "again"), list(itertools.product(STRATEGIES, ALL, ALL)))
def test_a_child_that_ends_while_others_are_restarted_is_restarted_afterwards(
    family: Family, supervise: Supervise, strategy: str, crashed: str, again: str
) -> None:
    """It ends as soon as the last of the group is started, while the supervisor is not yet through."""
    group = affected(strategy, crashed)
    starts: list[str] = []
    specs = family.specs(ALL)
    last = specs[ALL.index(group[-1])]

    def starts_and_another_ends() -> Any:
        child = last.start()
        starts.append("start")
        if len(starts) == 2:
            (child if again == last.id else supervisor.child(again)).crash()
        return child

    specs[ALL.index(group[-1])] = replace(last, start=starts_and_another_ends)
    supervisor = supervise(specs, strategy=strategy, intensity=2)
    family.journal.take()
    supervisor.child(crashed).crash()
    expected = restart(strategy, crashed, ALL) + restart(strategy, again, ALL)
    wait_until(lambda: len(family.journal) >= len(expected))  # on a busy machine others have a turn before the second restart
    settled(supervisor)
    assert family.journal.take() == expected
    assert set(states(supervisor).values()) == {"running"}


@pytest.mark.parametrize(
    ("strategy", "crashed", "stubborn"),
    [(strategy, crashed, other) for strategy, crashed, other in FAILING_RESTARTS if other != crashed],
)
def test_a_sibling_that_ignores_its_shutdown_in_a_restart_is_killed_and_the_restart_goes_on(
    family: Family, supervise: Supervise, strategy: str, crashed: str, stubborn: str
) -> None:
    family.stubborn = {stubborn}
    supervisor = supervise(family.specs(ALL, shutdown=0.01), strategy=strategy, intensity=1)
    family.journal.take()
    supervisor.child(crashed).crash()
    family.journal.wait_for(f"start {affected(strategy, crashed)[-1]}")
    expected = restart(strategy, crashed, ALL)
    expected.insert(expected.index(f"shutdown {stubborn}") + 1, f"kill {stubborn}")
    settled(supervisor)
    assert family.journal.take() == expected
    assert supervisor.exit_reason is None, "a child the supervisor ended itself is no restart of its own"
    family.stubborn.clear()


@pytest.mark.parametrize(
    ("strategy", "restart_type", "who", "how"),
    list(itertools.product(STRATEGIES, RESTARTS, ALL, ["ignores it", "crashes", "ended before", "is killed from outside"])),
)
def test_whatever_a_child_does_in_a_shutdown_it_goes_on_in_reverse_and_restarts_nobody(
    family: Family, supervise: Supervise, strategy: str, restart_type: str, who: str, how: str
) -> None:
    if how == "ignores it":
        family.stubborn = {who}
    supervisor = supervise(family.specs(ALL, restart=restart_type, shutdown=0.01), strategy=strategy)
    child = supervisor.child(who)
    if how == "crashes":
        ask = child.shutdown
        child.stubborn = True
        child.shutdown = lambda reason: (ask(reason), child.crash())
    family.journal.take()
    supervisor.shutdown()
    expected = [f"shutdown {each}" for each in reversed(ALL)]
    if how == "ended before":  # after the shutdown was asked for, and before its turn came
        child.crash()
        expected.remove(f"shutdown {who}")
    elif how == "is killed from outside":
        child.end(ExitReason.killed())
        expected.remove(f"shutdown {who}")
    elif how == "ignores it":
        expected.insert(expected.index(f"shutdown {who}") + 1, f"kill {who}")
    assert ended(supervisor) == ExitReason.shutdown()
    assert family.journal.take() == expected
    assert set(states(supervisor).values()) <= {"stopped"}
