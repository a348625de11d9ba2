"""Which files the project has."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.support import ROOT


@cache
def files_of_the_checkout() -> tuple[str, ...]:
    """The files under version control, and those that could be put there, by their paths in the repository."""
    # The checkout may be another user's.
    git = ["git", "-c", f"safe.directory={ROOT}"]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return tuple(name for name in listed.stdout.split("\0") if (ROOT / name).is_file())
