"""`Connections`: which of its connections to each broker a transaction goes over.

A broker works on one request of a connection at a time, and a Produce carries one transactional id: sixteen
transactions over one connection stand in line, their EndTxns included. With four they are as quick as with
one each, at a quarter of the sockets. All pools of a client share them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING

from klife.actors.network.purpose import OF_TRANSACTIONS, Purpose

if TYPE_CHECKING:
    from klife.actors.metadata.metadata import Metadata
    from klife.actors.network.broker import Broker


class Connections:
    """The connections that the transactions of a client share, and who has which."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._taken: dict[Hashable, Purpose] = {}

    def take(self, user: Hashable) -> None:
        """`user` has a transaction from now on: it gets the connections that the fewest have."""
        self.give_back(user)
        users = Counter(self._taken.values())
        self._taken[user] = min(OF_TRANSACTIONS, key=users.__getitem__)

    def give_back(self, user: Hashable) -> None:
        """Its transaction is over."""
        self._taken.pop(user, None)

    def broker(self, user: Hashable, node_id: int) -> Broker:
        """The broker as `user` is to ask it. While its connection is being opened, it is the one for
        requests: nobody waits for a second connection who could have the first.
        """
        broker = self._metadata.broker(node_id, self._taken.get(user, Purpose.REQUESTS))
        if broker.purpose is Purpose.REQUESTS or broker.is_ready:
            return broker
        broker.when_ready(_opened)
        return self._metadata.broker(node_id)


def _opened() -> None:
    """Nobody waits: it is for the next transaction."""
