"""ListOffsets: the offset of a point in time, or of an end of the log, for partitions this broker leads.

OFFSET_NOT_AVAILABLE (78, from version 5 on): a new leader does not know its high watermark yet; ask again.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int8, int16, int32, int64, string

LATEST_TIMESTAMP = -1
"""Asks for the end of the log: the offset the next record gets (for read committed, the last stable offset)."""

EARLIEST_TIMESTAMP = -2
"""Asks for the beginning of the log."""


class ListOffsetsPartitionResponse(Struct):
    """The first offset whose timestamp is at least the one asked for; -1 if there is none."""

    partition_index: int = int32("0+")
    error_code: int = int16("0+")
    timestamp: int = int64("1+", default=-1)
    offset: int = int64("1+", default=-1)
    leader_epoch: int = int32("4+", default=-1)


class ListOffsetsTopicResponse(Struct):
    """The partitions of one topic."""

    name: str = string("0+")
    partitions: list[ListOffsetsPartitionResponse] = array(ListOffsetsPartitionResponse, "0+")


class ListOffsetsResponse(Response, key=2, versions="1-11", flexible="6+"):
    """One offset for each partition."""

    throttle_time_ms: int = int32("2+", ignorable=True)
    topics: list[ListOffsetsTopicResponse] = array(ListOffsetsTopicResponse, "0+")


class ListOffsetsPartition(Struct):
    """What is asked of one partition."""

    partition_index: int = int32("0+")
    current_leader_epoch: int = int32("4+", default=-1, ignorable=True)
    timestamp: int = int64("0+")  # ms, or one of the constants above


class ListOffsetsTopic(Struct):
    """The partitions of one topic."""

    name: str = string("0+")
    partitions: list[ListOffsetsPartition] = array(ListOffsetsPartition, "0+")


class ListOffsetsRequest(Request[ListOffsetsResponse], key=2, versions="1-11", flexible="6+"):
    """A client says `replica_id=-1`: Kafka's default, 0, is a broker's."""

    replica_id: int = int32("0+")
    isolation_level: int = int8("2+")
    topics: list[ListOffsetsTopic] = array(ListOffsetsTopic, "0+")
    timeout_ms: int = int32("10+", ignorable=True)  # for offsets that must be read from remote storage (KIP-1075)
