"""What an admin client asks about topics and settings, and what it makes of the answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from klife.admin.values import Broker, ConfigEntry, ConfigSource, Partition
from klife.errors import AdminError
from klife.protocol.apis.describe_configs import (
    TOPIC_RESOURCE,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResult,
)
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from klife.protocol.error_codes import describe

# DescribeConfigs' config_source (Java's DescribeConfigsResponse.ConfigSource)
_SOURCES: dict[int, ConfigSource] = {1: "topic", 2: "broker", 3: "brokers", 4: "server.properties", 5: "default"}


def named(names: Sequence[str]) -> Sequence[str]:
    """`names`, unless they are one: a str is a list of its letters."""
    if isinstance(names, str):
        raise AdminError(f"topics is a str; expected a list of names: [{names!r}]")
    return names


def metadata_request(names: Sequence[str] | None) -> MetadataRequest:
    topics = None if names is None else [MetadataRequestTopic(name=name) for name in named(names)]
    return MetadataRequest(topics=topics, allow_auto_topic_creation=False)


def brokers_of(metadata: MetadataResponse) -> list[Broker]:
    return sorted((Broker(broker.node_id, broker.host, broker.port) for broker in metadata.brokers), key=lambda broker: broker.node_id)


def partitions_of(topic: Any) -> list[Partition]:
    partitions = (
        Partition(
            index=each.partition_index,
            leader=each.leader_id if each.leader_id >= 0 else None,
            replicas=tuple(each.replica_nodes),
            in_sync=tuple(each.isr_nodes),
        )
        for each in topic.partitions
    )
    return sorted(partitions, key=lambda partition: partition.index)


def describe_configs_request(topics: Sequence[str]) -> DescribeConfigsRequest:
    resources = [
        DescribeConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configuration_keys=None) for topic in named(topics)
    ]
    return DescribeConfigsRequest(resources=resources)


def configs_of(result: DescribeConfigsResult) -> dict[str, ConfigEntry]:
    return {
        each.name: ConfigEntry(each.name, each.value, _SOURCES.get(each.config_source, "unknown"), each.read_only, each.is_sensitive)
        for each in result.configs
    }


def config_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def text_or_none(value: object) -> str | None:
    return None if value is None else config_text(value)


def check(what: str, error_code: int, message: str | None) -> None:
    """AdminError for a code that is one, in Kafka's words."""
    if error_code:
        raise AdminError(f"{what}: {describe(error_code)}" + (f" ({message})" if message else ""), error_code)
