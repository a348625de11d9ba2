"""Metadata: the brokers, and for topics their partitions, leaders and replicas.

Any broker answers. `topics` None asks for all topics, an empty list for none (in version 0 an empty list
means all). Asking by topic id works from version 12 on; versions 10 and 11 have the field, but brokers do not
serve it.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bool_, int16, int32, string, uuid

OPERATIONS_UNKNOWN = -2147483648
"""Authorised operations that were not asked for."""


class MetadataResponseBroker(Struct):
    """One live broker, at the address of the listener that was asked."""

    node_id: int = int32("0+")
    host: str = string("0+")
    port: int = int32("0+")
    rack: str | None = string("1+", nullable="1+", default=None, ignorable=True)


class MetadataResponsePartition(Struct):
    """One partition. LEADER_NOT_AVAILABLE (5) comes with `leader_id` -1 while an election is on."""

    error_code: int = int16("0+")
    partition_index: int = int32("0+")
    leader_id: int = int32("0+")
    leader_epoch: int = int32("7+", default=-1, ignorable=True)  # never goes back for a topic id; an older one is stale news
    replica_nodes: list[int] = array(int32, "0+")
    isr_nodes: list[int] = array(int32, "0+")
    offline_replicas: list[int] = array(int32, "5+", ignorable=True)


class MetadataResponseTopic(Struct):
    """One topic. `name` is None only when it was asked for by an id nobody knows."""

    error_code: int = int16("0+")
    name: str | None = string("0+", nullable="12+")
    topic_id: bytes = uuid("10+", ignorable=True)
    is_internal: bool = bool_("1+", ignorable=True)
    partitions: list[MetadataResponsePartition] = array(MetadataResponsePartition, "0+")
    topic_authorized_operations: int = int32("8+", default=OPERATIONS_UNKNOWN)


class MetadataResponse(Response, key=3, versions="0-13", flexible="9+"):
    """What the broker knows; brokers may differ for a while after a change."""

    throttle_time_ms: int = int32("3+", ignorable=True)
    brokers: list[MetadataResponseBroker] = array(MetadataResponseBroker, "0+")
    cluster_id: str | None = string("2+", nullable="2+", default=None, ignorable=True)
    controller_id: int = int32("1+", default=-1, ignorable=True)
    topics: list[MetadataResponseTopic] = array(MetadataResponseTopic, "0+")
    cluster_authorized_operations: int = int32("8-10", default=OPERATIONS_UNKNOWN)
    error_code: int = int16("13+", ignorable=True)  # REBOOTSTRAP_REQUIRED (KIP-1102)


class MetadataRequestTopic(Struct):
    """A topic asked for: by name, or by id with `name` None."""

    topic_id: bytes = uuid("10+", ignorable=True)
    name: str | None = string("0+", nullable="10+")


class MetadataRequest(Request[MetadataResponse], key=3, versions="0-13", flexible="9+"):
    """Asks for topics; the brokers always come along."""

    topics: list[MetadataRequestTopic] | None = array(MetadataRequestTopic, "0+", nullable="1+")
    allow_auto_topic_creation: bool = bool_("4+", default=True)
    include_cluster_authorized_operations: bool = bool_("8-10")
    include_topic_authorized_operations: bool = bool_("8+")
