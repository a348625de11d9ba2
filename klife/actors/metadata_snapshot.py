"""What is known of the cluster: immutable values, and the pure rules by which an answer becomes the next one.

A snapshot is swapped whole; readers never see half of one. Three rules need the old snapshot:

- A leader epoch never goes back: a broker that lags may answer with a leader of the past (KIP-320), and following it would send a
  partition's records to a broker that refuses them. Only a topic made anew (another topic id) starts over.
- Nor does the number of partitions: Kafka takes none away. A broker that was stalled answers with what was before.
- What did not change keeps its object, so that who holds a `TopicInfo` sees by `is` that nothing is to be done. With ten thousand
  partitions that is the difference between a refresh that costs and one that does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from klife.protocol.apis.metadata import MetadataResponse, MetadataResponseTopic
from klife.protocol.primitives import ZERO_UUID

NO_LEADER = -1


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """Where a broker is reached."""

    node_id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True)
class TopicInfo:
    """A topic and who leads its partitions (`leaders[p]`, -1 for nobody), with the epochs of that leadership."""

    name: str
    topic_id: bytes
    leaders: tuple[int, ...]
    leader_epochs: tuple[int, ...]
    replicas: tuple[tuple[int, ...], ...] = ()
    isr: tuple[tuple[int, ...], ...] = ()
    errors: tuple[int, ...] = ()  # with which the cluster names no leader; empty where it names all

    @property
    def partition_count(self) -> int:
        return len(self.leaders)

    @cached_property
    def available(self) -> tuple[int, ...]:
        """The partitions that have a leader."""
        return tuple(partition for partition, leader in enumerate(self.leaders) if leader != NO_LEADER)


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """The cluster as last heard of. `topics` are the topics asked for; `topic_errors` the error codes of those that have none."""

    cluster_id: str | None = None
    controller_id: int = -1
    brokers: Mapping[int, BrokerInfo] = field(default_factory=lambda: MappingProxyType({}))
    topics: Mapping[str, TopicInfo] = field(default_factory=lambda: MappingProxyType({}))
    topic_errors: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def updated(old: ClusterSnapshot, response: MetadataResponse, asked: Iterable[str] | None = None) -> ClusterSnapshot:
    """The snapshot after `response`. Topics that were asked for and have no answer are gone; those not asked for stay as they were.

    `asked` None means the response covers everything that is known.
    """
    brokers = {broker.node_id: BrokerInfo(broker.node_id, broker.host, broker.port, broker.rack) for broker in response.brokers}
    covered = None if asked is None else frozenset(asked)
    topics = {} if covered is None else {name: info for name, info in old.topics.items() if name not in covered}
    errors: dict[str, int] = {} if covered is None else {n: code for n, code in old.topic_errors.items() if n not in covered}
    for topic in response.topics:
        name = topic.name
        if name is None:
            continue
        if topic.error_code:
            errors[name] = topic.error_code
            # A topic may be without leaders for a moment (5); it is not gone for that.
            if topic.error_code == 5 and name in old.topics:
                topics[name] = old.topics[name]
            continue
        topics[name] = _topic(old.topics.get(name), topic)
    return ClusterSnapshot(
        cluster_id=response.cluster_id,
        controller_id=response.controller_id,
        brokers=MappingProxyType(brokers),
        topics=MappingProxyType(topics),
        topic_errors=MappingProxyType(errors),
    )


def with_leader(
    snapshot: ClusterSnapshot, topic: str, topic_id: bytes, partition: int, leader: int, epoch: int, broker: BrokerInfo | None
) -> ClusterSnapshot:
    """The snapshot after a broker told the current leader with its refusal (KIP-951); the same one if that is no news.

    It may come late, and tell of a topic (`topic_id`, zeros where the answer had none) that was made anew meanwhile. Its epochs are
    ahead of the new one's, which would never catch up.
    """
    info = snapshot.topics.get(topic)
    if info is not None and topic_id not in (ZERO_UUID, info.topic_id):
        return snapshot
    if info is None or leader < 0 or partition >= len(info.leaders) or epoch <= info.leader_epochs[partition]:
        return snapshot
    if broker is None and leader not in snapshot.brokers:
        return snapshot
    leaders = (*info.leaders[:partition], leader, *info.leaders[partition + 1 :])
    epochs = (*info.leader_epochs[:partition], epoch, *info.leader_epochs[partition + 1 :])
    brokers = snapshot.brokers if broker is None else MappingProxyType({**snapshot.brokers, broker.node_id: broker})
    changed = replace(info, leaders=leaders, leader_epochs=epochs)
    return replace(snapshot, brokers=brokers, topics=MappingProxyType({**snapshot.topics, topic: changed}))


def _topic(old: TopicInfo | None, topic: MetadataResponseTopic) -> TopicInfo:
    count = len(topic.partitions)  # Kafka numbers them from 0 without gaps; an index beyond that is not believed
    leaders, epochs = [NO_LEADER] * count, [-1] * count
    replicas: list[tuple[int, ...]] = [()] * count
    isr: list[tuple[int, ...]] = [()] * count
    errors = [0] * count
    same_topic = old is not None and (old.topic_id in (topic.topic_id, ZERO_UUID) or topic.topic_id == ZERO_UUID)
    for partition in topic.partitions:
        index = partition.partition_index
        if not 0 <= index < count:
            continue
        leaders[index], epochs[index] = partition.leader_id, partition.leader_epoch
        replicas[index], isr[index] = tuple(partition.replica_nodes), tuple(partition.isr_nodes)
        if same_topic and old is not None and index < len(old.leaders) and 0 <= epochs[index] < old.leader_epochs[index]:
            leaders[index], epochs[index] = old.leaders[index], old.leader_epochs[index]
        if leaders[index] == NO_LEADER:
            errors[index] = partition.error_code
    assert topic.name is not None
    told = tuple(errors) if any(errors) else ()
    new = TopicInfo(topic.name, topic.topic_id, tuple(leaders), tuple(epochs), tuple(replicas), tuple(isr), told)
    if old is not None and count < old.partition_count and old.topic_id == topic.topic_id != ZERO_UUID:
        new = TopicInfo(
            topic.name,
            topic.topic_id,
            new.leaders + old.leaders[count:],
            new.leader_epochs + old.leader_epochs[count:],
            new.replicas + old.replicas[count:],
            new.isr + old.isr[count:],
            new.errors,
        )
    return old if old == new and old is not None else new
