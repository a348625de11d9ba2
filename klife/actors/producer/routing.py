"""`Routing`: the topics that one producer has records of, as the cluster's news finds them.

A topic has partitions, and a leader one or more batchers. What is queued stays where it is whatever the
cluster does: a partition moves with what it has to another batcher, or to none while it has no leader; a
topic that is gone keeps what it has, until it is back or the records expire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klife.actors.metadata.snapshot import NO_LEADER, ClusterSnapshot, TopicInfo
from klife.actors.producer.batcher import Batcher, Batchers
from klife.actors.producer.topic import Topic
from klife.protocol.error_codes import ErrorCode


class Routing:
    """One producer's topics. `new_topic(info, partitioner)` makes one."""

    def __init__(self, batchers: Batchers, new_topic: Callable[[TopicInfo, Any], Topic]) -> None:
        self.topics: dict[str, Topic] = {}
        self.batchers: dict[tuple[int, int], Batcher] = batchers.all
        self._new_topic = new_topic
        self._absent: dict[str, Topic] = {}  # topics that disappeared, with what is still queued for them

    def add_topic(self, info: TopicInfo, partitioner: Any) -> Topic:
        """The topic, made when it is first produced to."""
        topic = self._absent.get(info.name)
        if topic is None:
            topic = self._new_topic(info, partitioner)
        topic = self.topics.setdefault(info.name, topic)  # a signal handler may have needed it, too, while we made it
        self._absent.pop(info.name, None)
        topic.follow(info)
        return topic

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Move partitions to their leaders' batchers, with everything that is queued; sequences and order
        stay as they are.
        """
        for name, topic in list(self.topics.items()):
            info = snapshot.topics.get(name)
            if info is None:
                del self.topics[name]
                self._absent[name] = topic
                topic.follow(_gone(topic, snapshot.topic_errors.get(name, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)))
            elif info is not topic.info:
                topic.follow(info)
        for name, topic in list(self._absent.items()):
            info = snapshot.topics.get(name)
            if info is not None:
                self.add_topic(info, topic.partitioner)

    def holds(self, name: str) -> bool:
        """Whether records are queued for the topic of that name, or on their way and may come back."""
        topic = self.topics.get(name) or self._absent.get(name)
        return topic is not None and any(
            partition is not None and not (partition.empty and not partition.in_flight) for partition in topic.partitions
        )


def _gone(topic: Topic, code: int) -> TopicInfo:
    """What is known of a topic for which the cluster answers `code`."""
    count, info = topic.count, topic.info
    # Should it come back without an id, it may be another: the generation of that one differs from this.
    return TopicInfo(
        info.name, info.topic_id, (NO_LEADER,) * count, (-1,) * count, generation=info.generation + 1, errors=(code,) * count
    )
