"""`Held`: notices that a program has let go of a client it never stopped.

A running client is kept by its greenlets, whoever still knows its `Client`. One without a name of its own can
not be found again either, so nobody can stop it any more: it sends and keeps its connections until the
process ends. Python tells of such things by a ResourceWarning, as of a file that was not closed.
"""

from __future__ import annotations

import sys
import warnings
from weakref import ref

from klife.actors.engine import Engine
from klife.actors.runtime.forked import is_forked


class Held:
    """Held by each `Client` of one engine: when it goes, nobody holds such a client any more."""

    __slots__ = ("_engine", "__weakref__")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __del__(self) -> None:
        engine = self._engine
        ends = engine.closing is not None or engine.exiting is not None or sys.is_finalizing()
        if ends or engine.orphaned or engine.inherited or is_forked():
            return
        warnings.warn(
            f"client {engine.name!r} was forgotten without stop(): it runs on until the process ends, and nobody can stop it any more. "
            "Call client.stop(), use `with Client.start(...) as client`, or give it a name=, by which Client.get finds it",
            ResourceWarning,
            stacklevel=2,
        )


def held_for(engine: Engine) -> Held | None:
    """What the clients of `engine` hold; None where it has a name of its user's, by which it can be found
    again.
    """
    if not engine.settings.name_is_made_up:
        return None
    held: Held | None = engine.held() if engine.held is not None else None
    if held is None:
        held = Held(engine)
        engine.held = ref(held)
    return held
