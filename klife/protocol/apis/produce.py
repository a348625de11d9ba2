"""Produce: append record batches to partitions this broker leads.

A request carries any number of partitions and is answered by one error code for each. With `acks` 0 the
broker sends no response at all. Versions up to 12 name topics, 13 identifies them by id (KIP-516). From
version 12 on, a transactional request also adds its partitions to the transaction (KIP-890): without
transaction version 2, stay at 11.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.primitives import Records
from klife.protocol.schema import Struct, array, int16, int32, int64, records_, string, struct, uuid


class BatchIndexAndErrorMessage(Struct):
    """A record that caused its batch to be dropped (KIP-467)."""

    batch_index: int = int32("8+")  # the record's index in the batch
    batch_index_error_message: str | None = string("8+", nullable="8+", default=None)


class LeaderIdAndEpoch(Struct):
    """Where the partition went (KIP-951); -1 where the broker does not know."""

    leader_id: int = int32("10+", default=-1)
    leader_epoch: int = int32("10+", default=-1)


class PartitionProduceResponse(Struct):
    """What became of one partition's batch."""

    index: int = int32("0+")
    error_code: int = int16("0+")
    base_offset: int = int64("0+")  # the offset of the batch's first record
    log_append_time_ms: int = int64(
        "2+", default=-1, ignorable=True
    )  # -1 unless the topic uses LogAppendTime, or the broker had the batch already
    log_start_offset: int = int64("5+", default=-1, ignorable=True)
    record_errors: list[BatchIndexAndErrorMessage] = array(BatchIndexAndErrorMessage, "8+", ignorable=True)
    error_message: str | None = string("8+", nullable="8+", default=None, ignorable=True)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, "10+", tag=0)  # with NOT_LEADER_OR_FOLLOWER


class TopicProduceResponse(Struct):
    """The partitions of one topic."""

    name: str = string("0-12", ignorable=True)
    topic_id: bytes = uuid("13+", ignorable=True)
    partition_responses: list[PartitionProduceResponse] = array(PartitionProduceResponse, "0+")


class NodeEndpoint(Struct):
    """The address of a leader named in `current_leader`, so that no metadata request is needed to go there."""

    node_id: int = int32("10+")
    host: str = string("10+")
    port: int = int32("10+")
    rack: str | None = string("10+", nullable="10+", default=None)


class ProduceResponse(Response, key=0, versions="3-13", flexible="9+"):
    """One result for each partition of the request."""

    responses: list[TopicProduceResponse] = array(TopicProduceResponse, "0+")
    throttle_time_ms: int = int32("1+", ignorable=True)
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "10+", tag=0)


class PartitionProduceData(Struct):
    """The record batch for one partition. Kafka accepts exactly one batch here since RecordBatch v2."""

    index: int = int32("0+")
    records: Records = records_("0+", nullable="0+")


class TopicProduceData(Struct):
    """The partitions of one topic."""

    name: str = string("0-12", ignorable=True)
    topic_id: bytes = uuid("13+", ignorable=True)
    partition_data: list[PartitionProduceData] = array(PartitionProduceData, "0+")


class ProduceRequest(Request[ProduceResponse], key=0, versions="3-13", flexible="9+"):
    """Batches for any of the partitions the broker leads."""

    transactional_id: str | None = string("3+", nullable="3+", default=None)
    acks: int = int16("0+")  # 0: none, and no response; 1: the leader's; -1: all in-sync replicas'
    timeout_ms: int = int32("0+")  # how long the leader waits for the replicas
    topic_data: list[TopicProduceData] = array(TopicProduceData, "0+")
