"""`Connections`: which of its connections to each broker a request of a transaction goes over.

A broker works on one request of a connection at a time, and a Produce carries one transactional id: sixteen
transactions over one connection stand in line, their EndTxns included. With four they are as quick as with
one each, at a quarter of the sockets, if each request takes one that owes no answer. All pools of a client
share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from klife import cython_shim as cython
from klife.actors.network.purpose import OF_TRANSACTIONS

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.metadata.metadata import Metadata
    from klife.actors.network.broker import Broker

_QUICK = 0.01
"""Seconds: an EndTxn that is answered sooner is quick, see `are_quick`."""

_MANY = 8
"""Answers that come late, beyond those that do not, until that is how things are; and the other way round."""


class Connections:
    """The connections that the transactions of a client share."""

    __slots__ = ("are_quick", "_metadata", "_late")

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self.are_quick: bool = True
        """Whether three answers, one after the other, come sooner than three leaders that ask a coordinator at
        the same moment, and make each other wait for 20 ms.

        Most of the recent answers are quick then. It is not told from how long they took together: a few that come
        late, for a broker's pause or others' work, say nothing of the rest.
        """
        self._late = 0  # answers, without as many that were quick: from 0 to twice `_MANY`

    def answered(self, seconds: float) -> None:
        """An EndTxn was answered after so long: what a coordinator takes to write one change, and to say so."""
        if seconds < _QUICK:
            self._late -= self._late > 0
        else:
            self._late += self._late < 2 * _MANY
        self.are_quick = self._late < _MANY

    @cython.locals(found="Broker", broker="Broker", brokers=dict, fewest=cython.Py_ssize_t, owed=cython.Py_ssize_t)
    def broker(self, node_id: int) -> Broker:
        """The broker as it is to be asked now: by the first connection that owes no answer, else by that which
        owes the fewest, and of several such by the one where the broker has been longest at it. Where none is
        idle another is opened, up to four: for what is asked later, as nobody waits for a connection who could
        have one.
        """
        found, fewest, brokers = None, 0, self._metadata.brokers
        for purpose in OF_TRANSACTIONS:
            broker = brokers.get((node_id, purpose)) or self._metadata.broker(node_id, purpose)
            if not broker.is_ready:
                if found is not None:
                    broker.when_ready(_opened)
                continue
            owed = broker.owes()
            if not owed:
                return broker
            if found is None or owed < fewest or (owed == fewest and broker.used_at < found.used_at):
                found, fewest = broker, owed
        return found if found is not None else self._metadata.broker(node_id)


def _opened() -> None:
    """Nobody waits: it is for the next request."""
