"""What is built of this checkout is installed, and works there: the source distribution, with a compiler and
without, klife-pure, and the supervisors alone.

Everything is built once, in a copy of the checkout in which an earlier build has left something behind.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
from importlib.metadata import distributions
from pathlib import Path
from shutil import copy2
from sysconfig import get_platform

import pytest

from klife.version import __version__
from tests.support import ROOT
from tests.support.checkout import files_of_the_checkout

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
PLATFORM = f"lib.{get_platform()}-{sys.implementation.cache_tag}"  # as setuptools calls it
STALE = [
    "build/lib/klife/stale.py",
    f"build/{PLATFORM}/klife/stale.py",
    "build/cython/klife/stale.c",
    "supervision/build/lib/klife_supervision/stale.py",
]
TIMEOUT_SECONDS = 280  # a busy machine takes minutes to make C of the core
pytestmark = pytest.mark.timeout(300)

IMPORT_ALL = """
import importlib, os, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    print(name, package.__file__)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        if not found.name.endswith("__main__"):
            print(found.name, importlib.import_module(found.name).__file__)
"""
START = """
import klife
print(klife.compiled)
klife.Client.start("localhost:1", name="one").stop()
klife.Client.start("localhost:1", name="two").stop()
"""
# The object of the same C that was compiled in place, if it is there; else the quickest way to something that can be imported.
COMPILER = """#!/bin/sh
source= object= before=
for argument; do
    case $before in -c) source=$argument ;; -o) object=$argument ;; esac
    before=$argument
done
name=${source##*/cython/}
made=%(root)s/build/cython/$name
compiled=%(root)s/build/temp.%(platform)s/build/cython/${name%%.c}.o
if [ -n "$source" ] && cmp -s "$source" "$made" && [ "$compiled" -nt "$made" ]; then exec cp "$compiled" "$object"; fi
exec cc "$@" -O0
"""
COMMAND = "from klife.cli import main; main()"


def environment(**variables: str) -> dict[str, str]:
    changing = ("KLIFE_", "PYTHONPATH", "CC", "CFLAGS", "CYTHON_", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(changing)} | variables


def run(*command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=cwd, env=environment(**variables), capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def wheel(source: Path, into: Path, **variables: str) -> Path:
    before = set(into.glob("*.whl"))
    run(*PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(into), str(source), cwd=into, **variables)
    [made] = set(into.glob("*.whl")) - before
    return made


def installed(what: Path, into: Path, **variables: str) -> Path:
    """The folder it was installed into, without what it needs: that is beside pytest."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile", "--target", str(into)]
    run(*PIP, "install", *options, str(what), cwd=into.parent, **variables)
    return into


