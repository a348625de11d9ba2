"""AddPartitionsToTxn: tells the coordinator which partitions a transaction is about to write to, before it
does (transaction version 1).

Version 4 and later are what brokers send each other; a client's last is 3. Under transaction version 2
(KIP-890) Produce does it by itself.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int16, int32, int64, string


class AddPartitionsToTxnPartitionResult(Struct):
    """What became of one partition."""

    partition_index: int = int32("0+")
    partition_error_code: int = int16("0+")


class AddPartitionsToTxnTopicResult(Struct):
    """The partitions of one topic."""

    name: str = string("0+")
    results_by_partition: list[AddPartitionsToTxnPartitionResult] = array(AddPartitionsToTxnPartitionResult, "0+")


class AddPartitionsToTxnResponse(Response, key=24, versions="0-3", flexible="3+"):
    """One code for each partition. If one is refused, none is added; the others' is OPERATION_NOT_ATTEMPTED
    (55).
    """

    throttle_time_ms: int = int32("0+")
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = array(AddPartitionsToTxnTopicResult, "0-3")


class AddPartitionsToTxnTopic(Struct):
    """Partitions of one topic."""

    name: str = string("0+")
    partitions: list[int] = array(int32, "0+")


class AddPartitionsToTxnRequest(Request[AddPartitionsToTxnResponse], key=24, versions="0-3", flexible="3+"):
    """The partitions to add. Adding one twice does no harm."""

    v3_and_below_transactional_id: str = string("0-3")
    v3_and_below_producer_id: int = int64("0-3")
    v3_and_below_producer_epoch: int = int16("0-3")
    v3_and_below_topics: list[AddPartitionsToTxnTopic] = array(AddPartitionsToTxnTopic, "0-3")
