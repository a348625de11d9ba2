"""WriteTxnMarkers: ends a transaction in the logs, without its coordinator. What coordinators send to leaders;
a client sends it to end a transaction that no coordinator knows any more (a hanging one, KIP-664).
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, int8, int16, int32, int64, string


class WritableTxnMarkerPartitionResult(Struct):
    """What became of one partition's marker."""

    partition_index: int = int32("0+")
    error_code: int = int16("0+")


class WritableTxnMarkerTopicResult(Struct):
    """The partitions of one topic."""

    name: str = string("0+")
    partitions: list[WritableTxnMarkerPartitionResult] = array(WritableTxnMarkerPartitionResult, "0+")


class WritableTxnMarkerResult(Struct):
    """The markers of one producer."""

    producer_id: int = int64("0+")
    topics: list[WritableTxnMarkerTopicResult] = array(WritableTxnMarkerTopicResult, "0+")


class WriteTxnMarkersResponse(Response, key=27, versions="1-2", flexible="1+"):
    """One result for each marker."""

    markers: list[WritableTxnMarkerResult] = array(WritableTxnMarkerResult, "0+")


class WritableTxnMarkerTopic(Struct):
    """Partitions of one topic."""

    name: str = string("0+")
    partition_indexes: list[int] = array(int32, "0+")


class WritableTxnMarker(Struct):
    """How the transaction of a producer ends in some partitions. A leader refuses a coordinator epoch below
    the last it saw.
    """

    producer_id: int = int64("0+")
    producer_epoch: int = int16("0+")
    transaction_result: bool = bool_("0+")  # True commits
    topics: list[WritableTxnMarkerTopic] = array(WritableTxnMarkerTopic, "0+")
    coordinator_epoch: int = int32("0+")
    transaction_version: int = int8("2+", default=0, ignorable=True)


class WriteTxnMarkersRequest(Request[WriteTxnMarkersResponse], key=27, versions="1-2", flexible="1+"):
    """The markers to write to partitions that this broker leads."""

    markers: list[WritableTxnMarker] = array(WritableTxnMarker, "0+")
