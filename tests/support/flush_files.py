"""`KLIFE_PURE=1 python -m tests.support.flush_files`: which files of klife a flush goes through.

One record is produced to a scripted broker by a client that is warm: connected, with its producer id, and
with batches delivered before. Counted are the files in which a function is entered, in any greenlet of the
thread, from the moment the batcher's actor wakes with that batch (`BatcherActor.on_wake`) until the batch has
its outcome (`Settlement.delivered` returns): taken, encoded, written, the answer read and judged. Left out are
`klife/protocol/` and all that is not below `klife/`. What runs before (the caller's `produce`) and after (who
waited, callbacks) is no part of it, nor is what only failures enter. Of several such records the one counts
that entered the fewest: whatever else runs meanwhile, a timer or another actor's look, only ever adds.

The runtime's primitives (`klife/actors/runtime/`: actor, inbox, latch, loop budget, whether this is a fork)
are told apart: they are read once, and not for the producer's sake.

Prints two lines: the files of the producer and the network, and those of the runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import greenlet

import klife
from klife import Client, Record
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.settlement import Settlement
from tests.support.scripted_broker import PATIENCE, ScriptedCluster

ROOT = str(Path(klife.__file__).parent)
RUNTIME = "actors/runtime/"
TIMES = 10
_WAKES, _DELIVERED = BatcherActor.on_wake, Settlement.delivered


class FilesEntered:
    """Notes the files of klife that are entered between the first batcher's wake-up and the first outcome
    after `start`.
    """

    def __init__(self) -> None:
        self.files: dict[str, None] = {}
        self.counting = self.over = False

    def start(self) -> None:
        greenlet.settrace(lambda _event, _greenlets: sys.setprofile(self._profile))  # each greenlet has a profiler of its own
        sys.setprofile(self._profile)

    def stop(self) -> None:
        greenlet.settrace(None)
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if self.over or event not in ("call", "return"):
            return
        if event == "call" and _is(_WAKES, code):
            self.counting = True
        if self.counting and code.co_filename.startswith(ROOT):
            name = code.co_filename[len(ROOT) + 1 :]
            if not name.startswith("protocol/"):
                self.files[name] = None
            self.over = event == "return" and _is(_DELIVERED, code)


def _is(function: Callable[..., Any], code: object) -> bool:
    return function.__code__ is code


def files_of_a_flush() -> list[str]:
    """The files, in the order they are entered first."""
    with ScriptedCluster(topics={"orders": 1}) as cluster:
        client = Client.start(cluster.bootstrap_servers, name="traced")
        try:
            for _ in range(3):
                client.produce(Record("orders", b"before")).get(PATIENCE)
            return min((_entered_by_one_more(client) for _ in range(TIMES)), key=len)
        finally:
            client.stop()


def _entered_by_one_more(client: Client) -> list[str]:
    traced = FilesEntered()
    traced.start()
    try:
        client.produce(Record("orders", b"traced")).get(PATIENCE)
    finally:
        traced.stop()
    assert traced.over
    return list(traced.files)


if __name__ == "__main__":
    if klife.compiled:
        sys.exit("a profiler sees no function of the compiled core: set KLIFE_PURE=1")
    found = files_of_a_flush()
    print(*(name for name in found if not name.startswith(RUNTIME)))
    print(*(name for name in found if name.startswith(RUNTIME)))
