"""A cluster whose brokers may be paused and killed, unlike those that other tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from klife.testing.cluster import KafkaCluster


@contextmanager
def own_cluster(brokers: int, **options: Any) -> Iterator[KafkaCluster]:
    """One that was started here, also where KLIFE_TEST_BOOTSTRAP names another, with these options."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("KLIFE_TEST_BOOTSTRAP", raising=False)
        cluster = KafkaCluster(brokers=brokers, **options)
        cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()
