"""EndTxn: commits or aborts a transaction, at its coordinator.

The coordinator answers when the decision is in its log; the markers follow. Sent again, it is answered
CONCURRENT_TRANSACTIONS (51) until they are written, and then as the first time. From version 5 on (KIP-890)
the answer has the id and epoch of the next transaction.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import bool_, int16, int32, int64, string


class EndTxnResponse(Response, key=26, versions="0-5", flexible="3+"):
    """Whether it is decided, and what to write with from now on; -1 where that stays what it was."""

    throttle_time_ms: int = int32("0+")
    error_code: int = int16("0+")
    producer_id: int = int64("5+", default=-1, ignorable=True)
    producer_epoch: int = int16("5+", default=-1, ignorable=True)


class EndTxnRequest(Request[EndTxnResponse], key=26, versions="0-5", flexible="3+"):
    """How the transaction of this producer ends."""

    transactional_id: str = string("0+")
    producer_id: int = int64("0+")
    producer_epoch: int = int16("0+")
    committed: bool = bool_("0+")
