"""Draws docs/demo.svg, the picture in README.md: what `klife demo` says on a real cluster, which takes half a minute.

python -m docs.draw_demo
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parent / "demo.svg"
COLUMNS = 130
STYLES = {r"^─.*─$": "bold cyan", r"^(all|each) .*": "green", r"^(starting|topics|warming|reading|\d+ greenlets produce).*": "dim"}
REMOTE_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def said() -> str:
    """What the command prints where nobody watches: lines, and no progress bars."""
    command = [sys.executable, "-m", "klife", "demo"]
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True).stdout


def svg(output: str) -> str:
    """The output as a terminal shows it, with fonts that are there already."""
    text = Text(f"$ make demo\n{output.rstrip()}")
    for pattern, style in STYLES.items():
        text.highlight_regex(re.compile(pattern, re.MULTILINE), style)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(text, soft_wrap=True)
    picture = console.export_svg(title="klife", unique_id="demo")
    picture = REMOTE_FONTS.sub("", picture).replace(
        "Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    )
    return "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(svg(said()))
