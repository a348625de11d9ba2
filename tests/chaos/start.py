"""The start of a run: a line that all its processes wait at until each is ready, however long the machine takes to
start them. A load that began behind its own end would show nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

READY_SECONDS = 60.0
"""For all to be ready; then it begins without those that are not."""
LOOK_SECONDS = 0.02


def clear_line(folder: Path) -> None:
    """Forget an earlier run in this folder."""
    for left in (*folder.glob("*.ready"), folder / "began"):
        left.unlink(missing_ok=True)


def wait_at_line(folder: Path, name: str, sleep: Callable[[float], None]) -> float:
    """Tell that the process `name` is ready; wait until all are, and return when to begin (monotonic seconds).

    Raises:
        TimeoutError: nobody has begun the run.
    """
    (folder / f"{name}.ready").touch()
    began, deadline = folder / "began", monotonic() + 2 * READY_SECONDS
    while not began.exists():
        if monotonic() > deadline:
            raise TimeoutError("nobody has begun the run")
        sleep(LOOK_SECONDS)
    return float(began.read_text())


def begin_when_ready(folder: Path, names: Sequence[str], sleep: Callable[[float], None]) -> float:
    """Have all begin now, once those processes are ready; when that is."""
    deadline = monotonic() + READY_SECONDS
    while not all((folder / f"{name}.ready").exists() for name in names) and monotonic() < deadline:
        sleep(LOOK_SECONDS)
    began, whole = monotonic(), folder / "began.part"
    whole.write_text(str(began))
    whole.rename(folder / "began")
    return began
