"""InitProducerId: a producer id and epoch, for idempotence (any broker) or for a transactional id (its
coordinator).

From version 3 on a producer may name the id and epoch it has and get the next epoch (KIP-360). For a
transactional id the coordinator fences earlier producers and aborts what they left open; a second producer
with the same id then meets PRODUCER_FENCED (90, from version 4 on). Version 6 (two-phase commit, KIP-939) is
not stable in Kafka and left out.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import int16, int32, int64, string


class InitProducerIdResponse(Response, key=22, versions="0-5", flexible="2+"):
    """The id and epoch to write with. CONCURRENT_TRANSACTIONS (51) while an earlier transaction is still
    being ended: ask again.
    """

    throttle_time_ms: int = int32("0+", ignorable=True)
    error_code: int = int16("0+")
    producer_id: int = int64("0+", default=-1)
    producer_epoch: int = int16("0+")


class InitProducerIdRequest(Request[InitProducerIdResponse], key=22, versions="0-5", flexible="2+"):
    """Asks for an id. Say `transactional_id=None` for idempotence alone: Kafka's default is an empty string,
    which is an id.
    """

    transactional_id: str | None = string("0+", nullable="0+")
    transaction_timeout_ms: int = int32("0+")  # only matters with a transactional id
    producer_id: int = int64("3+", default=-1)
    producer_epoch: int = int16("3+", default=-1)
