"""Every program in the documentation runs, on a real cluster, and prints what its page says. How: see
`doc_pages`.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from klife.cli.app import app
from klife.testing.cluster import KafkaCluster
from tests.support import importing_tests
from tests.support.doc_pages import PAGES, commands, kinds, programs

WITH_PROGRAMS = [page for page in PAGES if programs(page)]
TIMEOUT_SECONDS = 580  # some start brokers, which takes a minute each where the machine is busy


def run_page(page: Path, servers: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in importing_tests().items() if not name.startswith("KLIFE_") or name == "KLIFE_PURE"}
    command = [sys.executable, "-m", "tests.support.run_page", str(page), servers, *options]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", WITH_PROGRAMS, ids=lambda page: page.name)
def test_the_programs_of_the_page_run_one_after_the_other(page: Path, documented_cluster: KafkaCluster, tmp_path: Path) -> None:
    ended = run_page(page, documented_cluster.bootstrap_servers, tmp_path)
    # Nothing on standard error: no warning, no greenlet's traceback, and no client that was left running with
    # records in it.
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["README.md", "getting-started.md", "transactions.md"])
def test_these_pages_run_under_monkey_patching_too(name: str, documented_cluster: KafkaCluster, tmp_path: Path) -> None:
    page = next(page for page in PAGES if page.name == name)
    ended = run_page(page, documented_cluster.bootstrap_servers, tmp_path, "--patched")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert kinds(page) <= {"python", "text", "sh", "ini", "check"}
    fences = [line for line in page.read_text().splitlines() if line.startswith("```")]
    assert set(fences[::2]) <= {"```python", "```text", "```sh", "```ini"}
    assert set(fences[1::2]) <= {"```"}


@cache
def help_of(*subcommand: str) -> str:
    shown = CliRunner().invoke(app, [*subcommand, "--help"], prog_name="klife")
    assert shown.exit_code == 0, shown.stderr
    return shown.stdout


@pytest.mark.parametrize("command", sorted({line for page in PAGES for line in commands(page) if line.startswith("klife ")}))
def test_the_commands_on_the_pages_are_klifes(command: str) -> None:
    words = command.partition("|")[0].split()[1:]
    in_group = words[0] in ("cluster", "topics", "txn") and len(words) > 1 and not words[1].startswith("-")
    shown = help_of(*words[: 2 if in_group else 1])
    assert [word for word in words if word.startswith("--") and word not in shown] == []
