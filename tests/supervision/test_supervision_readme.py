"""The README's programs run as they stand, and print what it says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import ROOT

README = ROOT / "supervision" / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
FIRST_OUTPUT = re.findall(r"```text\n(.*?)```", README.read_text(), re.DOTALL)[0]


def test_the_readmes_programs_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    printed = []
    for program in PROGRAMS:
        exec(compile(program, README.name, "exec"), names)
        printed.append(capsys.readouterr().out)
    # How many crashes fit into the first example's 30 ms depends on the machine.
    assert re.sub(r"  \d restarts?", "", printed[0]) == re.sub(r"  \d restarts?", "", FIRST_OUTPUT)
    assert "restart" in printed[0]
    assert printed[-1].endswith("└─ till  running  1 restart\n")
    assert "the porter left: killed" in printed[-1]
