"""`Addresses`: the addresses a broker's name stands for, and which of them to try next.

A name may stand for several: a bootstrap name for all brokers, a host for IPv4 and IPv6, a balancer for its
zones. Any of them may drop what is sent to it, say nothing, or close each connection. So each has its turn:
an attempt begins behind the address that failed last, in whatever step that was, and the name is looked up
anew when all of its addresses had their turn, and when a connection that worked has ended (its broker may
have moved meanwhile).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

_TOLD_AT_MOST = 5

Address = tuple[Any, Any, Any, Any]
"""Family, type and protocol of the socket, and what it connects to: an answer of `getaddrinfo` without the
canonical name.
"""


class Addresses:
    """Those of one name. Knows nothing of sockets or clocks."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._untried: deque[Address] = deque()
        self._last: Address | None = None
        self._last_failed = False
        self._reasons: dict[str, str] = {}

    @property
    def is_through(self) -> bool:
        """Whether all had their turn, so that the name has to be looked up."""
        return not self._untried

    def found(self, answers: Iterable[Sequence[Any]]) -> None:
        """What `getaddrinfo` answered: from now on these have their turn, the one behind the last failure
        first.
        """
        addresses = interleaved([(*answer[:3], answer[4]) for answer in answers])
        if self._last in addresses:  # go on where we were: there if it works, behind it if it does not
            first = addresses.index(self._last) + self._last_failed
            addresses = addresses[first:] + addresses[:first]
        self._untried = deque(addresses)
        there = {_text(address) for address in addresses}
        self._reasons = {text: reason for text, reason in self._reasons.items() if text in there}

    def take(self) -> Address:
        """The address whose turn it is."""
        self._last, self._last_failed = self._untried.popleft(), False
        return self._last

    def failed(self, reason: str) -> None:
        """The address in use is of no use now."""
        if self._last is not None:
            self._last_failed = True
            self._reasons[_text(self._last)] = reason

    def not_found(self, reason: str) -> None:
        """The name leads nowhere now."""
        self._reasons = {self.host: reason}

    def worked(self) -> None:
        """The address in use is a broker's; what happened before is past."""
        self._reasons = {}

    def look_up_again(self) -> None:
        """Have the name looked up before the next attempt."""
        self._untried.clear()

    def told(self, reason: str) -> str:
        """`reason`, and at which address that was, if the host does not say it."""
        return self._at(_text(self._last), reason) if self._last is not None else reason

    def all_told(self) -> str:
        """What happened last at each address that did not work."""
        told = [self._at(text, reason) for text, reason in self._reasons.items()]
        more = len(told) - _TOLD_AT_MOST
        return "; ".join(told[:_TOLD_AT_MOST]) + (f"; and {more} more" if more > 0 else "")

    def _at(self, text: str, reason: str) -> str:
        return reason if text == self.host else f"{text}: {reason}"


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Each once, the families in turn (RFC 8305, 4): when one family does not work at all, the second address
    is of the other.
    """
    families: dict[Any, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], []).append(address)
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]


def _text(address: Address) -> str:
    return str(address[3][0])
