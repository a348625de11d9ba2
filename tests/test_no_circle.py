"""No module imports one that imports it, in however many steps: for the interpreter, for types alone, or for
the compiler.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"klife": ROOT / "klife", "klife_supervision": ROOT / "supervision" / "klife_supervision"}
_CIMPORT = re.compile(r"^from (\S+) cimport (.+)$|^cimport (\S+)", re.MULTILINE)


def modules() -> dict[str, list[Path]]:
    """Each module's source and, where it has one, its declarations."""
    found: dict[str, list[Path]] = {}
    for package, folder in SOURCES.items():
        for path in sorted((*folder.rglob("*.py"), *folder.rglob("*.pxd"))):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            found.setdefault(".".join(parts).removesuffix(".__init__"), []).append(path)
    return found


def imported(path: Path) -> Iterator[tuple[str, list[str]]]:
    """What a file imports, wherever in it that stands: a module, and the names it takes from there."""
    if path.suffix == ".pxd":
        for match in _CIMPORT.finditer(path.read_text()):
            yield match[1] or match[3], [name.strip() for name in (match[2] or "").split(",")]
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield each.name, []
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by dots"
            yield (node.module or "").removeprefix("cython.cimports."), [each.name for each in node.names]


def imports_of(paths: list[Path], known: set[str]) -> set[str]:
    """The modules of ours that a module needs. A name taken from a package is a module where there is one of
    that name.
    """
    found = set()
    for path in paths:
        for module, names in imported(path):
            submodules = {f"{module}.{name}" for name in names} & known
            found |= submodules
            if module in known and len(submodules) < max(len(names), 1):
                found.add(module)
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A way round, through as few modules as can be, for each module that can reach itself and is in none
    that was found before.
    """
    found: list[list[str]] = []
    for start in sorted(graph):
        if any(start in circle for circle in found):
            continue
        before: dict[str, str] = {}
        reached = [start]
        for module in reached:
            for each in sorted(graph[module]):
                if each not in before:
                    before[each] = module
                    reached.append(each)
        if start in before:
            circle = [before[start]]
            while circle[-1] != start:
                circle.append(before[circle[-1]])
            found.append(circle[::-1])
    return found


def test_a_circle_is_found_and_named() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"d"}, "d": {"b"}, "e": {"a"}}
    assert circles(graph) == [["b", "d"], ["c", "d", "b"]]


def test_no_module_can_reach_itself() -> None:
    paths = modules()
    graph = {name: imports_of(files, set(paths)) - {name} for name, files in paths.items()}
    assert graph["klife.actors.producer.batch"] >= {"klife.actors.producer.terms", "klife.actors.runtime.latch"}
    assert graph["klife.record"] >= {"klife.capi", "klife.freeing", "klife.making"}, "what C takes is counted"
    assert not [" -> ".join([*circle, circle[0]]) for circle in circles(graph)]
