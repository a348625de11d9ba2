"""Fetch: read record batches from partitions this broker leads (or may serve as a follower, KIP-392).

Versions up to 12 name topics, 13 and later identify them by id (KIP-516). From version 7 on a fetch session
(KIP-227) may remember the partitions; `session_id` 0 with `session_epoch` -1 asks for everything and for no
session. The broker may return the last batch of a partition cut short, and a first batch that begins before
the offset asked for.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.primitives import INT32_MAX, Records
from klife.protocol.schema import Struct, array, int8, int16, int32, int64, records_, string, struct, uuid

HIGH_WATERMARK_UNSUPPORTED = 9223372036854775807


class EpochEndOffset(Struct):
    """Where the reader's log departs from the leader's (KIP-320)."""

    epoch: int = int32("12+", default=-1)
    end_offset: int = int64("12+", default=-1)


class LeaderIdAndEpoch(Struct):
    """Where the partition went (KIP-951); -1 where the broker does not know."""

    leader_id: int = int32("12+", default=-1)
    leader_epoch: int = int32("12+", default=-1)


class SnapshotId(Struct):
    """For followers of the metadata log only."""

    end_offset: int = int64("0+", default=-1)
    epoch: int = int32("0+", default=-1)


class AbortedTransaction(Struct):
    """From `first_offset` on, records of this producer are to be dropped until its abort marker."""

    producer_id: int = int64("4+")
    first_offset: int = int64("4+")


class PartitionData(Struct):
    """What one partition has."""

    partition_index: int = int32("0+")
    error_code: int = int16("0+")
    high_watermark: int = int64("0+")  # the offset after the last record all in-sync replicas have
    last_stable_offset: int = int64("4+", default=-1, ignorable=True)  # below it every transaction has ended
    log_start_offset: int = int64("5+", default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset = struct(EpochEndOffset, "12+", tag=0)
    current_leader: LeaderIdAndEpoch = struct(LeaderIdAndEpoch, "12+", tag=1)
    snapshot_id: SnapshotId = struct(SnapshotId, "12+", tag=2)
    aborted_transactions: list[AbortedTransaction] | None = array(AbortedTransaction, "4+", nullable="4+", ignorable=True)
    preferred_read_replica: int = int32("11+", default=-1)  # fetch from there next time; -1 for stay
    records: Records = records_("0+", nullable="0+")


class FetchableTopicResponse(Struct):
    """The partitions of one topic."""

    topic: str = string("0-12", ignorable=True)
    topic_id: bytes = uuid("13+", ignorable=True)
    partitions: list[PartitionData] = array(PartitionData, "0+")


class NodeEndpoint(Struct):
    """The address of a leader named in `current_leader`."""

    node_id: int = int32("16+")
    host: str = string("16+")
    port: int = int32("16+")
    rack: str | None = string("16+", nullable="16+", default=None)


class FetchResponse(Response, key=1, versions="4-18", flexible="12+"):
    """Records, in views of the response's own bytes."""

    throttle_time_ms: int = int32("1+", ignorable=True)
    error_code: int = int16("7+", ignorable=True)
    session_id: int = int32("7+")
    responses: list[FetchableTopicResponse] = array(FetchableTopicResponse, "0+")
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "16+", tag=0)


class ReplicaState(Struct):
    """For followers; a client leaves it alone (KIP-903)."""

    replica_id: int = int32("15+", default=-1)
    replica_epoch: int = int64("15+", default=-1)


class FetchPartition(Struct):
    """From where to read one partition."""

    partition: int = int32("0+")
    current_leader_epoch: int = int32("9+", default=-1, ignorable=True)  # lets the broker refuse a reader with stale metadata
    fetch_offset: int = int64("0+")
    last_fetched_epoch: int = int32("12+", default=-1)
    log_start_offset: int = int64("5+", default=-1, ignorable=True)  # followers only
    partition_max_bytes: int = int32("0+")
    replica_directory_id: bytes = uuid("17+", tag=0, ignorable=True)
    high_watermark: int = int64("18+", tag=1, default=HIGH_WATERMARK_UNSUPPORTED, ignorable=True)


class FetchTopic(Struct):
    """The partitions of one topic."""

    topic: str = string("0-12", ignorable=True)
    topic_id: bytes = uuid("13+", ignorable=True)
    partitions: list[FetchPartition] = array(FetchPartition, "0+")


class ForgottenTopic(Struct):
    """Partitions a session is to drop."""

    topic: str = string("7-12", ignorable=True)
    topic_id: bytes = uuid("13+", ignorable=True)
    partitions: list[int] = array(int32, "7+")


class FetchRequest(Request[FetchResponse], key=1, versions="4-18", flexible="12+"):
    """Waits up to `max_wait_ms` for `min_bytes`."""

    cluster_id: str | None = string("12+", nullable="12+", default=None, tag=0, ignorable=True)
    replica_id: int = int32("0-14", default=-1)
    replica_state: ReplicaState = struct(ReplicaState, "15+", tag=1)
    max_wait_ms: int = int32("0+")
    min_bytes: int = int32("0+")
    max_bytes: int = int32("3+", default=INT32_MAX, ignorable=True)  # a single larger batch still comes whole (KIP-74)
    isolation_level: int = int8("4+", ignorable=True)  # 0: read uncommitted, 1: read committed
    session_id: int = int32("7+", ignorable=True)
    session_epoch: int = int32("7+", default=-1, ignorable=True)
    topics: list[FetchTopic] = array(FetchTopic, "0+")
    forgotten_topics_data: list[ForgottenTopic] = array(ForgottenTopic, "7+")
    rack_id: str = string("11+", ignorable=True)
