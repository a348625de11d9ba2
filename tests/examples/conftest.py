"""The examples' tests read topics back, and script brokers, with what other tests have for that."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from klife.testing.cluster import KafkaCluster


@pytest.fixture
def make_topic(kafka_cluster: KafkaCluster) -> Callable[[], str]:
    """Create a topic of six partitions under a name of its own."""

    def make() -> str:
        name = f"example-{uuid.uuid4().hex[:12]}"
        kafka_cluster.create_topic(name, partitions=6)
        return name

    return make
