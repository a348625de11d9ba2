"""What is known of the cluster: immutable values, and the pure rules by which an answer becomes the next one.

A snapshot is swapped whole; readers never see half of one. Three rules need the old snapshot:

- A leader epoch never goes back: a broker that lags may answer with a leader of the past (KIP-320), and
  following it would send a partition's records to a broker that refuses them. Only a topic made anew starts
  over. Another topic id says that it was; answers of brokers before Kafka 2.8 have none, and are believed
  when `ANSWERS_BELIEVED` of them contradict a leader that refuses to be one.
- Nor does the number of partitions: Kafka takes none away. A broker that was stalled answers with what was
  before.
- What did not change keeps its object, so that who holds a `TopicInfo` sees by `is` that nothing is to be
  done. With ten thousand partitions that is the difference between a refresh that costs and one that does
  not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from klife.protocol.apis.metadata import MetadataResponse, MetadataResponseTopic
from klife.protocol.error_codes import ErrorCode
from klife.protocol.primitives import ZERO_UUID

NO_LEADER = -1
ANSWERS_BELIEVED = 3
"""Answers without topic ids that tell of an earlier leader epoch, each after a refusal of the leader that is
known.

One or two may come of an election: the old leader refuses, and a broker that has not heard of the new one
tells of the one before. That takes a moment; the backoff between the attempts makes three of them 0.3 s and
more. Taking back an epoch wrongly costs a detour and no record, since the next answer with the right one is
believed at once; not doing it costs every record of the partition.
"""


class BrokerInfo(NamedTuple):
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
    generation: int = 0  # changes when the topic seems to have been made anew and no topic id tells
    errors: tuple[int, ...] = ()  # with which the cluster names no leader; empty where it names all

    @property
    def partition_count(self) -> int:
        return len(self.leaders)

    @cached_property
    def available(self) -> tuple[int, ...]:
        """The partitions that have a leader."""
        return tuple(partition for partition, leader in enumerate(self.leaders) if leader != NO_LEADER)


class RefusedLeaders(NamedTuple):
    """What speaks against the leaders that are known of a topic without an id."""

    partitions: frozenset[int]  # whose leader refused to be it
    answers: int = 0  # that told of an earlier epoch
    is_new: bool = True  # no answer has come since the last refusal


_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class ClusterSnapshot(NamedTuple):
    """The cluster as last heard of. `topics` are the topics asked for; `topic_errors` the error codes of
    those that have none.
    """

    cluster_id: str | None = None
    controller_id: int = -1
    brokers: Mapping[int, BrokerInfo] = _NOTHING
    topics: Mapping[str, TopicInfo] = _NOTHING
    topic_errors: Mapping[str, int] = _NOTHING
    refusals: Mapping[str, RefusedLeaders] = _NOTHING


def updated(old: ClusterSnapshot, response: MetadataResponse, asked: Iterable[str] | None = None) -> ClusterSnapshot:
    """The snapshot after `response`. Topics that were asked for and have no answer are gone; those not asked
    for stay as they were.

    `asked` None means the response covers everything that is known.
    """
    brokers = {broker.node_id: BrokerInfo(broker.node_id, broker.host, broker.port, broker.rack) for broker in response.brokers}
    covered = None if asked is None else frozenset(asked)
    topics = {} if covered is None else {name: info for name, info in old.topics.items() if name not in covered}
    errors: dict[str, int] = {} if covered is None else {n: code for n, code in old.topic_errors.items() if n not in covered}
    refusals = {name: refusal for name, refusal in old.refusals.items() if name in topics}
    for topic in response.topics:
        name = topic.name
        if name is None:
            continue
        if topic.error_code:
            errors[name] = topic.error_code
            # A topic may be without leaders for a moment; it is not gone for that.
            if topic.error_code == ErrorCode.LEADER_NOT_AVAILABLE and name in old.topics:
                topics[name] = old.topics[name]
            continue
        known = old.topics.get(name)
        refusal = None if known is None else _weighed(known, topic, old.refusals.get(name), brokers)
        made_anew = refusal is not None and refusal.answers >= ANSWERS_BELIEVED
        topics[name] = _topic(known, topic, made_anew=made_anew)
        if refusal is not None and not made_anew:
            refusals[name] = refusal
    return ClusterSnapshot(
        cluster_id=response.cluster_id,
        controller_id=response.controller_id,
        brokers=MappingProxyType(brokers),
        topics=MappingProxyType(topics),
        topic_errors=MappingProxyType(errors),
        refusals=MappingProxyType(refusals),
    )


def with_refusal(snapshot: ClusterSnapshot, topic: str, partition: int, node_id: int) -> ClusterSnapshot:
    """The snapshot after a broker refused to lead a partition; the same one where a topic id tells all there
    is to know, or if it was not the leader that is known.
    """
    info = snapshot.topics.get(topic)
    if info is None or info.topic_id != ZERO_UUID or partition >= len(info.leaders) or info.leaders[partition] != node_id:
        return snapshot
    before = snapshot.refusals.get(topic, RefusedLeaders(frozenset()))
    refusal = before._replace(partitions=before.partitions | {partition}, is_new=True)
    return snapshot._replace(refusals=MappingProxyType({**snapshot.refusals, topic: refusal}))


def with_leader(
    snapshot: ClusterSnapshot, topic: str, topic_id: bytes, partition: int, leader: int, epoch: int, broker: BrokerInfo | None
) -> ClusterSnapshot:
    """The snapshot after a broker told the current leader with its refusal (KIP-951); the same one if that is
    no news.

    It may come late, and tell of a topic (`topic_id`, zeros where the answer had none) that was made anew
    meanwhile. Its epochs are ahead of the new one's, which would never catch up.
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
    return snapshot._replace(brokers=brokers, topics=MappingProxyType({**snapshot.topics, topic: changed}))


