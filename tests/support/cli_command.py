"""How the tests call the command: a process of its own, as users do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

COMMAND = [sys.executable, "-m", "klife.cli"]

RunKlife = Callable[..., subprocess.CompletedProcess[str]]
NewTopic = Callable[..., str]


def environment(**variables: str) -> dict[str, str]:
    """The environment without what could change the command's output, and with `variables`. The build stays
    the one that is tested.
    """
    changing = ("KLIFE_", "COLUMNS", "FORCE_COLOR", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changing) or name == "KLIFE_PURE"}
    return kept | variables
