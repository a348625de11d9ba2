"""The benchmark's one command, in small: so that it cannot rot. Nothing here looks at a time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from bench import contestants
from bench.scenarios import SMOKE
from bench.workload import Style
from tests.support import ROOT

# Twenty-odd processes, one after the other: 20 s, and more where others want the processor too.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "bench", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_all_that_the_smoke_asks_for_is_delivered(results: Path) -> None:
    (path,) = results.glob("*.json")
    samples = json.loads(path.read_text())["samples"]
    measured = {(sample["contestant"], sample["workload"]["scenario"]) for sample in samples if sample["count"] > 0}
    assert measured == {(name, case.workload.scenario) for case in SMOKE for name in case.contestants}


def test_the_smoke_has_each_kind_of_load_and_each_contestant() -> None:
    assert {case.workload.style for case in SMOKE} == set(get_args(Style))
    assert {name for case in SMOKE for name in case.contestants} == set(contestants.NAMES)
    assert any(case.workload.ticking for case in SMOKE)


def test_the_result_says_what_was_measured_on_what(results: Path) -> None:
    (path,) = results.glob("*.json")
    result = json.loads(path.read_text())
    assert result["runs"][0]["machine"]["cores"] >= 1
    assert all(entry["versions"] and entry["driven"] for entry in result["contestants"].values())
    assert [name for name, entry in result["contestants"].items() if not entry["settings"]] == ["confluent-defaults"]
    assert result["contestants"]["klife-pure"]["compiled"] is False


def test_each_sample_says_how_busy_the_machine_was(results: Path) -> None:
    (path,) = results.glob("*.json")
    samples = json.loads(path.read_text())["samples"]
    assert all(sample["load"] >= 0 and sample["others"] >= 0 for sample in samples)
    (report,) = results.glob("*.md")
    assert re.search(r"load average before: [0-9.]+; during it, with the run's own: .*; others took [0-9.]+ cores", report.read_text())


def test_what_several_processes_measured_is_one_sample(results: Path) -> None:
    (path,) = results.glob("*.json")
    (workers,) = [each for each in json.loads(path.read_text())["samples"] if each["workload"]["processes"] > 1]
    # Three brokers, for each of two clients.
    assert workers["sockets"] >= 6
    assert workers["p99_ms"] >= workers["p50_ms"] > 0


def test_gaps_come_with_those_of_a_process_that_does_nothing_else(results: Path) -> None:
    (path,) = results.glob("*.json")
    gaps = [sample for sample in json.loads(path.read_text())["samples"] if sample["workload"]["ticking"]]
    assert gaps
    assert all(sample["gap_max_ms"] >= sample["gap_p999_ms"] and sample["control_gap_ms"] > 0 for sample in gaps)


def test_the_report_names_everybody_and_the_pictures_are_drawn(results: Path) -> None:
    (report,) = results.glob("*.md")
    for name in contestants.NAMES:
        assert f"**{name}**" in report.read_text(), "settings"
    assert {path.stem for path in results.glob("*/*.svg")} == {case.workload.scenario for case in SMOKE}
