"""`Purpose`: what a connection to a broker is for.

A broker works on one request of a connection at a time, and answers in their order. One that it holds on to
on purpose, as a consumer's long poll, must not be in front of one that it answers at once. And a Produce
carries one transactional id, so that transactions which share a connection stand in line. So these need
connections of their own, and thereby a `Broker` of its own for each, under the same id and another purpose.
Whoever asks for a broker (`Metadata.broker`) says what for.
"""

from __future__ import annotations

from klife.actors.key_enum import KeyEnum


class Purpose(KeyEnum):
    """One connection for each, to each broker."""

    REQUESTS = "requests"
    """What a broker answers as soon as it can: all that producers send, metadata, ids, configurations."""
    TRANSACTIONS_2 = "transactions 2"
    TRANSACTIONS_3 = "transactions 3"
    TRANSACTIONS_4 = "transactions 4"
    """The second to fourth connection for transactions that overlap; the first is that for requests."""


OF_TRANSACTIONS = (Purpose.REQUESTS, Purpose.TRANSACTIONS_2, Purpose.TRANSACTIONS_3, Purpose.TRANSACTIONS_4)
"""Those that transactions share, in the order in which they are opened."""


BrokerKey = tuple[int, Purpose]
"""A broker's id, and what its connection is for."""
