"""The programs of the pages are right for a type checker too: what readers copy shows no error in their editors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.doc_pages import PAGES, programs

# A page may show what is refused, and the checker refuses it as well.
MEANT = {("configuration.md", 'Unexpected keyword argument "lingr"'), ("configuration.md", 'Argument "linger_ms" to "start"')}


def test_a_type_checker_finds_nothing_in_the_programs_of_the_pages(tmp_path: Path) -> None:
    folder = tmp_path / "pages"  # pyproject.toml has what is not asked of them
    folder.mkdir()
    (folder / "__init__.py").touch()
    modules = {}
    for page in PAGES:
        if found := [program for program in programs(page) if program.file is None]:
            name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
            lines: list[str] = []
            for program in found:  # each at the line where it stands on the page
                lines += [""] * (program.line - 1 - len(lines)) + program.text.splitlines()
            (folder / f"{name}.py").write_text("\n".join(lines) + "\n")
            modules[f"{name}.py"] = page
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary", str(folder)]
    path = os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "supervision")))
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "MYPYPATH": path}, capture_output=True, text=True, check=False)
    told = [line for line in (done.stdout + done.stderr).splitlines() if ": note: " not in line]
    errors = [line.partition("pages/")[2].partition(".py:") for line in told]
    found_wrong = [f"{modules[name + '.py'].name}:{text}" for name, _, text in errors]
    unmeant = [error for error in found_wrong if not any(error.startswith(page) and text in error for page, text in MEANT)]
    assert unmeant == []
    assert len(found_wrong) == len(MEANT), "the checker does not look"
