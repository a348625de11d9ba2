"""Where Python may run something else in the middle of klife: a signal handler, or a destructor that the garbage
collector calls.

In Python such code runs after a call, at a function's start, where a loop goes back, and where a container is
made; in the compiled core, only where the collector may begin.
"""

from __future__ import annotations

import dis
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import klife

KLIFE = str(Path(klife.__file__).parent)
Intruder = Callable[[], None]


class Interrupted(BaseException):
    """What a signal handler may raise: a KeyboardInterrupt, say."""


@cache
def places_in(code: CodeType) -> frozenset[int]:
    """The offsets at which something else may have run just now."""
    found, before = set(), "RESUME"
    for instruction in dis.get_instructions(code):
        if before.startswith(("CALL", "RESUME")) or instruction.opname.startswith("BUILD_"):
            found.add(instruction.offset)
        if instruction.opname.startswith("JUMP_BACKWARD"):
            found.add(instruction.argval)
        before = instruction.opname
    return frozenset(found)


@contextmanager
def at_place(
    number: int, intruder: Intruder, within: tuple[str, ...] = (KLIFE,), counts: Callable[[], bool] = lambda: True
) -> Iterator[list[bool]]:
    """Run `intruder` at the place of that number, counted from here on; tell whether there was one. In Python
    only files are looked at whose path begins as one of `within`, and places where `counts()`.
    """
    left, ran = number, [False]

    def one_place_less() -> None:
        nonlocal left
        left -= 1
        if left == -1:
            ran[0] = True
            intruder()

    if klife.compiled:

        def collecting(phase: str, _info: Any) -> None:
            if phase == "start":
                one_place_less()

        thresholds = gc.get_threshold()
        gc.freeze()  # so that each of the collections looks only at what is made from here on
        gc.collect()
        time.sleep(0.002)  # `produce` looks at the hub once a millisecond, and there are places in that, too
        gc.callbacks.append(collecting)
        gc.set_threshold(1)
        try:
            yield ran
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(collecting)
            gc.unfreeze()
        return

    def inside(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode" and frame.f_lasti in places_in(frame.f_code) and counts():
            one_place_less()
        return inside

    def entered(frame: FrameType, _event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(within):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return inside

    tracing = sys.gettrace()
    sys.settrace(entered)
    try:
        yield ran
    finally:
        sys.settrace(tracing)
