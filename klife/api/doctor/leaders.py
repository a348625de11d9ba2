"""What an answer to Metadata says of the cluster: who leads, and which replicas are on no live broker. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from klife.api.doctor.report import Check
from klife.protocol.apis.metadata import MetadataResponse
from klife.protocol.error_codes import ErrorCode, describe
from klife.words import counted

CLUSTER = "cluster"
_SHOWN = 3

# Of a topic whose partitions are told nevertheless.
_OF_PARTITIONS = (ErrorCode.NONE, ErrorCode.LEADER_NOT_AVAILABLE)


def leaders_check(metadata: MetadataResponse) -> Check:
    """Whether each partition has a leader, and each replica a broker that lives."""
    live = {broker.node_id for broker in metadata.brokers}
    topics = [topic for topic in metadata.topics if topic.error_code in _OF_PARTITIONS]
    partitions = [(str(topic.name), partition) for topic in topics for partition in topic.partitions]
    leaderless = sorted(f"{topic}-{partition.partition_index}" for topic, partition in partitions if partition.leader_id < 0)
    away = Counter(node for _, partition in partitions for node in partition.replica_nodes if node not in live)
    refused = [f"topic {topic.name!r}: {describe(topic.error_code)}" for topic in metadata.topics if topic not in topics]
    behind = sum(len(partition.isr_nodes) < len(partition.replica_nodes) for _, partition in partitions)

    told = []
    steps = []
    if leaderless:
        told.append(f"{counted(len(leaderless), 'partition')} of {len(partitions)} without a leader: {_some(leaderless)}")
        steps.append("start the brokers that have their replicas")
    for node, count in sorted(away.items()):
        told.append(f"broker {node} is away, and has replicas of {counted(count, 'partition')}")
    if away and not leaderless:
        steps.append(f"start {_some([f'broker {node}' for node in sorted(away)])}")
    if refused:
        told.append(_some(refused))
        steps.append("create the topics that are not there, and let the client's principal describe them")
    if told:
        return Check("leaders", CLUSTER, False, "; ".join(told), ", and ".join(steps))
    if not partitions:
        return Check("leaders", CLUSTER, True, "there are no topics yet")
    detail = f"{counted(len(topics), 'topic')} with {counted(len(partitions), 'partition')}, and each has one"
    if behind:
        detail += f"; {counted(behind, 'partition')} with replicas that are behind"
    return Check("leaders", CLUSTER, True, detail)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
