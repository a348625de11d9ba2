"""`Connections`: which of its connections to each broker a transaction goes over.

A broker works on one request of a connection at a time, and a Produce carries one transactional id: sixteen
transactions over one connection stand in line, their EndTxns included. With four they are as quick as with
one each, at a quarter of the sockets. All pools of a client share them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from klife.actors.network.purpose import OF_TRANSACTIONS, Purpose
from klife.actors.settings import NEVER

if TYPE_CHECKING:
    from klife.actors.metadata.metadata import Metadata
    from klife.actors.network.broker import Broker


_QUICK = 0.01
"""Seconds: brokers that answer an EndTxn sooner are quick, see `are_quick`."""

_RECENT = 32
"""Answers to EndTxn that are looked back at, at least; at most twice as many."""


class Connections:
    """The connections that the transactions of a client share, and who has which."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._taken: dict[Hashable, int] = {}  # places in OF_TRANSACTIONS
        self._users = [0] * len(OF_TRANSACTIONS)  # how many have each
        # The soonest answer, in seconds, since counting began, and of the `_RECENT` before that. Brokers that
        # nothing is known of are taken for quick ones.
        self._soonest, self._soonest_before = NEVER, 0.0
        self._answers = 0

    def answered(self, seconds: float) -> None:
        """An EndTxn was answered after so long: what a coordinator takes to write one change, and to say so."""
        self._soonest = min(self._soonest, seconds)
        self._answers += 1
        if self._answers == _RECENT:
            self._soonest, self._soonest_before, self._answers = NEVER, self._soonest, 0

    @property
    def are_quick(self) -> bool:
        """Whether three answers, one after the other, come sooner than three leaders that ask a coordinator at
        the same moment, and make each other wait for 20 ms.

        The way there and back decides that, so the soonest of the recent answers is looked at: brokers that have
        much to do answer late, too, and leaders that ask again and again give them more to do.
        """
        return min(self._soonest, self._soonest_before) < _QUICK

    def take(self, user: Hashable) -> None:
        """`user` has a transaction from now on: it gets the connections that the fewest have."""
        self.give_back(user)
        place = self._users.index(min(self._users))
        self._users[place] += 1
        self._taken[user] = place

    def give_back(self, user: Hashable) -> None:
        """Its transaction is over."""
        place = self._taken.pop(user, None)
        if place is not None:
            self._users[place] -= 1

    def broker(self, user: Hashable, node_id: int) -> Broker:
        """The broker as `user` is to ask it. While its connection is being opened, it is the one for
        requests: nobody waits for a second connection who could have the first.
        """
        purpose = OF_TRANSACTIONS[self._taken.get(user, 0)]
        if purpose is not Purpose.REQUESTS:
            broker = self._metadata.broker(node_id, purpose)
            if broker.is_ready:
                return broker
            broker.when_ready(_opened)
        return self._metadata.broker(node_id)


def _opened() -> None:
    """Nobody waits: it is for the next transaction."""
