"""What `make versions` makes of outcomes, and where; and that a version that breaks off leaves nothing
behind. Without a broker.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from klife.testing.jars import TRIED
from tests.versions import __main__ as program
from tests.versions.table import Outcome, markdown, write
from tests.versions.worker import USES

TITLES = {"fork": "A fork", "batch": "A batch"}
PAGE = "before\n\n<!-- figures: begin -->\nold\n<!-- figures: end -->\n\nafter\n"


def test_there_are_ten_versions_and_seventeen_uses_with_names_and_titles_of_their_own() -> None:
    assert len(TRIED) == 10
    assert len({use.__name__ for use in USES}) == len({use.__doc__ for use in USES}) == 17
    assert all(program.TITLES.values())
    assert TRIED[0] in (program.ROOT / "docs" / "reliability.md").read_text()


def test_what_failed_and_what_was_not_run_is_in_the_table_with_its_reason() -> None:
    broken = Outcome("2.4.1", {"fork": "AssertionError: 1 <lost>\nof 2"}, "the 90 s of a version were over")
    table = markdown(TITLES, [Outcome("4.3.1", {"fork": None, "batch": None}), broken], "Today.")
    assert table == (
        "Today.\n\n"
        "|   | use     | 4.3.1  | 2.4.1      |\n"
        "|---|---------|--------|------------|\n"
        "| 1 | A fork  | passed | **failed** |\n"
        "| 2 | A batch | passed | **failed** |\n\n"
        "Of 4, 2 failed:\n\n"
        "- 2.4.1, use 1: AssertionError: 1 &lt;lost> of 2\n"
        "- 2.4.1, use 2: not run: the 90 s of a version were over"
    )


def test_the_page_gets_the_table_once_however_often_it_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for table in ("one", "two", "two"):
        write(page, table)
    assert page.read_text() == "before\n\n<!-- figures: begin -->\n\ntwo\n\n<!-- figures: end -->\n\nafter\n"


@pytest.fixture
def world_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Have the program run this Python code instead of its worker."""

    def play(code: str, seconds: float) -> Outcome:
        interpreter = tmp_path / "python"
        interpreter.write_text(f"#!{sys.executable}\n{code}")
        interpreter.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(interpreter))
        monkeypatch.setattr(program, "VERSION_SECONDS", seconds)
        monkeypatch.setattr(program, "kafka_jars", lambda _version: None)
        return program.run_version("4.3.1", ["fork", "batch"], tmp_path / "log")

    return play


TELL = """import sys; print('{"use": "fork", "error": null, "seconds": 1}', flush=True); print("warned", file=sys.stderr)\n"""


def test_a_version_that_ends_is_told_use_by_use_and_its_warnings_are_in_the_log(world_of, tmp_path: Path) -> None:
    outcome = world_of(TELL, 60)
    assert (outcome.failure("fork"), outcome.failure("batch")) == (None, "not run: ")
    assert (tmp_path / "log").read_text() == "warned\n"


def test_a_version_that_hangs_is_killed_when_its_time_is_over(world_of) -> None:
    outcome = world_of(TELL + "import time; time.sleep(1000)", 3)
    assert outcome.failure("batch") == "not run: the 3 s of a version were over"


def test_a_version_that_can_not_start_fails_every_use(world_of) -> None:
    outcome = world_of("raise SystemExit(3)", 60)
    assert outcome.failure("fork") == "not run: the program ended with status 3"


def test_a_version_that_is_none_fails_every_use_and_says_so(tmp_path: Path) -> None:
    outcome = program.run_version("4.x", ["fork"], tmp_path / "log")
    assert outcome.failure("fork") == f"not run: {outcome.problem}"
    assert outcome.problem.startswith("'4.x' is not a release of Kafka")
