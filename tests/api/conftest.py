"""A scripted cluster, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from klife import Client
from tests.support.scripted_broker import PATIENCE, ScriptedCluster


@pytest.fixture
def cluster() -> Iterator[ScriptedCluster]:
    with ScriptedCluster(topics={"orders": 3}) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: ScriptedCluster) -> Iterator[Client]:
    client = Client.start(cluster.bootstrap_servers)
    client.wait_ready(PATIENCE)
    yield client
    client.stop(timeout=0.1)
