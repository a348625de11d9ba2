"""An example as its reader runs it: its command, in its folder, in a process of its own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import gevent

from tests.support import ROOT
from tests.support.doc_pages import commands
from tests.support.logged_process import logged_process

EXAMPLES = ROOT / "examples"
PATIENCE = 100.0


class Example:
    """The program while it runs, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """Its standard output and standard error."""
        return self._log.read_text()

    @property
    def port(self) -> int:
        """Where it serves HTTP, as it says."""
        return int(self.wait_for(r"http://127\.0\.0\.1:(\d+)"))

    def wait_for(self, pattern: str) -> str:
        """What the pattern, or its group, finds first in the log, when it is there."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.log)):
            assert self.process.poll() is None, f"it ended without {pattern!r}:\n{self.log}"
            assert time.monotonic() < deadline, f"{pattern!r} is not in the log:\n{self.log}"
            gevent.sleep(0.02)
        return found[found.lastindex or 0]

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.log
            gevent.sleep(0.02)
        return self.process.returncode

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()


def environment(servers: str, **environ: str) -> dict[str, str]:
    """What an example is told, and nothing that belongs to the tests."""
    build = {name: value for name, value in os.environ.items() if name == "KLIFE_PURE"}
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("KLIFE_", "SHOP_", "PYTEST_"))}
    return {**mine, **build, "KLIFE_BOOTSTRAP_SERVERS": servers, "PYTHONUNBUFFERED": "1", **environ}


def told(name: str, beginning: str) -> list[str]:
    """The command in the example's README that begins so, for `running`."""
    lines = [line for line in commands(EXAMPLES / name / "README.md") if line.startswith(beginning)]
    assert len(lines) == 1, (name, beginning, lines)
    program, *arguments = shlex.split(lines[0].partition("<")[0])
    return arguments if program == "python" else ["-m", program, *arguments]


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    servers: str,
    folder: Path,
    environ: Mapping[str, str] = {},
    *,
    stdin: int | None = subprocess.DEVNULL,
    python: Path | str = sys.executable,
) -> Iterator[Example]:
    """Python with these arguments, in the example's folder; its log is in `folder`. What runs at the end of the block
    is killed.
    """
    log = folder / f"{name}.log"
    told_environ = environment(servers, **environ)
    with logged_process([str(python), *command], log, folder=EXAMPLES / name, environ=told_environ, stdin=stdin) as process:
        yield Example(process, log)
