"""What becomes of a client's state when its home is gone: the thread ended, or its hub was destroyed.

Its greenlets will never run again. So sockets are closed, and nobody is woken any more, in whatever thread
notices; each part lets go of its own actors (`Part.orphan`), and the engine then has what is left settled.
The name comes free, and the next use of the client starts one in its place, as in a forked child
(`lifecycle.find`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from klife.actors.network.broker import Broker
from klife.actors.runtime.actor import forget_actors
from klife_supervision.loop import forget_supervisors
from klife_supervision.registry import release


def let_go_of_sockets(brokers: Iterable[Broker]) -> None:
    """Close them, and let no actor of theirs be woken."""
    for broker in brokers:
        broker.disown()


def forget_tree(hub: Any, supervisor: Any) -> None:
    """The supervision tree that ran in `hub`, under `supervisor`, is nowhere to be found any more."""
    if supervisor is not None and supervisor.name is not None:
        release(supervisor.name, supervisor)
    forget_supervisors(hub)
    forget_actors(hub)
