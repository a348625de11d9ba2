"""How many files one has to read to understand a flush; `tests.support.flush_files` says what is counted."""

from __future__ import annotations

import subprocess
import sys

from tests.support import importing_tests

READABLE = 8


def test_a_flush_can_be_read_in_eight_files_besides_the_runtime_and_the_protocol() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.flush_files"],
        env={**importing_tests(), "KLIFE_PURE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr
    own, runtime = (line.split() for line in ended.stdout.splitlines())
    assert "actors/producer/batcher_actor.py" in own
    assert "actors/network/connection_actor.py" in own
    assert len(own) <= READABLE, own
    assert len(runtime) <= 5, runtime
