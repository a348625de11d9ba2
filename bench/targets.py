"""The clusters to produce to: librdkafka's mock as a cheap sink, and three real brokers.

A target has topics of a workload's layout, counts what their logs hold, and keeps what a long run writes
within bounds. `Targets` opens them as they are needed: a mock cluster for each layout, and a real
one of each version with topics for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from bench.mock_cluster import MockCluster
from bench.workload import Listener, TargetName, Workload
from klife.testing.cluster import KafkaCluster

# Fresh topics once this much was written: three replicas of it lie on disk.
_BYTES_PER_GENERATION = 2 * 1024**3

# A test cluster declares a broker dead after 3 s; under full load on few cores that would move leaders in
# mid-measurement.
# With as many threads as Kafka has by default: a cluster for tests has fewer.
_BROKER_CONFIG = {
    "broker.session.timeout.ms": 18_000,
    "broker.heartbeat.interval.ms": 2_000,
    "num.io.threads": 8,
    "num.network.threads": 3,
}
_VERSIONS: dict[TargetName, str | None] = {"cluster": None, "cluster-3.9": "3.9"}
_IN_TIME_S = 2.0  # for a record to each partition, on a busy machine
_READY_S = 120  # for brokers to have led and replicated new topics, at the worst
# A deleted topic's name may not be taken again at once, nor that of one which was never ready.
_GENERATIONS = count(1)
# A deleted topic gives its disk back after a second instead of a minute.
_TOPIC_CONFIG = {"file.delete.delay.ms": "1000"}


class Target:
    """A cluster with topics of `shape`'s layout, which all its measurements share."""

    def __init__(self, name: TargetName, bootstrap_servers: str, shape: Workload) -> None:
        self.name = name
        self.bootstrap_servers = bootstrap_servers
        self.topics = topic_names(shape)
        self.idle_topics = idle_topic_names(shape)
        self._partitions = shape.partitions
        self._admin = _admin(bootstrap_servers)

    def bootstrap_servers_for(self, listener: Listener) -> str:
        """Where a client of this listener begins."""
        if listener != "PLAINTEXT":
            raise ValueError(f"the {self.name} has no listener {listener}, only PLAINTEXT")
        return self.bootstrap_servers

    def security_for(self, listener: Listener) -> dict[str, Any]:
        """The options `tls` and `sasl` of klife for that listener."""
        return {}

    def records_in_logs(self) -> int:
        """How many records were ever written to the current topics."""
        asked = {
            TopicPartition(topic, partition): OffsetSpec.latest() for topic in self.topics for partition in range(self._partitions)
        }
        return sum(answer.result().offset for answer in self._admin.list_offsets(asked).values())

    def make_room(self, bytes_written: int) -> None:
        """Told how much the last measurement wrote: start over with empty topics when it is much. The mock's
        logs are bounded.
        """


class _RealTarget(Target):
    def __init__(self, name: TargetName, cluster: KafkaCluster, shape: Workload) -> None:
        super().__init__(name, cluster.bootstrap_servers, shape)
        self._cluster = cluster
        self._shape = shape
        self._written = 0
        self._create_topics()

    def bootstrap_servers_for(self, listener: Listener) -> str:
        return self._cluster.bootstrap_servers_for(listener)

    def security_for(self, listener: Listener) -> dict[str, Any]:
        tls = {"tls": self._cluster.tls_for(listener)} if listener.endswith("SSL") else {}
        return tls | ({"sasl": self._cluster.sasl_for("SCRAM-SHA-512")} if listener.startswith("SASL") else {})

    def make_room(self, bytes_written: int) -> None:
        self._written += bytes_written
        if self._written >= _BYTES_PER_GENERATION:
            _results(self._admin.delete_topics(self.topics).values())
            self._create_topics()

    def _create_topics(self) -> None:
        generation = next(_GENERATIONS)
        self._written = 0
        layout = f"{self._shape.topics}x{self._shape.partitions}"  # others share the cluster
        self.topics = [f"{topic}-of-{layout}-{generation}" for topic in topic_names(self._shape)]
        new_topics = [NewTopic(topic, self._partitions, 3, config=_TOPIC_CONFIG) for topic in self.topics]
        _results(self._admin.create_topics(new_topics).values())
        # The client that deleted topics goes on finding no leaders for their successors.
        self._admin = _admin(self.bootstrap_servers)
        _until(self._all_led, "the new topics have leaders")
        _until(self._takes_records, "the new topics take records in time")

    def _all_led(self) -> bool:
        # Metadata names leaders before these know it; what they answer is the truth. Asking for it refreshes
        # what `_admin` knows.
        self._admin.list_topics(timeout=10)
        try:
            return self.records_in_logs() == 0
        except KafkaException:
            return False

    def _takes_records(self) -> bool:
        # For some seconds a topic's followers do not fetch yet, and who is measured first would wait for
        # them.
        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "acks": "all", "log_level": 2})
        began = time.monotonic()
        for topic in self.topics:
            for partition in range(self._partitions):
                producer.produce(topic, b"", partition=partition)
        return not producer.flush(_IN_TIME_S) and time.monotonic() - began < _IN_TIME_S


class Targets:
    """All clusters of a run, taken down at the end of the `with` block. `warm_up(target)` is called with each
    new real one, whose brokers have these `listeners`.
    """

    def __init__(self, warm_up: Callable[[Target], None], listeners: Sequence[Listener]) -> None:
        self._warm_up = warm_up
        self._listeners = listeners
        self._stack = ExitStack()
        self._clusters: dict[TargetName, KafkaCluster] = {}
        self._warm: set[TargetName] = set()
        self._targets: dict[tuple[TargetName, tuple[int, int, int]], Target] = {}

    def get(self, name: TargetName, shape: Workload) -> Target:
        """The target with topics of `shape`'s layout; started now if it is the first that asks for them."""
        target = self._targets.get((name, shape.layout))
        if target is None:
            target = self._targets[name, shape.layout] = self._mock(shape) if name == "mock" else self._real(name, shape)
        return target

    def _mock(self, shape: Workload) -> Target:
        mock = self._stack.enter_context(MockCluster(topic_names(shape), shape.partitions, idle_topic_names(shape)))
        return Target("mock", mock.bootstrap_servers, shape)

    def _real(self, name: TargetName, shape: Workload) -> Target:
        if name not in self._clusters:
            cluster = KafkaCluster(brokers=3, version=_VERSIONS[name], listeners=self._listeners, config=_BROKER_CONFIG)
            self._clusters[name] = self._stack.enter_context(cluster)
        target = _RealTarget(name, self._clusters[name], shape)
        if name not in self._warm:
            self._warm_up(target)
            self._warm.add(name)
        return target

    def __enter__(self) -> Targets:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)


def topic_names(shape: Workload) -> list[str]:
    return [f"bench-{number}" for number in range(shape.topics)]


def idle_topic_names(shape: Workload) -> list[str]:
    return [f"idle-{number}" for number in range(shape.idle_topics)]


def _admin(bootstrap_servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})


def _results(futures: object) -> None:
    for future in futures:  # type: ignore[attr-defined]
        future.result()


def _until(fact: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _READY_S
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_READY_S} s until {what}")
        time.sleep(0.1)
