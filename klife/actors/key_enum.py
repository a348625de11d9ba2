"""`KeyEnum`: an enumeration whose members are looked up in dictionaries as often as requests are sent."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING


class KeyEnum(Enum):
    """`Enum`, with the hash that its members have as objects. Members are compared as objects, so it is the
    same; but Enum's own is a call of Python, and a look-up takes 220 ns with it where it takes 40 without.
    """

    if not TYPE_CHECKING:  # which knows object's `__hash__` by another type
        __hash__ = object.__hash__
