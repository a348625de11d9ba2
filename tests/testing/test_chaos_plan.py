"""A chaos run's plan comes from its seed alone, and keeps to what its promises need."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

from klife.api.config import ClientConfig
from tests.chaos.plan import BROKER_FAULTS, plan_for
from tests.support import ROOT

SEEDS = range(200)


def test_a_seed_gives_the_same_plan_in_every_process() -> None:
    code = "from tests.chaos.plan import plan_for; print(plan_for(7, 2.0), plan_for(7, 2.0).faults)"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert elsewhere == f"{plan_for(7, 2.0)} {plan_for(7, 2.0).faults}\n"


def test_seeds_give_different_plans() -> None:
    assert len({str(plan_for(seed, 1.0)) for seed in SEEDS}) == len(SEEDS)


def test_every_plan_is_a_configuration_that_the_client_takes() -> None:
    for seed in SEEDS:
        ClientConfig.build("localhost:9092", **plan_for(seed, 1.0).client)


def test_every_plan_has_records_that_are_promised_everything() -> None:
    for seed in SEEDS:
        first = plan_for(seed, 1.0).producers["p0"]
        assert first["acks"] == "all"
        assert first["enable_idempotence"] is True


def test_all_kinds_of_faults_and_options_are_drawn() -> None:
    plans = [plan_for(seed, 1.0) for seed in SEEDS]
    producers = [options for plan in plans for options in plan.producers.values()]
    assert {fault.kind for plan in plans for track in plan.faults for fault in track} == {
        *("kill", "stop", "pause", "pause all", "elect", "expand", "delete", "kill actor", "move coordinators"),
        *("cut", "cut inside an answer", "lose answers", "slow", "black hole"),
    }
    assert {options["max_in_flight_requests"] for options in producers} == {1, 2, 3, 4, 5}
    assert {options["batchers_count"] for options in producers} == {1, 2, 3}
    assert {options["acks"] for options in producers} == {"all", 1, 0}
    assert {options["compression_type"] for options in producers} == {"none", "gzip", "snappy", "lz4", "zstd"}


def test_faults_of_brokers_follow_one_another() -> None:
    for seed in SEEDS:
        for track in plan_for(seed, 1.0).faults:
            if any(fault.kind in BROKER_FAULTS for fault in track):
                assert all(before.at + before.seconds < after.at for before, after in pairwise(track))