def _weighed(
    known: TopicInfo, topic: MetadataResponseTopic, refusal: RefusedLeaders | None, brokers: Mapping[int, BrokerInfo]
) -> RefusedLeaders | None:
    """What speaks against the leaders that are known, with this answer; None when it speaks for them.

    A leader that is no broker any more can not refuse: that counts as much.
    """
    if known.topic_id != ZERO_UUID:
        return None
    gone_back = {
        each.partition_index
        for each in topic.partitions
        if each.partition_index < len(known.leaders) and 0 <= each.leader_epoch < known.leader_epochs[each.partition_index]
    }
    absent = frozenset(index for index in gone_back if known.leaders[index] not in brokers)
    if absent:
        known_refusal = refusal or RefusedLeaders(frozenset())
        refusal = known_refusal._replace(partitions=absent | known_refusal.partitions, is_new=True)
    if refusal is None or not gone_back & refusal.partitions:
        return None
    return refusal._replace(answers=refusal.answers + refusal.is_new, is_new=False)


def _topic(old: TopicInfo | None, topic: MetadataResponseTopic, *, made_anew: bool) -> TopicInfo:
    assert topic.name is not None
    has_id = topic.topic_id != ZERO_UUID
    # A broker of before Kafka 2.8 says no id, and no other one: while a cluster is upgraded, both kinds
    # answer.
    same_topic = old is not None and not made_anew and (not has_id or old.topic_id in (topic.topic_id, ZERO_UUID))
    count = len(topic.partitions)  # Kafka numbers them from 0 without gaps; an index beyond that is not believed
    leaders, epochs = [NO_LEADER] * count, [-1] * count
    replicas: list[tuple[int, ...]] = [()] * count
    isr: list[tuple[int, ...]] = [()] * count
    errors = [0] * count
    held_back = False
    for partition in topic.partitions:
        index = partition.partition_index
        if not 0 <= index < count:
            continue
        leaders[index], epochs[index] = partition.leader_id, partition.leader_epoch
        replicas[index], isr[index] = tuple(partition.replica_nodes), tuple(partition.isr_nodes)
        if same_topic and old is not None and index < len(old.leaders) and 0 <= epochs[index] < old.leader_epochs[index]:
            leaders[index], epochs[index] = old.leaders[index], old.leader_epochs[index]
            held_back = True
        if leaders[index] == NO_LEADER:
            errors[index] = partition.error_code
    # While the epochs contradict a topic known without an id, it gets none: an id would say that they are its
    # own.
    topic_id = old.topic_id if same_topic and old is not None and (not has_id or held_back) else topic.topic_id
    new = TopicInfo(
        topic.name,
        topic_id,
        tuple(leaders),
        tuple(epochs),
        tuple(replicas),
        tuple(isr),
        generation=0 if old is None else old.generation + made_anew,
        errors=tuple(errors) if any(errors) else (),
    )
    if same_topic and old is not None and count < old.partition_count:
        if old.topic_id == ZERO_UUID:
            new = replace(new, generation=new.generation + 1)
        else:
            new = replace(
                new,
                leaders=new.leaders + old.leaders[count:],
                leader_epochs=new.leader_epochs + old.leader_epochs[count:],
                replicas=new.replicas + old.replicas[count:],
                isr=new.isr + old.isr[count:],
            )
    return old if old == new and old is not None else new
