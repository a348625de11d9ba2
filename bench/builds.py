"""klife of this tree and of any commit, each built in a folder of its own, once: for `bench.against`.

A folder has klife and klife_supervision, and nothing of the benchmark: that is this tree's, whichever klife it
drives. They lie in the user's cache, named by the commit or by a digest of the tree's sources, so a change in
the tree during a run changes nothing that is measured.

Compiling all of the core takes minutes, so a build begins with what another has compiled: a source that is the
same keeps its time stamp, one that differs is new, and the compiler does what make would.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from klife.testing.jars import cache_folder

_ROOT = Path(__file__).resolve().parent.parent
_PARTS = ("klife", "supervision", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
_PRODUCTS = ("*.so", "*.pyd")
_KEPT = 8  # some 50 MB each
_BUILD_S = 1200
_SHORT = 7  # digits of a commit, in names and tables
_SHOWN = 2000  # characters of what the compiler said

Sources = Mapping[str, bytes]


class BuildFailed(Exception):
    """There is no such commit, or klife of that commit cannot be built here."""


@dataclass(frozen=True)
class Build:
    """`name` is of the commit, in short; empty: this tree."""

    name: str
    folder: Path


def environment(folder: Path) -> dict[str, str]:
    """What a process has in its environment to import klife from that folder, and the benchmark from here. Its
    working directory must be the folder.
    """
    return {"PYTHONPATH": os.pathsep.join(map(str, (folder, folder / "supervision", _ROOT)))}


def of_tree() -> Build:
    """This tree as it is now, changed files included."""
    files = (file for part in _PARTS for file in ([_ROOT / part] if (_ROOT / part).is_file() else sorted((_ROOT / part).rglob("*"))))
    sources = {str(file.relative_to(_ROOT)): file.read_bytes() for file in files if file.is_file() and _is_source(file)}
    digest = hashlib.sha256()
    for name, content in sources.items():
        digest.update(f"{name} {len(content)} ".encode() + content)
    return Build("", _made(f"tree-{digest.hexdigest()[:16]}", sources, _ROOT, "this tree"))


def of_commit(revision: str, like: Build) -> Build:
    """The commit of that name; what it has in common with `like` is not compiled again.

    Raises:
        BuildFailed: there is no such commit, or it does not build.
    """
    commit = _commit(revision)
    name = commit[:_SHORT]
    sources = {}
    archive = subprocess.run(["git", "archive", commit], cwd=_ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and member.name.split("/")[0] in _PARTS else None
            if content is not None:
                sources[member.name] = content.read()
    return Build(name, _made(commit, sources, like.folder, f"commit {name}"))


def _made(key: str, sources: Sources, like: Path, what: str) -> Path:
    """The folder of that build, made now unless it is there."""
    builds = cache_folder() / "builds"
    builds.mkdir(parents=True, exist_ok=True)
    folder = builds / f"{key}-{sys.implementation.cache_tag}"
    if not folder.exists():
        with TemporaryDirectory(prefix="making-", dir=builds) as work:
            tree = Path(work, "tree")
            _lay_out(tree, sources, like)
            _compile(tree, what)
            try:
                tree.rename(folder)
            except OSError:  # another run was quicker
                if not folder.exists():
                    raise
    os.utime(folder)
    for old in sorted(builds.iterdir(), key=lambda each: -each.stat().st_mtime)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _lay_out(tree: Path, sources: Sources, like: Path) -> None:
    for name, content in sources.items():
        file, same = tree / name, like / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if same.is_file() and same.read_bytes() == content:
            shutil.copystat(same, file)
    for pattern in _PRODUCTS:
        for product in (like / "klife").rglob(pattern):
            target = tree / product.relative_to(like)
            if target.parent.is_dir():
                shutil.copy2(product, target)
    if (like / "build").is_dir():
        shutil.copytree(like / "build", tree / "build", ignore=shutil.ignore_patterns("site", "bdist*"))


def _compile(tree: Path, what: str) -> None:
    """Raises BuildFailed where that leaves klife without its compiled core."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KLIFE_")}
    asked = "import klife; print(getattr(klife, 'compiled', False))"
    try:
        built = _run(tree, inherited, "setup.py", "--quiet", "build_ext", "--inplace")
        tried = _run(tree, inherited | environment(tree), "-c", asked)
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{what} was not built within {error.timeout:g} s") from None
    if tried.stdout.strip() != "True":
        said = (built.stdout + built.stderr + tried.stderr).strip()
        raise BuildFailed(f"{what} does not build with its compiled core:\n{said[-_SHOWN:]}")


def _run(tree: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True, timeout=_BUILD_S, check=False
    )


def _is_source(file: Path) -> bool:
    return "__pycache__" not in file.parts and not any(file.match(pattern) for pattern in _PRODUCTS) and ".egg-info" not in str(file)


def _commit(revision: str) -> str:
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise BuildFailed(f"there is no commit {revision!r}") from None
