"""ListTransactions: the transactional ids that a broker coordinates, with their state (KIP-664). Each broker
tells of its own.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int16, int32, int64, string


class TransactionState(Struct):
    """A transactional id and how far its last transaction is: Empty, Ongoing, PrepareCommit, ..."""

    transactional_id: str = string("0+")
    producer_id: int = int64("0+")
    transaction_state: str = string("0+")


class ListTransactionsResponse(Response, key=66, versions="0-2", flexible="0+"):
    """Those that pass all filters."""

    throttle_time_ms: int = int32("0+")
    error_code: int = int16("0+")
    unknown_state_filters: list[str] = array(string, "0+")
    transaction_states: list[TransactionState] = array(TransactionState, "0+")


class ListTransactionsRequest(Request[ListTransactionsResponse], key=66, versions="0-2", flexible="0+"):
    """What to list; an empty filter lets everything pass."""

    state_filters: list[str] = array(string, "0+")
    producer_id_filters: list[int] = array(int64, "0+")
    duration_filter: int = int64("1+", default=-1)  # open for longer than so many milliseconds
    transactional_id_pattern: str | None = string("2+", nullable="2+", default=None)
