"""DescribeProducers: who has written to a partition lately, and whose transaction is open there (KIP-664).
Asked of its leader.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int16, int32, int64, string


class ProducerState(Struct):
    """A producer as the partition knows it; -1 where there is nothing to say."""

    producer_id: int = int64("0+")
    producer_epoch: int = int32("0+")
    last_sequence: int = int32("0+", default=-1)
    last_timestamp: int = int64("0+", default=-1)
    coordinator_epoch: int = int32("0+")
    current_txn_start_offset: int = int64("0+", default=-1)


class PartitionResponse(Struct):
    """One partition."""

    partition_index: int = int32("0+")
    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+", default=None)
    active_producers: list[ProducerState] = array(ProducerState, "0+")


class TopicResponse(Struct):
    """The partitions of one topic."""

    name: str = string("0+")
    partitions: list[PartitionResponse] = array(PartitionResponse, "0+")


class DescribeProducersResponse(Response, key=61, versions="0", flexible="0+"):
    """What each partition knows."""

    throttle_time_ms: int = int32("0+")
    topics: list[TopicResponse] = array(TopicResponse, "0+")


class TopicRequest(Struct):
    """Partitions of one topic."""

    name: str = string("0+")
    partition_indexes: list[int] = array(int32, "0+")


class DescribeProducersRequest(Request[DescribeProducersResponse], key=61, versions="0", flexible="0+"):
    """Asks for partitions that this broker leads."""

    topics: list[TopicRequest] = array(TopicRequest, "0+")
