"""What the brokers of a `FakeCluster` agree on. Whoever looks at it has the server's lock."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from klife.testing.fake.coordinator import Coordinator
from klife.testing.fake.faults import Faults
from klife.testing.fake.topics import NO_LEADER, Partition, Topic

_FIRST_PRODUCER_ID = 1000


class State:
    """Topics, who is alive, and what shall go wrong."""

    def __init__(self, brokers: Sequence[int], auto_create_partitions: int) -> None:
        self.brokers = brokers
        self.alive: list[int] = []
        self.ports: dict[int, int] = {}
        self.auto_create_partitions = auto_create_partitions
        self.topics: dict[str, Topic] = {}
        self.faults: Faults = Faults()
        self.coordinator: Coordinator = Coordinator()
        self._producer_ids = count(_FIRST_PRODUCER_ID)

    def find(self, name: str | None, topic_id: bytes) -> Topic | None:
        """The topic of a name or, without one, of an id."""
        if name is not None:
            return self.topics.get(name)
        return next((topic for topic in self.topics.values() if topic.topic_id == topic_id), None)

    def partition(self, topic: str, index: int) -> Partition | None:
        found = self.topics.get(topic)
        return found.partitions[index] if found is not None and 0 <= index < len(found.partitions) else None

    def add_topic(self, name: str, partitions: int) -> Topic:
        topic = self.topics[name] = Topic(name, [])
        self.grow(topic, partitions)
        return topic

    def grow(self, topic: Topic, partitions: int) -> None:
        """The topic has so many partitions, led by turns."""
        for index in range(len(topic.partitions), partitions):
            topic.partitions.append(Partition(self.alive[index % len(self.alive)] if self.alive else NO_LEADER))

    def next_producer_id(self) -> int:
        return next(self._producer_ids)

    def elect(self) -> None:
        """What nobody alive leads gets another leader."""
        for topic in self.topics.values():
            for index, partition in enumerate(topic.partitions):
                if partition.leader not in self.alive:
                    partition.move(self.alive[index % len(self.alive)] if self.alive else NO_LEADER)
