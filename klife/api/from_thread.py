"""Calls from other OS threads: carried to the client's home thread, where its greenlets run, and waited for
there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from klife.actors.engine import Engine
from klife.actors.runtime.hub_pause import UNASKED, HubStandsStill, hub_stands_still, wait_while_hub_runs
from klife.actors.runtime.latch import Latch
from klife.errors import KlifeError, ProduceError

_GRACE = 10.0  # seconds a thread waits beyond what the call itself may take


def call_at_home(engine: Engine, function: Callable[[], Any], timeout: float | None = None, so: str = "") -> Any:
    """Call `function` in a greenlet of the home thread; wait, as a thread does, for what it returns or
    raises.

    `timeout` is what the call itself may take (seconds; None is `max_block_ms`), `so` what becomes of its
    business if the home has ended: a clause for the error.

    Raises:
        ProduceError: the home thread has not run its hub for a second, so that nothing can happen there;
            `possibly_persisted` where the call had begun, else it was withdrawn.
        ClientClosed: the home thread has ended.
    """
    if engine.finished.is_set:
        raise engine.closed_error(so)
    call = _Call(engine, function, so)
    engine.calls.add(call)  # first: a home that ends now tells it, or the loop below is gone
    try:
        try:
            engine.loop.run_callback_threadsafe(gevent.spawn, call.run)
        except ValueError:  # its loop was destroyed
            engine.home_ended()
            raise engine.closed_error(so) from None
        if engine.finished.is_set and not call.begun:
            raise engine.closed_error(so)
        return call.answer((engine.settings.max_block if timeout is None else timeout) + _GRACE)
    finally:
        engine.calls.discard(call)


class _Call:
    """A call that another thread waits for. It is carried out, or withdrawn, once."""

    def __init__(self, engine: Engine, function: Callable[[], Any], so: str) -> None:
        self._engine = engine
        self._function = function
        self._so = so
        self._fate = [None]  # whoever takes it decides
        self._done = Latch(engine.hub)
        self._value: Any = None
        self._error: BaseException | None = None
        self.begun = False

    def run(self) -> None:
        """In a greenlet at home."""
        if not self._decides():
            return
        self.begun = True
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits in another thread
            self._error = error
        self._done.set()

    def answer(self, limit: float) -> Any:
        """What it returns; raises what it raises, or ProduceError: after `limit` seconds, or where the hub
        stands still.
        """
        try:
            if not self._done.wait(UNASKED) and not wait_while_hub_runs(self._done.wait, self._engine.hub, limit - UNASKED):
                raise self._given_up(f"it took over {limit:g} s")
        except HubStandsStill as pause:
            raise self._given_up(hub_stands_still(self._engine.hub, pause.seconds)) from None
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # it knows this frame, and those before it

    def home_ended(self) -> None:
        """It can not be carried out, or not to its end, any more."""
        if self._done.is_set:
            return
        if self._decides():
            self._error = self._engine.closed_error(self._so)
        else:
            self._error = self._unknown("the thread that started it has ended meanwhile")
        self._done.set()

    def _decides(self) -> bool:
        try:
            self._fate.pop()
        except IndexError:
            return False
        return True

    def _given_up(self, why: str) -> KlifeError:
        """The error of a call that nobody waits for any longer: withdrawn, if it can be."""
        if not self._decides():
            return self._unknown(why)
        return ProduceError(
            f"a call of client {self._engine.name!r} could not be carried out: {why}. It was withdrawn: nothing was queued.",
            retriable=True,
        )

    def _unknown(self, why: str) -> ProduceError:
        return ProduceError(
            f"a call of client {self._engine.name!r} was begun and not finished: {why}. What it was to produce may be in the log: "
            "check before sending it again.",
            retriable=True,
            possibly_persisted=True,
        )
