"""The README's programs run as they stand, and print what it says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support import ROOT

README = ROOT / "supervision" / "README.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
FIRST_OUTPUT = re.findall(r"```text\n(.*?)```", README.read_text(), re.DOTALL)[0]

# How many crashes fit into the first example's moment, if any, depends on the machine.
FOR_A_MOMENT = "gevent.sleep(0.03)\n"
UNTIL_RESTARTED = "while 'restart' not in str(supervisor.tree()): gevent.sleep(0.001)\n"


def test_the_readmes_programs_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    printed = []
    assert FOR_A_MOMENT in PROGRAMS[0]
    for program in PROGRAMS:
        exec(compile(program.replace(FOR_A_MOMENT, UNTIL_RESTARTED), README.name, "exec"), names)
        printed.append(capsys.readouterr().out)
    assert re.sub(r"  \d restarts?", "", printed[0]) == re.sub(r"  \d restarts?", "", FIRST_OUTPUT)
    assert "restart" in printed[0]
    assert printed[-1].endswith("└─ till  running  1 restart\n")
    assert "the porter left: killed" in printed[-1]
