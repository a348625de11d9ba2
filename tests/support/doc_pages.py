"""The pages of the documentation, and the blocks in them that are programs.

What a fenced block is, by its first line:

- ```python      is run, after the page's earlier ones and with their names
- ```python      whose first line is `# name.py` is that file, in the folder the page runs in: later blocks
  import it, and pytest runs
                 it if it is called test_*.py
- ```text        right after a program is what that program prints; `...` stands for anything, as in doctest
- ```sh          are commands for a terminal; of klife's own, the names and options are checked

`<!-- check ... -->` is a program too, one that readers do not see: it uses what a page only defines. Every
"localhost:9092" becomes the test cluster's address. There is no way to mark a block as not to be run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
PLACEHOLDER = "localhost:9092"

_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$|^<!-- check\n(?P<check>.*?)^-->$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (?P<name>[\w.]+\.py)\n")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """A block to run: where it stands, its text, the file it is (or None), and what it prints (None is
    anything).
    """

    line: int
    text: str
    file: str | None
    output: str | None


def _blocks(page: Path) -> Iterator[tuple[str, int, str]]:
    """Kind, number of the first line, and text of each block."""
    source = page.read_text()
    for match in _BLOCK.finditer(source):
        kind = match["kind"] or "check"
        text = match["text"] if match["kind"] else match["check"]
        yield kind, source.count("\n", 0, match.start()) + 2, text


def programs(page: Path) -> list[Program]:
    """What is run of a page, in order."""
    found: list[Program] = []
    ended_at: int | None = None
    for kind, line, text in _blocks(page):
        if kind in ("python", "check"):
            file = _FILE.match(text)
            found.append(Program(line, text, file["name"] if file else None, None))
            ended_at = line + text.count("\n")
        elif kind == "text" and ended_at is not None and line - ended_at <= 3:
            last = found.pop()
            found.append(Program(last.line, last.text, last.file, text))
            ended_at = None
    return found


def commands(page: Path) -> list[str]:
    """The lines of a page's terminal blocks."""
    return [line for kind, _, text in _blocks(page) if kind == "sh" for line in text.splitlines()]


def kinds(page: Path) -> set[str]:
    """The kinds of blocks on a page."""
    return {kind for kind, _, _ in _blocks(page)}


def links(page: Path) -> list[str]:
    """The targets of a page's links."""
    return [match["target"] for match in _LINK.finditer(_CODE.sub("", page.read_text()))]


def anchors(page: Path) -> set[str]:
    """What may stand after # in a link to a page, as GitHub makes it of the headings."""
    titles = (match["title"] for match in _HEADING.finditer(_CODE.sub("", page.read_text())))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
