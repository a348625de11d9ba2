"""For tests of the documentation: the topics its programs use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from klife import Client
from klife.admin import AdminError
from klife.testing.cluster import KafkaCluster

TOPICS = ("clicks", "orders", "payments", "shipments")
PARTITIONS = 6
_ALREADY_THERE = 36


@pytest.fixture(scope="package")
def documented_cluster(kafka_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """The cluster that readers are asked to have: with these topics, and past its first seconds."""
    made = []
    for name in TOPICS:
        try:
            kafka_cluster.create_topic(name, partitions=PARTITIONS)
        except AdminError as error:
            if error.error_code != _ALREADY_THERE:
                raise
        else:
            made.append(name)
    # A cluster that was just started refuses producer ids for a moment, and the pages' programs do not show its excuses.
    with Client.start(kafka_cluster.bootstrap_servers) as client:
        client.wait_ready()
    yield kafka_cluster
    with kafka_cluster.admin() as admin:
        admin.delete_topics(made)
