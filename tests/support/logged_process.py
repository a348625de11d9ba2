"""A program in a process group of its own, whose output goes into a file."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def logged_process(
    command: Sequence[str], log: Path, *, folder: Path, environ: Mapping[str, str], stdin: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`command` in `folder`; `log` has its standard output and standard error. What of its group runs at the end of
    the block is killed.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdin=stdin, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