def python(folder: Path, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds first what was installed into the folder."""
    return run(sys.executable, "-c", program, *arguments, cwd=folder.parent, PYTHONPATH=str(folder), **variables)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, in which an earlier build has left something behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in files_of_the_checkout():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        copy2(ROOT / name, copy / name)
    for name in STALE:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("raise RuntimeError('of an earlier build')\n")
    return copy


@pytest.fixture(scope="module")
def dist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what was built, by the name of its distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(folder), cwd=checkout)
    (folder / "cc").write_text(COMPILER % {"root": shlex.quote(str(ROOT)), "platform": PLATFORM.removeprefix("lib.")})
    (folder / "cc").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    return dist / f"klife-{__version__}.tar.gz"


@pytest.fixture(scope="module")
def compiled(dist: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip compiled of the source distribution, installed."""
    made = wheel(
        sdist, dist, CC=shlex.quote(str(dist / "cc")), CYTHON_CACHE_DIR=str(ROOT / "build" / "cython-cache")
    )  # as in the Makefile
    assert made.name.startswith(f"klife-{__version__}-cp")
    return installed(made, tmp_path_factory.mktemp("compiled") / "site")


@pytest.fixture(scope="module")
def pure(dist: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """klife-pure, of the checkout, installed."""
    made = wheel(checkout, dist, KLIFE_DISTRIBUTION="klife-pure")
    assert made.name == f"klife_pure-{__version__}-py3-none-any.whl"
    return installed(made, tmp_path_factory.mktemp("pure") / "site")


def modules_of_the_checkout() -> set[str]:
    """The files of both packages as they are installed."""
    python = {name.removeprefix("supervision/") for name in files_of_the_checkout() if name.endswith(".py")}
    return {name for name in python if name.startswith(("klife/", "klife_supervision/"))}


def imported(folder: Path, *packages: str, **variables: str) -> set[str]:
    """The modules of the packages, each imported from the folder, as the files that they are of in the checkout."""
    lines = python(folder, IMPORT_ALL, *packages, **variables).stdout.splitlines()
    files = [Path(line.split(maxsplit=1)[1]).relative_to(folder) for line in lines]
    return {str(file.with_name(file.name.partition(".")[0] + ".py")) for file in files}


def without_main(modules: set[str]) -> set[str]:
    return {name for name in modules if not name.endswith("__main__.py")}


def test_the_source_distribution_has_the_docs_and_neither_tests_nor_what_was_built(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    wanted = {"LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "README.md", "supervision/pyproject.toml", "klife/py.typed"}
    wanted |= {name for name in files_of_the_checkout() if name.startswith("docs/")}
    wanted |= {name for name in files_of_the_checkout() if name.startswith("examples/")}
    assert wanted - names == set()
    assert modules_of_the_checkout() - {name.removeprefix("supervision/") for name in names} == set()
    ours = {name for name in names if not name.startswith("examples/")}  # which have tests to learn from
    assert [name for name in ours if re.search(r"^tests|^build|(^|/)test_", name)] == []
    assert [name for name in names if re.search(r"\.(c|so|pyc)$|stale", name)] == []


def test_pip_compiles_the_core_from_the_source_distribution(compiled: Path) -> None:
    assert {str(path.relative_to(compiled)) for path in compiled.rglob("*.py")} == modules_of_the_checkout()
    assert imported(compiled, "klife", "klife_supervision") == without_main(modules_of_the_checkout())
    started = python(compiled, START)
    assert (started.stdout, started.stderr) == ("True\n", "")
    assert python(compiled, COMMAND, "--version").stdout.startswith(f"klife {__version__}, compiled")


def test_without_a_compiler_it_installs_the_sources_and_says_so(sdist: Path, tmp_path: Path) -> None:
    folder = installed(sdist, tmp_path / "site", CC="no-such-compiler")

    assert not list(folder.rglob("*.so"))
    started = python(folder, START)
    [line] = [line for line in (started.stdout + started.stderr).splitlines() if "without_compiled_core" in line]  # of two clients
    assert "not compiled when klife was installed" in line
    assert python(folder, START, KLIFE_PURE="1").stdout == "False\n"
    assert "pure Python, for it was not compiled when klife was installed" in python(folder, COMMAND, "--version").stdout


def test_klife_pure_is_everywhere_the_same_and_no_surprise(pure: Path) -> None:
    assert {str(path.relative_to(pure)) for path in pure.rglob("*.py")} == modules_of_the_checkout()
    assert not list(pure.rglob("*.so"))
    assert imported(pure, "klife", "klife_supervision") == without_main(modules_of_the_checkout())
    started = python(pure, START)
    assert (started.stdout, started.stderr) == ("False\n", "")
    assert "pure Python, for klife-pure was installed" in python(pure, COMMAND, "--version").stdout


def test_the_metadata_are_complete_and_read_well_outside_the_repository(compiled: Path, pure: Path) -> None:
    [found] = distributions(path=[str(compiled)])
    told = found.metadata

    assert told["Author"] == "the klife developers"
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE"]
    assert "kafka" in told["Keywords"]
    assert "Programming Language :: Python :: 3.14" in told.get_all("Classifier", [])
    assert not {"Home-page", "Project-URL", "Author-email"} & set(told.keys())
    text = str(told.get_payload())
    assert text.startswith("# klife\n")
    assert "](https://www.gevent.org)" in text
    assert re.findall(r"\]\((?!https://)|<!--|!\[", text) == []
    assert "on a two-core machine:" in text
    [other] = distributions(path=[str(pure)])
    assert other.metadata["Name"] == "klife-pure"
    assert [each for each in other.metadata.items() if each[0] != "Name"] == [each for each in told.items() if each[0] != "Name"]


def test_the_supervisors_are_a_distribution_of_their_own(checkout: Path, dist: Path, tmp_path: Path) -> None:
    made = wheel(checkout / "supervision", dist)
    assert made.name == f"klife_supervision-{__version__}-py3-none-any.whl"
    folder = installed(made, tmp_path / "site")
    without_klife = "import sys; sys.modules['klife'] = sys.modules['pykka'] = None\n"

    assert without_main({name for name in modules_of_the_checkout() if name.startswith("klife_supervision")}) == {
        str(Path(line.split(maxsplit=1)[1]).relative_to(folder))
        for line in python(folder, without_klife + IMPORT_ALL, "klife_supervision").stdout.splitlines()
    }
    assert not list(folder.rglob("stale.py"))
    [found] = distributions(path=[str(folder)])
    assert found.metadata.get_all("License-File") == ["LICENSE"]
    assert (ROOT / "supervision" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
