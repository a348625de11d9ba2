"""DescribeTransactions: all that a coordinator knows of some transactional ids (KIP-664)."""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int16, int32, int64, string


class TopicData(Struct):
    """Partitions of one topic."""

    topic: str = string("0+")
    partitions: list[int] = array(int32, "0+")


class TransactionState(Struct):
    """One transactional id. The id and epoch are the producer's that writes under it now."""

    error_code: int = int16("0+")
    transactional_id: str = string("0+")
    transaction_state: str = string("0+")
    transaction_timeout_ms: int = int32("0+")
    transaction_start_time_ms: int = int64("0+")
    producer_id: int = int64("0+")
    producer_epoch: int = int16("0+")
    topics: list[TopicData] = array(TopicData, "0+")  # while it ends: those without a marker yet


class DescribeTransactionsResponse(Response, key=65, versions="0", flexible="0+"):
    """One state for each id."""

    throttle_time_ms: int = int32("0+")
    transaction_states: list[TransactionState] = array(TransactionState, "0+")


class DescribeTransactionsRequest(Request[DescribeTransactionsResponse], key=65, versions="0", flexible="0+"):
    """Asks for `transactional_ids`, all of which this broker coordinates."""

    transactional_ids: list[str] = array(string, "0+")
