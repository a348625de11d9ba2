"""The clusters to produce to: librdkafka's mock as a cheap sink, and three real brokers.

A target has topics of the workload's shape, counts what their logs hold, and keeps what a long run writes within bounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from bench.mock_cluster import MockCluster
from bench.workload import Workload
from klife.testing.cluster import KafkaCluster

TargetName = Literal["mock", "cluster"]

# Fresh topics once this much was written: three replicas of it lie on disk.
_BYTES_PER_GENERATION = 2 * 1024**3

# A test cluster declares a broker dead after 3 s; under full load on few cores that would move leaders in mid-measurement.
_BROKER_CONFIG = {"broker.session.timeout.ms": 18_000, "broker.heartbeat.interval.ms": 2_000}
# A deleted topic gives its disk back after a second instead of a minute.
_TOPIC_CONFIG = {"file.delete.delay.ms": "1000"}


class Target:
    """A cluster with topics for `shape`, the workload whose topics and partitions all measurements of the run share."""

    def __init__(self, name: TargetName, bootstrap_servers: str, shape: Workload) -> None:
        self.name = name
        self.bootstrap_servers = bootstrap_servers
        self.topics = topic_names(shape)
        self._shape = shape
        self._admin = _admin(bootstrap_servers)

    def records_in_logs(self) -> int:
        """How many records were ever written to the current topics."""
        asked = {
            TopicPartition(topic, partition): OffsetSpec.latest()
            for topic in self.topics
            for partition in range(self._shape.partitions)
        }
        return sum(answer.result().offset for answer in self._admin.list_offsets(asked).values())

    def make_room(self) -> None:
        """Start over with empty topics once the current ones are big. The mock's logs are bounded by themselves."""


class _RealTarget(Target):
    def __init__(self, bootstrap_servers: str, shape: Workload) -> None:
        super().__init__("cluster", bootstrap_servers, shape)
        self._generation = 0
        self._create_topics()

    def make_room(self) -> None:
        if self.records_in_logs() * (self._shape.value_bytes + self._shape.key_bytes) >= _BYTES_PER_GENERATION:
            _results(self._admin.delete_topics(self.topics).values())
            self._create_topics()

    def _create_topics(self) -> None:
        # A deleted topic's name may not be taken again at once.
        self._generation += 1
        self.topics = [f"{topic}-{self._generation}" for topic in topic_names(self._shape)]
        new_topics = [NewTopic(topic, self._shape.partitions, 3, config=_TOPIC_CONFIG) for topic in self.topics]
        _results(self._admin.create_topics(new_topics).values())
        # The client that deleted topics goes on finding no leaders for their successors.
        self._admin = _admin(self.bootstrap_servers)
        _until(self._all_led, "the new topics have leaders")

    def _all_led(self) -> bool:
        # Metadata names leaders before these know it; what they answer is the truth. Asking for it refreshes what `_admin` knows.
        self._admin.list_topics(timeout=10)
        try:
            return self.records_in_logs() == 0
        except KafkaException:
            return False


@contextmanager
def open_target(name: TargetName, shape: Workload) -> Iterator[Target]:
    """Start the target and take it down afterwards."""
    if name == "mock":
        with MockCluster(topic_names(shape), shape.partitions) as mock:
            yield Target(name, mock.bootstrap_servers, shape)
    else:
        with KafkaCluster(brokers=3, config=_BROKER_CONFIG) as cluster:
            yield _RealTarget(cluster.bootstrap_servers, shape)


def topic_names(shape: Workload) -> list[str]:
    return [f"bench-{number}" for number in range(shape.topics)]


def _admin(bootstrap_servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})


def _results(futures: object) -> None:
    for future in futures:  # type: ignore[attr-defined]
        future.result()


def _until(fact: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited 30 s until {what}")
        time.sleep(0.1)
