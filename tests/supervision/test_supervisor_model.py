"""Whatever children do and users call, in whatever order: the supervisor does what the model of OTP's manual
does, and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from klife_supervision import AutoShutdown, ExitReason, RestartIntensityReached, SupervisionError, Supervisor
from klife_supervision.policy import AUTO_SHUTDOWNS, RESTARTS, STRATEGIES
from tests.support.otp_model import OtpSupervisor, Refused
from tests.support.supervision_fakes import DEADLINE, Family, ended, settled, states

NAMES = "abcd"
REASONS = [ExitReason.normal(), ExitReason.shutdown("done"), ExitReason.killed(), ExitReason.crashed(ValueError("x"))]
ENDS = {RestartIntensityReached: "gave up", AutoShutdown: "auto shutdown"}
WALKS = 40
STEPS = 25


class Walk:
    """A random life of a supervisor; the same is done to the model, and then they are compared."""

    def __init__(self, chance: random.Random, strategy: Any, auto_shutdown: Any) -> None:
        self.chance = chance
        self.family = Family()
        self.model = OtpSupervisor(strategy, chance.choice((0, 1, 3, 1_000)), auto_shutdown)
        self.story: list[str] = []
        specs = []
        for child in NAMES[: chance.randrange(5)]:
            options = self.some_options()
            self.story.append(f"begin with {child} {options}")
            self.model.start_child(child, **options)
            specs.append(self.family.spec(child, **options))
        self.supervisor = Supervisor.start(
            specs, strategy=strategy, intensity=self.model.intensity, period=3600.0, auto_shutdown=auto_shutdown
        )

    def some_options(self) -> dict[str, Any]:
        restart = self.chance.choice(RESTARTS)
        # A permanent child never ends for good, and without auto_shutdown nobody heeds it.
        may_be_significant = restart != "permanent" and self.model.auto_shutdown != "never"
        return {"restart": restart, "significant": may_be_significant and self.chance.random() < 0.7}

    def step(self) -> None:
        running = [child for child, row in self.model.rows.items() if row.running]
        child = self.chance.choice(NAMES)
        what = self.chance.choice(["end"] * 6 + ["start"] * 2 + ["terminate_child", "restart_child", "delete_child", "fail"])
        if what == "end" and running:
            child, reason = self.chance.choice(running), self.chance.choice(REASONS)
            self.story.append(f"{child} ended: {reason}")
            self.supervisor.child(child).end(reason)
            self.model.exited(child, reason.is_abnormal)
        elif what == "start":
            options = self.some_options()
            self.story.append(f"start_child {child} {options}")
            spec = self.family.spec(child, **options)
            self.both(lambda supervisor: supervisor.start_child(spec), lambda model: model.start_child(child, **options))
        elif what == "fail":
            times = self.chance.randint(1, 3)
            self.story.append(f"the next {times} starts of {child} fail")
            self.family.failing[child] = self.model.failing[child] = times
        elif what != "end":
            self.story.append(f"{what} {child}")
            self.both(lambda supervisor: getattr(supervisor, what)(child), lambda model: getattr(model, what)(child))

    def both(self, call: Callable[[Any], Any], model: Callable[[OtpSupervisor], None]) -> None:
        refused = error = None
        try:
            model(self.model)
        except Refused as refusal:
            refused = str(refusal)
        try:
            call(self.supervisor)
        except SupervisionError as supervision_error:
            error = type(supervision_error).__name__
        assert error == refused, self.story

    def compare(self) -> None:
        if self.model.ended is not None:
            why = ended(self.supervisor).term
            assert ENDS.get(type(why), "stopped") == self.model.ended, self.story
        settled(self.supervisor)
        with gevent.Timeout(DEADLINE):
            while "restarting" in states(self.supervisor).values():
                settled(self.supervisor)
        assert self.family.journal.take() == self.model.journal, self.story
        self.model.journal.clear()
        expected = [(child, "running" if row.running else "stopped") for child, row in self.model.rows.items()]
        assert list(states(self.supervisor).items()) == expected, self.story
        assert (self.supervisor.exit_reason is None) is (self.model.ended is None), self.story


@pytest.mark.parametrize("auto_shutdown", AUTO_SHUTDOWNS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_supervisor_does_what_otps_manual_says(strategy: str, auto_shutdown: str) -> None:
    ends = set()
    for number in range(WALKS):
        walk = Walk(random.Random(f"{strategy} {auto_shutdown} {number}"), strategy, auto_shutdown)
        walk.compare()
        for _ in range(STEPS):
            if walk.model.ended is None:
                walk.step()
                walk.compare()
        if walk.model.ended is None:
            walk.supervisor.stop(timeout=DEADLINE)
            walk.model.stop()
            walk.compare()
        ends.add(walk.model.ended)
    assert ends == {"stopped", "gave up"} | ({"auto shutdown"} if auto_shutdown != "never" else set()), "each way to end was gone"
