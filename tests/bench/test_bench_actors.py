"""The actors' benchmark in small: that it runs, and what its report says of a result. Nothing here looks at a
time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.actors import report
from bench.actors.contestants import CONTESTANTS
from bench.actors.measures import MEASURES
from tests.support import ROOT

WITHOUT = {("klife actor", "restart"), ("klife actor", "restart, in a storm")} | {
    ("function, supervised", measure) for measure in ("tell", "tell + handle", "ask")
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "bench.actors", "--smoke", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_contestant_is_measured_at_all_it_can_do(out: Path) -> None:
    (path,) = out.glob("actors-*.json")
    samples = json.loads(path.read_text())["samples"]
    measured = {(sample["contestant"], sample["measure"]) for sample in samples if sample["count"] and sample["cpu_s"] > 0}
    assert measured == {(name, measure) for name in CONTESTANTS for measure in MEASURES} - WITHOUT


def test_the_report_has_a_row_for_each_by_both_clocks_and_says_how_it_was_driven(out: Path) -> None:
    (path,) = out.glob("actors-*.md")
    rows = [line.split("|")[1].strip() for line in path.read_text().splitlines() if line.startswith("|")]
    for name in CONTESTANTS:
        assert rows.count(name) == 2
        assert f"**{name}**" in path.read_text()


def test_a_figure_is_the_median_of_the_rounds_with_their_range() -> None:
    samples = [
        {"contestant": "someone", "measure": measure, "count": 10, "cpu_s": cpu_s, "wall_s": 1.0}
        for measure in ("ask", "restart, in a storm")
        for cpu_s in (40e-6, 20e-6, 30e-6)
    ]
    result: dict[str, Any] = {
        "machine": {"processor": "a processor", "cores": 2, "system": "Linux", "load_before": 0.1, "python": "CPython"},
        "versions": {},
        "taken_at": "now",
        "rounds": 3,
        "contestants": {"someone": "somehow"},
        "samples": samples,
    }
    text = report.markdown(result)
    assert "3.00 (2.00-4.00)" in text
    assert "333,333 (250,000-500,000)" in text
