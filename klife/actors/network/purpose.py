"""`Purpose`: what a connection to a broker is for.

A broker answers in the order of the requests. One that it holds on to on purpose, as a consumer's long poll,
must not be in front of one that it answers at once. So it needs a connection of its own, and thereby a
`Broker` of its own, under the same id and another purpose. Whoever asks for a broker (`Metadata.broker`) says
what for.
"""

from __future__ import annotations

from enum import Enum


class Purpose(Enum):
    """One connection for each, to each broker."""

    REQUESTS = "requests"
    """What a broker answers as soon as it can: all that producers send, metadata, ids, configurations."""


BrokerKey = tuple[int, Purpose]
"""A broker's id, and what its connection is for."""
