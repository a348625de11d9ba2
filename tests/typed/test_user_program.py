"""A user's program under the checkers that users run: mypy and pyright, both strict."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

from tests.support import ROOT

PROGRAM = Path(__file__).with_name("user_program.py")
WRONG = """
from klife import Client, Record, TopicConfig

Client.start("localhost:9092", lingr_ms=5)
Client.start("localhost:9092", acks="some")
price: Record[int] = Record("prices", "twelve")
tombstone: Record[int] = Record("prices", None)
named = Record[int]("prices", 12, key="coffee")
TopicConfig(name="prices", value_serializer=str)
TopicConfig(name="prices", value_serializer=lambda value: 12)
"""
WRONG_LINES = [4, 5, 6, 8, 9, 10]
SECONDS = 280.0  # a busy machine takes minutes for what takes five


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy has read of klife, by settings of its own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def wrong_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("wrong") / "wrong.py"
    program.write_text(WRONG)
    return program


@pytest.fixture(scope="module")
def pyright(wrong_program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What it says of both programs, by file: it reads klife for seconds."""
    folder = tmp_path_factory.mktemp("pyright")
    for program in (PROGRAM, wrong_program):  # it passes over what is named by an absolute path
        copy(program, folder)
    settings = {"extraPaths": [str(ROOT), str(ROOT / "supervision")], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--project", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    told = json.loads(ended.stdout)
    assert told["summary"]["filesAnalyzed"] == 2, ended.stderr
    said: dict[str, list[str]] = {PROGRAM.name: [], wrong_program.name: []}
    for each in told["generalDiagnostics"]:
        said[Path(each["file"]).name].append(f"{each['range']['start']['line'] + 1}: {each['message']}")
    return said


def mypy(program: Path, cache: Path) -> str:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
        "--no-error-summary",
        f"--cache-dir={cache}",
        str(program),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=SECONDS, check=False)
    assert (ended.returncode == 0) is (ended.stdout == ""), ended.stderr
    return ended.stdout


def test_mypy_finds_nothing_to_complain_of(cache: Path) -> None:
    assert mypy(PROGRAM, cache) == ""


def test_pyright_finds_nothing_to_complain_of(pyright: dict[str, list[str]]) -> None:
    assert pyright[PROGRAM.name] == []


def test_the_whole_package_tells_its_types() -> None:
    """The measure that pyright has for a library with `py.typed`: the share of its public names whose type
    every checker infers alike."""
    command = [sys.executable, "-m", "pyright", "--verifytypes", "klife", "--ignoreexternal", "--outputjson"]
    places = os.pathsep.join([str(ROOT), str(ROOT / "supervision")])
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it asks the first Python for packages
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ | {"PYTHONPATH": places, "PATH": search}
    )
    told = json.loads(ended.stdout)["typeCompleteness"]
    untold = [each["name"] for each in told["symbols"] if each["isExported"] and not each["isTypeKnown"]]
    assert told["completenessScore"] >= 0.97, untold
    assert not untold, "see where pyright infers a type that is not written down"


def test_options_values_and_keys_are_checked(wrong_program: Path, cache: Path, pyright: dict[str, list[str]]) -> None:
    said = mypy(wrong_program, cache)
    assert "lingr_ms" in said
    assert "Literal['some']" in said
    assert [int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line] == WRONG_LINES
    assert [int(line.split(":")[0]) for line in pyright[wrong_program.name]] == WRONG_LINES


def test_what_checkers_are_told_of_a_record_is_what_it_is() -> None:
    told, is_so = (methods_of(ROOT / "klife" / name) for name in ("record.pyi", "record.py"))
    assert {name: arguments for name, arguments in is_so.items() if name in told} == told
    public = {name for name in is_so if not name.rpartition(".")[2].startswith("_")}
    assert public - told.keys() == set()


def methods_of(source: Path) -> dict[str, list[str]]:
    """The arguments, with their defaults, of each method of a module's classes."""
    found = {}
    for cls in ast.parse(source.read_text()).body:
        for method in cls.body if isinstance(cls, ast.ClassDef) else []:
            if isinstance(method, ast.FunctionDef):
                given = method.args
                required = len(given.args) - len(given.defaults)
                defaults = [None] * required + [*map(ast.unparse, given.defaults)]
                arguments = [f"{each.arg}={default}" for each, default in zip(given.args, defaults, strict=True)]
                found[f"{cls.name}.{method.name}"] = [*arguments, *(each.arg for each in given.kwonlyargs)]
    return {name: arguments for name, arguments in found.items() if not name.endswith("__class_getitem__")}
