"""The running engines of this process, by their clients' names.

A client that its user's supervisor restarts has a new engine under the old name, and that is how a facade
finds its way back. An engine that does not run here, the parent's in a forked child or one whose home is
gone, leaves its name to what takes its place.
"""

from __future__ import annotations

from time import monotonic

from klife.actors.engine import Engine
from klife.actors.runtime.latch import Latch

_engines: dict[str, Engine] = {}
_inherited: dict[str, Engine] = {}  # the parent's, in a forked child, and orphans, until something else has their name
_NO_HUB = object()
_registered = Latch(_NO_HUB)  # of all threads: who waits for it does so in his own hub


def register(engine: Engine) -> None:
    """Let `engine` be found by its name.

    Raises:
        ValueError: the name is taken by a client that lives.
    """
    global _registered
    if _engines.setdefault(engine.name, engine) is not engine:
        raise ValueError(f"there is a client named {engine.name!r} already; stop it first, or choose another name")
    engine.on_end.append(_ended)
    forget_inherited(engine.name)
    waiting, _registered = _registered, Latch(_NO_HUB)
    waiting.set()


def _ended(engine: Engine) -> None:
    """Free the engine's name, if it is still its own."""
    if _engines.get(engine.name) is engine:
        del _engines[engine.name]
    if engine.orphaned:
        _inherited[engine.name] = engine


def find(name: str) -> Engine | None:
    """The running engine of that name."""
    return _engines.get(name)


def wait_for(name: str, timeout: float) -> Engine | None:
    """The engine of that name, waiting up to `timeout` seconds for one to be started."""
    deadline = monotonic() + timeout
    while name not in _engines:
        if not _registered.wait(deadline - monotonic()):
            return None
    return _engines[name]


def inherit() -> list[Engine]:
    """In a forked child: what runs here is the parent's. Returned, and from now on under `inherited`, no
    longer under `find`.
    """
    global _registered
    _registered = Latch(_NO_HUB)  # those who waited are the parent's
    engines = running()
    _engines.clear()
    _inherited.update((engine.name, engine) for engine in engines)
    return engines


def inherited(name: str) -> Engine | None:
    """The parent's engine of that name, if this is a forked child in which nothing had the name since."""
    return _inherited.get(name)


def forget_inherited(name: str) -> None:
    """The name is taken, or its client was stopped, in this process."""
    _inherited.pop(name, None)


def running() -> list[Engine]:
    """All running engines of this process."""
    return list(_engines.values())
