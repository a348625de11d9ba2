"""For tests on the real cluster: clients that end with their test, topics of their own, and the independent
reader.

One cluster serves them all (`kafka_cluster`, of klife's own pytest plugin), another one those about security,
and an old broker those about transactions. The tests run in greenlets of an unpatched process, as a user's
plain script does: they wait by klife's and gevent's means, never in a call that holds the hub.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from klife import Client
from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.reader import read_topic
from tests.support.secure import secure_kafka


@pytest.fixture
def start_client(kafka_cluster: KafkaCluster) -> Iterator[StartClient]:
    """Start a ready client with these options; it is stopped after the test."""
    started: list[Client] = []

    def start(**options: Any) -> Client:
        client = Client.start(kafka_cluster.bootstrap_servers, **options)
        started.append(client)
        client.wait_ready(30.0)
        return client

    yield start
    for client in started:
        client.stop(10.0)


@pytest.fixture
def make_topic(kafka_cluster: KafkaCluster) -> MakeTopic:
    """Create a topic under a name of its own."""

    def make(partitions: int = 3, **config: object) -> str:
        name = f"integration-{uuid.uuid4().hex[:12]}"
        kafka_cluster.create_topic(name, partitions, config={key.replace("_", "."): value for key, value in config.items()})
        return name

    return make


@pytest.fixture
def read_back(kafka_cluster: KafkaCluster) -> ReadBack:
    """Read a topic with confluent-kafka: `(topic, at_least=0)`."""
    return lambda topic, at_least=0: read_topic(kafka_cluster.bootstrap_servers, topic, at_least)


@pytest.fixture(scope="session")
def secure_cluster() -> Iterator[KafkaCluster]:
    """Two brokers with all listeners."""
    with secure_kafka("4.3", brokers=2) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kafka_of_v1() -> Iterator[KafkaCluster]:
    """A broker before Kafka 4.0: transactions as they were before KIP-890."""
    with KafkaCluster(brokers=1, version="3.9") as cluster:
        yield cluster
