"""A user's program under the checkers that users run: mypy and pyright, both strict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PROGRAM = Path(__file__).with_name("user_program.py")
WRONG = """
from klife import Client

Client.start("localhost:9092", lingr_ms=5)
Client.start("localhost:9092", acks="some")
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy has read of klife, by settings of its own."""
    return tmp_path_factory.mktemp("cache")


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
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110, check=False)
    assert (ended.returncode == 0) is (ended.stdout == ""), ended.stderr
    return ended.stdout


def pyright(program: Path, folder: Path) -> list[str]:
    settings = {"include": [str(program)], "extraPaths": [str(ROOT), str(ROOT / "supervision")], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--project", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    return [f"{each['range']['start']['line'] + 1}: {each['message']}" for each in json.loads(ended.stdout)["generalDiagnostics"]]


@pytest.fixture
def wrong_program(tmp_path: Path) -> Path:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    return program


def test_mypy_finds_nothing_to_complain_of(cache: Path) -> None:
    assert mypy(PROGRAM, cache) == ""


def test_pyright_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    assert pyright(PROGRAM, tmp_path) == []


def test_options_are_checked_by_name_and_value(wrong_program: Path, cache: Path, tmp_path: Path) -> None:
    said = mypy(wrong_program, cache)
    assert "lingr_ms" in said
    assert "Literal['some']" in said
    assert len(pyright(wrong_program, tmp_path)) == 2
