"""Which producer of a pool goes out next, and who has to wait.

Brokers let the next transaction of an id wait until the markers of its last one are written, which takes them
some 40 to 70 ms. So the producer that has rested longest goes out first, and while that would not be long
enough another is made, up to twice the pool's size.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

RESTED = 0.07
"""Seconds after which the markers of a producer's last transaction are written, as a rule."""

MADE_PER_OPEN = 2
"""Producers that a pool makes at most for each transaction that may be open."""

NEVER_USED = float("-inf")
"""When a producer's last transaction ended that has had none."""


class Way(Enum):
    """How a caller gets a producer."""

    TAKE = "take"  # one that rests
    RENEW = "renew"  # one whose identity was lost: initialise it anew
    MAKE = "make"
    WAIT = "wait"


class Choice(NamedTuple):
    """`slot` is the one to take or to renew."""

    way: Way
    slot: Hashable = None


def takes(rested_since: float, out: int, made: int, *, pool_size: int, now: float) -> bool:
    """Whether a caller gets the producer that has rested longest, since `rested_since`, whoever else there is.

    `made` is without those that are lost: where it is all that a pool may have, nobody is to be renewed or made.
    """
    return out < pool_size and (now - rested_since >= RESTED or made >= MADE_PER_OPEN * pool_size)


def choose(
    resting: Mapping[Hashable, float],
    lost: Sequence[Hashable],
    out: int,
    made: int,
    *,
    pool_size: int,
    now: float,
) -> Choice:
    """What a caller gets.

    Args:
        resting: when the last transaction of each producer ended that may go out (monotonic seconds).
        lost: those that rest, and have to be initialised anew before they go out.
        out: how many are out.
        made: how many there are, those included that are being made or renewed.
        pool_size: transactions that may be open at once.
        now: monotonic seconds.
    """
    if out >= pool_size:
        return Choice(Way.WAIT)
    longest = min(resting, key=resting.__getitem__, default=None)  # of equals, the one that came first
    if longest is not None and takes(resting[longest], out, made - len(lost), pool_size=pool_size, now=now):
        return Choice(Way.TAKE, longest)
    if lost:
        return Choice(Way.RENEW, lost[0])
    if made < MADE_PER_OPEN * pool_size:
        return Choice(Way.MAKE)
    return Choice(Way.WAIT) if longest is None else Choice(Way.TAKE, longest)
