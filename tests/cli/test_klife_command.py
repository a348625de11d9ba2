"""The command itself: its version, its completion, and what ends it early."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import klife
from tests.support import ROOT
from tests.support.cli_command import RunKlife, environment


@pytest.mark.parametrize("pure", [None, "1"])
def test_the_version_tells_of_the_core(pure: str | None) -> None:
    variables = {} if pure is None else {"KLIFE_PURE": pure}
    command = [sys.executable, "-m", "klife", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(**variables), check=True)
    core = "pure Python, for KLIFE_PURE is set" if pure or not klife.compiled else "compiled core"
    assert done.stdout.startswith(f"klife {klife.__version__}, {core}; CPython ")


def test_shells_complete_commands_and_options() -> None:
    def completed(words: str) -> set[str]:
        variables = environment(_KLIFE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
        command = [sys.executable, "-m", "klife"]
        return set(subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables, check=True).stdout.split())

    assert completed("klife to") == {"topics"}
    assert completed("klife topics ") == {"create", "describe", "delete", "configs"}
    assert "--from-beginning" in completed("klife read orders --fr")


def test_ctrl_c_while_it_is_still_being_imported_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", "from klife.cli import main; main()", "topics"]
    variables = environment(PYTHONPATH=f"{tmp_path}:{ROOT}:{ROOT / 'supervision'}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_options_of_a_group_belong_after_its_command(run_klife: RunKlife) -> None:
    done = run_klife("topics", "--bootstrap", "localhost:1", "describe", "orders")
    assert done.returncode == 2
    assert done.stderr.endswith("Error: Invalid value: give --bootstrap and --config after 'describe'\n")
