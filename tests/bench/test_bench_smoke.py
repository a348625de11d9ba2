"""The benchmark's one command, in small: so that it cannot rot. Nothing here looks at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import contestants

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "bench", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_every_contestant_delivers_in_both_modes(results: Path) -> None:
    (path,) = results.glob("*.json")
    samples = json.loads(path.read_text())["samples"]
    measured = {(sample["contestant"], sample["workload"]["mode"]) for sample in samples if sample["count"] > 0}
    assert measured == {(name, mode) for name in contestants.NAMES for mode in ("sync", "async")}


def test_the_result_says_what_was_measured_on_what(results: Path) -> None:
    (path,) = results.glob("*.json")
    result = json.loads(path.read_text())
    assert result["machine"]["cores"] >= 1
    assert all(entry["versions"] and entry["settings"] and entry["driven"] for entry in result["contestants"].values())


def test_the_report_has_a_row_for_each_and_the_plot_is_drawn(results: Path) -> None:
    (report,) = results.glob("*.md")
    (plot,) = results.glob("*.svg")
    rows = [line.split("|")[2].strip() for line in report.read_text().splitlines() if line.startswith("|")]
    for name in contestants.NAMES:
        assert rows.count(name) == 2, "one table for each mode"
        assert f"**{name}**" in report.read_text(), "settings"
        assert name in plot.read_text()
