"""`Handle`: the way from a client to the engine that runs under its name, whatever became of the one before.

Restarted by a supervisor, a client has a new engine under the old name. In a forked child the parent's engine does not run, nor does
one whose thread has ended; then the first use starts one in its place. And a call may come from another thread than the engine's home.
All that is settled here; beyond it there is an engine that runs, and a greenlet of its home thread.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent._hub_local import get_hub_if_exists

from klife.actors import engines
from klife.actors.engine import Engine
from klife.actors.producer.producers import Producers
from klife.actors.runtime.forked import take_note
from klife.api import lifecycle
from klife.api.from_thread import call_at_home
from klife.api.held import held_for
from klife.errors import ClientClosed

_HOW_TO_START = "a Client is made by Client.start('localhost:9092', ...), or found by Client.get('its name')"


class Handle:
    """What knows a client's name, and the engine that runs under it now.

    A base of `Client`, and not a value in it, because `Client` reads these fields for each record.
    """

    __slots__ = ("_name", "_engine", "_held", "_producers", "_routes", "_home", "_supervised")

    def __init__(self, engine: Engine | None = None, *_more: object, supervised: bool = False, **_options: object) -> None:
        if not isinstance(engine, Engine) or _more or _options:
            raise TypeError(_HOW_TO_START)
        self._name = engine.name
        self._supervised = supervised
        self._bind(engine)

    def _bind(self, engine: Engine) -> None:
        self._engine = engine
        self._held = held_for(engine)
        self._producers = engine.part(Producers)
        self._routes = self._producers.routes
        self._home = engine.home

    def _current(self, deadline: float) -> Engine:
        """The engine that runs under this client's name, waiting for a supervisor to restart it if need be.

        Raises:
            ClientClosed: there is none, and none came by `deadline` (monotonic seconds).
        """
        engine = self._here()
        if engine.closing is None:
            return engine
        found = engines.find(self._name)
        if found is engine and not engine.finished.is_set and not self._supervised:
            raise engine.closed_error()
        if found is None or found.closing is not None:
            found = engines.wait_for(self._name, deadline - monotonic()) if self._supervised else None
        if found is None or found.closing is not None:
            raise engine.closed_error()
        self._bind(found)
        return found

    def _here(self) -> Engine:
        """The engine this client is bound to, or the one in its place, started if need be: in a forked child, where it is the parent's,
        and where its home is gone.

        Raises:
            ClientClosed: there it was stopped, or its `on_fork` is "raise".
        """
        take_note()
        if self._engine.inherited or self._engine.home_is_gone:
            lifecycle.find(self._name)
            if not self._found_after_fork():
                raise ClientClosed(f"client {self._name!r} was stopped in this process. Nothing was queued; start a new client.")
        return self._engine

    def _found_after_fork(self) -> bool:
        """In a forked child: bind to what runs here under this client's name, if anything does."""
        found = engines.find(self._name)
        if found is None:
            return False
        self._supervised = self._supervised and not found.after_fork
        self._bind(found)
        return True

    def _from_thread(self, function: Callable[[], Any], timeout: float | None = None) -> Any:
        """Call `function` in a greenlet of the home thread and wait, as a thread does, for what it returns or raises."""
        engine = self._current(monotonic() + self._engine.settings.max_block)
        if get_hub_if_exists() is engine.hub:  # whose first use, in a forked child or after the home's end, made this the home
            return function()
        return call_at_home(engine, function, timeout)
