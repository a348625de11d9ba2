"""CreatePartitions: give topics more partitions (never fewer). Goes where CreateTopics goes."""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, int16, int32, string


class CreatePartitionsTopicResult(Struct):
    """What became of one topic."""

    name: str = string("0+")
    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+", default=None)


class CreatePartitionsResponse(Response, key=37, versions="0-3", flexible="2+"):
    """One result for each topic."""

    throttle_time_ms: int = int32("0+")
    results: list[CreatePartitionsTopicResult] = array(CreatePartitionsTopicResult, "0+")


class CreatePartitionsAssignment(Struct):
    """The brokers of one new partition."""

    broker_ids: list[int] = array(int32, "0+")


class CreatePartitionsTopic(Struct):
    """`count` is the number of partitions afterwards. `assignments` None leaves placement to the controller;
    a list has one entry for each *new* partition.
    """

    name: str = string("0+")
    count: int = int32("0+")
    assignments: list[CreatePartitionsAssignment] | None = array(CreatePartitionsAssignment, "0+", nullable="0+")


class CreatePartitionsRequest(Request[CreatePartitionsResponse], key=37, versions="0-3", flexible="2+"):
    """Topics that grow, or are refused, one by one. Say `assignments=None`: Kafka's default, an empty list,
    is refused.
    """

    topics: list[CreatePartitionsTopic] = array(CreatePartitionsTopic, "0+")
    timeout_ms: int = int32("0+")
    validate_only: bool = bool_("0+")
