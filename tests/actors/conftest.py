"""What all tests of the actors share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from klife import Client
from klife_supervision.logs import forget_repeats
from tests.support.scripted_broker import ScriptedCluster


def _drop(*_event: object) -> None:
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Trouble is what these tests make; what it logs would only slow them down.
    `structlog.testing.capture_logs` still sees it.
    """
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    yield
    forget_repeats()
    structlog.configure(**before)


@pytest.fixture
def start_client() -> Iterator[Callable[..., Client]]:
    """Starts clients with short backoffs, and stops them when the test is over."""
    clients: list[Client] = []

    def start(cluster: ScriptedCluster, **options: Any) -> Client:
        fast: dict[str, Any] = {
            "retry_backoff_ms": 5,
            "retry_backoff_max_ms": 20,
            "reconnect_backoff_ms": 5,
            "reconnect_backoff_max_ms": 20,
        }
        client = Client.start(cluster.bootstrap_servers, **{**fast, **options})
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.stop(timeout=0)
