"""The site: `make docs` builds it of the pages as they are in the repository, and of the docstrings.

The source folder is the repository, so that links from page to page are what they are on a code host. What the
pages have not, because there they need it not, is added while they are read: the table of contents.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from shutil import copyfile
from typing import Any

# Of what is compiled, Sphinx would see neither annotations nor defaults. Set before klife is imported.
os.environ["KLIFE_PURE"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "supervision")]

import klife  # noqa: E402
from klife.version import __version__  # noqa: E402

project = "klife"
author = project_copyright = "the klife developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/*.rst",
    "bench/*.md",
    "bench/actors/*.md",
    "examples/**/README.md",
    "supervision/README.md",
]

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_title = f"klife {version}"
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False

myst_heading_anchors = 4  # as code hosts have them
myst_enable_extensions = ["attrs_inline"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
suppress_warnings = ["ref.python"]  # an attribute called `bytes` is taken for the type, of which there is no page anyway
default_role = "code"  # docstrings write `name` for code

CONTENTS = {
    "Using klife": [
        "getting-started",
        "configuration",
        "producing",
        "typed-values",
        "transactions",
        "topics",
        "connections",
        "security",
        "web-workers",
        "threads",
    ],
    "Examples": [f"../{page.parent.relative_to(ROOT)}/README" for page in sorted(ROOT.glob("examples/*/README.md"))],
    "Coming from": ["from-confluent-kafka", "from-kafka-python", "from-aiokafka", "from-pykafka"],
    "Running it": ["observing", "reliability", "outcomes", "supervision", "testing", "command-line", "reference"],
    "Speed": [
        "benchmarks",
        "benchmark-tables",
        "performance",
        "speed-notes",
        "How to measure <../bench/README>",
        "../bench/failures",
        "../bench/actors/README",
    ],
    "The project": [
        "support",
        "architecture",
        "../supervision/README",
        "../CHANGELOG",
        "../CONTRIBUTING",
        "../SECURITY",
        "README",
    ],
}


def contents() -> str:
    """The table of contents, as the sidebar shows it."""
    lines = []
    for title, pages in CONTENTS.items():
        lines += [f"```{{toctree}}\n:hidden:\n:caption: {title}\n"]
        lines += [page.replace("../", "/") if "../" in page else f"/docs/{page}" for page in pages]
        lines += ["```\n"]
    return "\n".join(lines)


def more(reference: str) -> str:
    """What klife exports and the page does not name yet: it is at its end, until somebody finds it a better place."""
    named = set(re.findall(r":: klife\.(\w+)$", reference, re.MULTILINE))
    for module in re.findall(r"automodule:: (\S+)", reference):
        named |= vars(import_module(module)).keys()
    new = [name for name in klife.__all__ if name not in named and isinstance(getattr(klife, name), type)]
    return "".join(f".. autoclass:: klife.{name}\n   :members:\n" for name in new)


def _read(_app: Any, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += "\n" + contents()
    elif page == "docs/reference":
        source[0] += "\n" + more(source[0])


def _built(app: Any, error: Exception | None) -> None:
    """Have what web servers look for in a folder."""
    first = Path(app.outdir, f"{root_doc}.html")
    if error is None and first.exists():
        copyfile(first, first.with_name("index.html"))


def setup(app: Any) -> None:
    app.connect("source-read", _read)
    app.connect("build-finished", _built)
