"""What tests share: brokers that do as they are told, readers of real ones, models, strategies, and programs
that tests run.

Imported as `tests.support.…`: `tests` is a package, so pytest finds it from the repository's root, and so
does a program that is started with that root as its folder or in PYTHONPATH (`importing_tests`).
"""

from __future__ import annotations

import os
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
TESTS = SUPPORT.parent
ROOT = TESTS.parent


def importing_tests() -> dict[str, str]:
    """The environment for a program, in whichever folder, that imports `tests` and `bench`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
