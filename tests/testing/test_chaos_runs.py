"""Chaos against real brokers: each of three seeds, and no promise is broken.

The builds share the seeds out: which of them runs a fault matters less than that many are run. They run for as
long as it takes to have brokers killed, stopped, paused (one and all) and elected, and each other kind of fault,
among the three; `python -m tests.chaos` runs for longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.journal import DELIVERED
from tests.chaos.plan import ACTOR_FAULTS, BROKER_FAULTS, COORDINATOR_FAULTS, NETWORK_FAULTS, TOPIC_FAULTS, plan_for
from tests.chaos.report import full_report, headline
from tests.chaos.run import World

SEEDS = {"compiled": (33,), "pure": (156, 393)}
MINUTES = 0.4


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.up() as running:
        yield running


@pytest.mark.parametrize(("build", "seed"), [(build, seed) for build, seeds in SEEDS.items() for seed in seeds])
def test_faults_at_random_break_no_promise(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: str, seed: int
) -> None:
    monkeypatch.setenv("KLIFE_PURE", str(int(build == "pure")))  # for the load, which is a program of its own
    outcome = world.run(seed, MINUTES, tmp_path)
    print(headline(outcome))
    assert not outcome.violations, full_report(outcome)
    assert outcome.summary["compiled"] is (build == "compiled")
    assert outcome.counts[DELIVERED] > 300
    assert not outcome.missing
    assert outcome.summary["killed"]


def test_the_seeds_have_among_them_each_kind_of_fault() -> None:
    seeds = {seed for own in SEEDS.values() for seed in own}
    kinds = {fault.kind for seed in seeds for track in plan_for(seed, MINUTES).faults for fault in track}
    assert kinds == {*BROKER_FAULTS, *NETWORK_FAULTS, *TOPIC_FAULTS, *ACTOR_FAULTS, *COORDINATOR_FAULTS}
