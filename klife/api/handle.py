"""`Handle`: the way from a client to the engine that runs under its name, whatever became of the one before.

Restarted by a supervisor, a client has a new engine under the old name. In a forked child the parent's engine
does not run, nor does one whose thread has ended; then the first use starts one in its place. And a call may
come from another thread than the engine's home. All that is settled here, whatever the client is used for;
beyond it there is an engine that runs, and a greenlet of its home thread.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from gevent._hub_local import get_hub_if_exists

from klife.actors import engines
from klife.actors.closed import NOT_QUEUED, client_closed
from klife.actors.engine import Engine
from klife.actors.runtime.forked import take_note
from klife.api import lifecycle
from klife.api.from_thread import call_at_home
from klife.api.held import held_for
from klife.errors import InvalidRecordType
from klife.words import kind_of

T = TypeVar("T")


def deadline_in(timeout: float) -> float:
    """When a call has to end that may take `timeout` seconds, in monotonic seconds.

    Raises:
        InvalidRecordType: that is no number (a TypeError).
    """
    try:
        return monotonic() + timeout
    except TypeError:
        raise InvalidRecordType(f"timeout is {kind_of(timeout)}; expected seconds as a number") from None


class Handle:
    """What knows a client's name, and the engine that runs under it now. `supervised` is whether a supervisor
    may restart that.
    """

    __slots__ = ("name", "engine", "_held", "_supervised")

    def __init__(self, engine: Engine, *, supervised: bool) -> None:
        self.name: str = engine.name
        self._supervised = supervised
        self._bind(engine)

    def _bind(self, engine: Engine) -> None:
        self.engine: Engine = engine
        self._held = held_for(engine)

    @property
    def is_at_home(self) -> bool:
        """Whether the caller is in the thread where the engine's greenlets run."""
        return get_hub_if_exists() is self.engine.hub

    def by_max_block(self) -> float:
        """The deadline of a call that may wait `max_block_ms`, in monotonic seconds."""
        return monotonic() + self.engine.settings.max_block

    def current(self, deadline: float | None = None, so: str = NOT_QUEUED) -> Engine:
        """The engine that runs under this client's name, waiting for a supervisor to restart it if need be,
        by default `max_block_ms`. `so` is what becomes of the caller's business if there is none: a clause
        for the error, "" where nothing was to be queued.

        Raises:
            ClientClosed: there is none, and none came by `deadline` (monotonic seconds).
        """
        engine = self.here(so)
        if engine.closing is None:
            return engine
        if deadline is None:
            deadline = self.by_max_block()
        found = engines.find(self.name)
        if found is engine and not engine.finished.is_set and not self._supervised:
            raise engine.closed_error(so)
        if found is None or found.closing is not None:
            found = engines.wait_for(self.name, deadline - monotonic()) if self._supervised else None
        if found is None or found.closing is not None:
            raise engine.closed_error(so)
        self._bind(found)
        return found

    def here(self, so: str = "") -> Engine:
        """The engine this client is bound to, or the one in its place, started if need be: in a forked child,
        where it is the parent's, and where its home is gone.

        Raises:
            ClientClosed: there it was stopped, or its `on_fork` is "raise".
        """
        take_note()
        if self.engine.inherited or self.engine.home_is_gone:
            lifecycle.find(self.name, so)
            if not self.finds_successor():
                raise client_closed(f"client {self.name!r}", "it was stopped in this process", so)
        return self.engine

    @property
    def is_left_behind(self) -> bool:
        """Whether the engine is the parent's, in a forked child, or its home is gone: it does not run here
        any more.
        """
        return self.engine.inherited or self.engine.home_is_gone

    def finds_successor(self) -> bool:
        """Bind to what runs under this client's name in the place of an engine that was left behind, if
        anything does.
        """
        found = engines.find(self.name)
        if found is None:
            return False
        self._supervised = self._supervised and not found.after_fork
        self._bind(found)
        return True

    def from_thread(self, function: Callable[[], T], timeout: float | None = None, so: str = NOT_QUEUED) -> T:
        """Call `function` in a greenlet of the home thread and wait, as a thread does, for what it returns or
        raises.
        """
        engine = self.current(so=so)
        if self.is_at_home:  # its first use, in a forked child or after the home's end, made this the home
            return function()
        answer: T = call_at_home(engine, function, timeout, so)
        return answer
