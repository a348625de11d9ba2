"""What a wheel holds, what an import costs, and what the project's texts must not say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.checkout import files_of_the_checkout

SOURCES = {"klife": ROOT / "klife", "klife_supervision": ROOT / "supervision" / "klife_supervision"}

MACHINE_PATH = re.compile(r"(?<![\w.~}$*-])/(?:work|root|home|Users)/[\w.]")


def setup_cfg() -> ConfigParser:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings


def modules_after(code: str) -> set[str]:
    """The modules a new interpreter has after running the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def packages_in_the_tree() -> list[str]:
    return sorted(_package_of(name, init) for name, folder in SOURCES.items() for init in folder.rglob("__init__.py"))


def project_texts() -> Iterator[tuple[str, str]]:
    """Every text that is in version control."""
    for name in files_of_the_checkout():
        try:
            yield name, (ROOT / name).read_text()
        except UnicodeDecodeError:
            continue  # a picture


def test_the_packages_of_setup_cfg_are_those_of_the_tree() -> None:
    listed = setup_cfg()["options"]["packages"].split()

    assert sorted(listed) == packages_in_the_tree()


def test_every_module_of_the_tree_lies_in_a_package() -> None:
    for folder in SOURCES.values():
        for module in folder.rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module} would not be in a wheel"


def test_files_that_are_not_python_are_shipped() -> None:
    shipped = setup_cfg()["options.package_data"]
    for name, folder in SOURCES.items():
        for file in folder.rglob("*"):
            if file.is_file() and file.suffix not in (".py", ".pyc", ".so"):  # the last is what the build makes
                patterns = shipped.get(_package_of(name, file), "").split(",")
                assert any(file.match(pattern.strip()) for pattern in patterns if pattern), f"{file} would not be in a wheel"


@pytest.mark.parametrize("name", SOURCES)
def test_the_packages_tell_type_checkers_that_they_are_typed(name: str) -> None:
    assert (SOURCES[name] / "py.typed").exists()
    assert "py.typed" in setup_cfg()["options.package_data"][name]


def test_the_protocol_imports_neither_gevent_nor_any_other_machinery() -> None:
    code = """
import importlib, pkgutil
import klife.protocol
for module in pkgutil.walk_packages(klife.protocol.__path__, "klife.protocol."):
    importlib.import_module(module.name)
"""
    modules = modules_after(code)

    assert "klife.protocol.apis.produce" in modules
    assert not modules & {"gevent", "greenlet", "pykka", "structlog", "pydantic", "logging", "ssl", "asyncio", "klife_supervision"}


def test_importing_klife_alone_imports_no_gevent() -> None:
    assert not modules_after("import klife") & {"gevent", "greenlet", "pykka", "pydantic", "structlog"}


HEAVY = {"structlog", "pydantic", "pydantic_core", "rich", "asyncio", "ssl", "subprocess", "typer", "cramjam", "lz4"}


@pytest.mark.parametrize("pure", ["0", "1"])
def test_who_only_names_the_client_imports_nothing_heavy(pure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLIFE_PURE", pure)
    assert not modules_after("import klife; klife.Client") & HEAVY


def test_a_client_of_plain_options_has_imported_no_structlog_and_no_pydantic_after_what_it_has_to_tell() -> None:
    modules = modules_after("""
import gevent, klife
from klife_supervision.logs import flush, get_logger
klife.Client.start("localhost:1", name="shop", linger_ms=5).status()
get_logger("klife").warning("a warning", of="shop")
assert flush(30)
""")
    assert not modules & {"structlog", "rich", "asyncio", "pydantic", "pydantic_core"}


def test_the_command_line_imports_its_packages_only_when_it_runs() -> None:
    assert not modules_after("import klife.cli") & {"typer", "rich", "gevent"}


def test_no_text_of_the_project_names_a_path_of_somebodys_machine() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in project_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]

    assert MACHINE_PATH.search(f"cd /{'home'}/somebody")
    assert not found, "\n".join(found)


def test_what_make_installs_is_among_the_extras() -> None:
    wanted = re.findall(r"--editable '\.\[(.+)\]'", (ROOT / "Makefile").read_text())
    extras = setup_cfg()["options.extras_require"]

    assert len(wanted) == 2
    for group in wanted:
        assert set(group.split(",")) <= set(extras)


def _package_of(name: str, file: Path) -> str:
    return ".".join((name, *file.parent.relative_to(SOURCES[name]).parts))
