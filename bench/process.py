"""A contestant's own process, as seen from outside: it gets a job as text and answers with JSON
(`bench.worker`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import builds, contestants

_ROOT = Path(__file__).resolve().parent.parent
_SHOWN = 2000  # characters of a job

Answer = dict[str, Any]


def ask(contestant: str, arguments: list[str], text: str, timeout: float, folders: Mapping[str, Path]) -> Answer:
    """What the process answers. `folders` are those of klife's builds, by the contestants that run them; the
    others run what is installed.

    Raises:
        RuntimeError: it failed, or did not end in time; with what it said.
    """
    command = [sys.executable, "-m", "bench.worker", *arguments]
    folder = folders.get(contestant)
    # Which build of klife is measured is the contestant's to say.
    inherited = {name: value for name, value in os.environ.items() if name != "KLIFE_PURE"}
    environment = {**inherited, **(builds.environment(folder) if folder else {}), **contestants.entry(contestant).environment}
    try:
        done = subprocess.run(
            command, cwd=folder or _ROOT, env=environment, input=text, capture_output=True, text=True, timeout=timeout, check=True
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"it ended with exit code {error.returncode}, and said nothing"
        raise RuntimeError(f"{said.splitlines()[-1]}\n{said}\nIts job was {_shortened(text)}") from None
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode().strip()
        raise RuntimeError(f"it did not end within {timeout:g} s\n{said}\nIts job was {_shortened(text)}") from None
    answer: Answer = json.loads(done.stdout.splitlines()[-1])
    return answer


def _shortened(text: str) -> str:
    return text if len(text) < _SHOWN else f"{text[:_SHOWN]}…"
