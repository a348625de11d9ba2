"""The pages hang together, and name everything that klife exports."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

import klife
from klife.actors import tree
from tests.support.doc_pages import PAGES, ROOT, anchors, commands, links, programs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


def targets(index: Path) -> set[Path]:
    """The pages that a page links to."""
    return {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=lambda page: page.name)
def test_the_lists_of_pages_and_the_site_s_contents_have_the_page(page: Path) -> None:
    index = ROOT / "docs" / "README.md"
    assert page == index or page in targets(index)
    assert page in targets(ROOT / "README.md")
    contents = (ROOT / "docs" / "conf.py").read_text().partition("CONTENTS = {")[2].partition("\n}\n")[0]
    assert f'"{page.stem}"' in contents


def test_the_list_of_examples_has_each() -> None:
    examples = {page for page in PAGES if page.parent.parent.name == "examples"}
    assert len(examples) > 7
    assert examples - targets(ROOT / "docs" / "README.md") == set()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any("Record(" in program.text for program in programs(page))], ids=lambda page: page.name
)
def test_a_page_that_produces_makes_the_topics_it_needs(page: Path) -> None:
    text = "\n".join(program.text for program in programs(page))
    assert "localhost:9092" not in text or "create_topics(" in text


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.parent.name == "examples"], ids=lambda page: page.parent.name)
def test_an_example_says_how_to_make_its_topics(page: Path) -> None:
    wanted = {name for source in page.parent.rglob("*.py") for name in re.findall(r'Record\("(\w+)"', source.read_text())}
    made = {word for line in commands(page) if line.startswith("klife topics create ") for word in line.split()}
    assert wanted <= made


@pytest.mark.parametrize("name", klife.__all__)
def test_the_exported_name_is_in_the_documentation(name: str) -> None:
    assert any(re.search(rf"\b{re.escape(name)}\b", page.read_text()) for page in PAGES)


def test_architecture_names_every_module_of_the_actors() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path for path in (ROOT / "klife" / "actors").rglob("*.py") if path.name != "__init__.py"]
    assert [path.name for path in modules if f"`{path.name}`" not in text and path.parent.name != "runtime"] == []


def test_architecture_draws_the_tree_that_the_code_draws() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = [line.strip() for line in (tree.__doc__ or "").splitlines() if line.lstrip().startswith(("├", "└", "│"))]
    assert len(drawn) > 5
    assert [line for line in drawn if line not in text] == []
    assert f"Each supervisor stands {tree.INTENSITY} restarts in {tree.PERIOD:g} s" in " ".join(text.split())


def test_supervision_gives_the_numbers_of_the_code() -> None:
    text = " ".join((ROOT / "docs" / "supervision.md").read_text().split())
    assert f"stands **{tree.INTENSITY} restarts in {tree.PERIOD:g} s**" in text
    assert f"more than {tree.INTENSITY} restarts within {tree.PERIOD:g} s" in text


def test_architecture_says_why_of_each_dependency() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lists = [settings["options"]["install_requires"], *settings["options.extras_require"].values()]
    names = {re.split(r"[\[><=;]", line)[0] for lines in lists for line in lines.strip().splitlines()} - {"klife"}
    assert len(names) > 6
    assert {name for name in names if f"`{name}`" not in text} == set()
