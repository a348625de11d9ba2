"""A cluster whose brokers may be paused and killed, unlike those that other tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from klife.testing.cluster import KafkaCluster


@contextmanager
def own_cluster(brokers: int) -> Iterator[KafkaCluster]:
    """One that was started here, also where KLIFE_TEST_BOOTSTRAP names another."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("KLIFE_TEST_BOOTSTRAP", raising=False)
        cluster = KafkaCluster(brokers=brokers)
        cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()
