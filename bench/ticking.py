"""How long a neighbour was kept waiting: somebody who wants to be woken every 5 ms, in the client's process
and beside it.

Beside it (`Control`, a process of its own that does nothing else) shows what the machine does to anybody: a
gap that both saw is not the client's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from threading import Thread
from types import TracebackType

TICK_S = 0.005


class Control:
    """Ticks in a process of its own while the block runs; `longest(begin, end)` afterwards."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.ticking"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._gaps: list[tuple[float, float]] = []

    def __enter__(self) -> Control:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        said, _ = self._process.communicate()
        self._gaps = [(ended, gap) for ended, gap in json.loads(said)]

    def longest(self, begin: float, end: float) -> float:
        """The longest gap in seconds that ended between two readings of `time.perf_counter`, which all
        processes share.
        """
        return max((gap for ended, gap in self._gaps if begin <= ended <= end), default=0.0)


def _main() -> None:
    ended = False

    def wait() -> None:
        nonlocal ended
        sys.stdin.read()
        ended = True

    Thread(target=wait, daemon=True).start()
    gaps: list[tuple[float, float]] = []
    while not ended:
        before = time.perf_counter()
        time.sleep(TICK_S)
        now = time.perf_counter()
        gaps.append((now, now - before - TICK_S))
    print(json.dumps(gaps))


if __name__ == "__main__":
    _main()
