"""`python -m bench.actors`: measure, print the tables, and write the result (JSON, Markdown) to
bench/results/.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import machine
from bench.actors import report
from bench.actors.contestants import CONTESTANTS
from bench.page import replace_figures

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_TIMEOUT_S = 120


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parse(arguments)
    result = run(1 if asked.smoke else asked.rounds, smoke=asked.smoke)
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"actors-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(result, indent=1))
    text = report.markdown(result)
    path.with_suffix(".md").write_text(text + "\n")
    print(f"\n{text}\n\nWritten to {path} (.md)")
    if asked.write_readme:
        replace_figures(_HERE / "README.md", text)


def run(rounds: int, *, smoke: bool) -> dict[str, Any]:
    """Every contestant in every round, the next one first each time, so that a slow minute meets all of them."""
    facts = machine.facts()
    names = list(CONTESTANTS)
    samples: list[dict[str, Any]] = []
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in [*names[first:], *names[:first]]:
            print(f"round {round_ + 1}/{rounds}: {name}", flush=True)
            samples += _worker(name, smoke)
    return {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": facts,
        "versions": {name: version(name) for name in ("klife", "gevent", "pykka")},
        "rounds": rounds,
        "contestants": {name: contestant.DRIVEN for name, contestant in CONTESTANTS.items()},
        "samples": samples,
    }


def _worker(name: str, smoke: bool) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "bench.actors.worker", name, *(["--smoke"] if smoke else [])]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        sys.exit(f"{name}: its process failed\n{done.stderr}")
    samples: list[dict[str, Any]] = json.loads(done.stdout)
    return samples


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.actors", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="does it still run? The figures mean nothing")
    parser.add_argument("--out", type=Path, default=_HERE.parent / "results", metavar="FOLDER", help="where results are written")
    parser.add_argument("--write-readme", action="store_true", help="put the tables into bench/actors/README.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
