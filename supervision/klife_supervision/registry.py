"""Names for running children: registered at start, looked up by anyone, freed at the end.

One registry per process, as in OTP. A name is any hashable value and stands for at most one living thing.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from klife_supervision.child import as_running_child
from klife_supervision.errors import NameTaken
from klife_supervision.exit_reason import ExitReason

_names: dict[Hashable, Any] = {}


def register(name: Hashable, child: Any) -> None:
    """Let `name` stand for `child`, something that can be supervised, until it ends.

    Raises NameTaken when the name stands for something that lives.
    """
    running = as_running_child(child)
    if name in _names:
        raise NameTaken(f"the name {name!r} is taken by {type(_names[name]).__name__}; stop that first, or choose another name")
    _names[name] = child

    def ended(_reason: ExitReason) -> None:
        release(name, child)

    running.monitor(ended)


def whereis(name: Hashable) -> Any:
    """What is registered under `name`, or None."""
    return _names.get(name)


def release(name: Hashable, child: Any) -> None:
    """Free `name` if it stands for `child`; nothing happens if it does not."""
    if _names.get(name) is child:
        del _names[name]


def registered() -> tuple[Hashable, ...]:
    """All names in use."""
    return tuple(_names)
