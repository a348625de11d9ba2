"""Chaos against real brokers: a minute of each of three seeds, and no promise is broken.

The suites of both_builds.py share the seeds out: which build runs a fault matters less than that many are
run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import klife
from tests.chaos.journal import DELIVERED
from tests.chaos.report import full_report, headline
from tests.chaos.run import World

SEEDS = {"compiled": (12,), "pure": (18,), "once": (34,), None: (12, 34) if klife.compiled else (18,)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS[metafunc.config.getoption("suite", None)])


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.up() as running:
        yield running


@pytest.mark.timeout(300)
def test_a_minute_of_faults_breaks_no_promise(world: World, tmp_path: Path, seed: int) -> None:
    outcome = world.run(seed, 1.0, tmp_path)
    print(headline(outcome))
    assert not outcome.violations, full_report(outcome)
    assert outcome.counts[DELIVERED] > 1_000
    assert outcome.summary["killed"]
