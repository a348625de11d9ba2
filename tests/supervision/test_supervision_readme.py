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

    def printed_by(program: str) -> str:
        exec(compile(program, README.name, "exec"), names)
        return capsys.readouterr().out

    # How many crashes fit into the first example's 30 ms depends on the machine; on a busy one none may.
    first = next(text for text in (printed_by(PROGRAMS[0]) for _ in range(100)) if "restart" in text)
    assert re.sub(r"  \d restarts?", "", first) == re.sub(r"  \d restarts?", "", FIRST_OUTPUT)
    printed = [printed_by(program) for program in PROGRAMS[1:]]
    assert printed[-1].endswith("└─ till  running  1 restart\n")
    assert "the porter left: killed" in printed[-1]
