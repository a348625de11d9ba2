"""The site is built of all pages, without a warning, and names everything that klife exports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import klife
import klife_supervision
from tests.support import ROOT
from tests.support.doc_pages import PAGES

# What `make docs` does, but for the pages that show sources, which take a third of the time.
EXTENSIONS = "extensions=myst_parser,sphinx.ext.autodoc,sphinx.ext.napoleon"
TIMEOUT_SECONDS = 280


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-c", "docs", "-D", EXTENSIONS, "-d", str(folder / "read"), "."]
    built = subprocess.run(
        [*command, str(folder / "html")], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_every_page_is_there_and_in_the_sidebar(site: Path) -> None:
    first = (site / "index.html").read_text()
    pages = [page.relative_to(ROOT).with_suffix(".html") for page in PAGES if page.name != "README.md" or page.parent != ROOT]
    assert [str(page) for page in pages if not (site / page).exists() or f'href="{page}"' not in first] == []


def test_the_search_knows_pages_and_names(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    assert "docs/producing" in index
    assert "possibly_persisted" in index


def test_the_reference_has_every_exported_name(site: Path) -> None:
    reference = (site / "docs" / "reference.html").read_text()
    described = set(re.findall(r'<dt class="sig [^"]*" id="([\w.]+)"', reference))
    names = {name.rpartition(".")[2] for name in described}
    assert {name for name in klife.__all__ if name not in names} == {"__version__", "compiled"}
    assert {name for name in klife_supervision.__all__ if name not in names} == set()


def test_nothing_is_fetched_from_elsewhere_to_show_a_page(site: Path) -> None:
    for page in (site / "index.html", site / "docs" / "reference.html"):
        text = page.read_text()
        assert re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?:[^"]+)"', text) == []
    assert "url(http" not in (ROOT / "docs" / "demo.svg").read_text()
