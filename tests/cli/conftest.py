"""A command to run, and topics to run it on."""

from __future__ import annotations

import subprocess
import uuid

import pytest

from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import COMMAND, NewTopic, RunKlife, environment

TIMEOUT_SECONDS = 90


@pytest.fixture
def run_klife() -> RunKlife:
    """Runs `klife ARGUMENTS` to its end, with text for its standard input."""

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], input=text, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment()
        )

    return run


@pytest.fixture
def new_topic(kafka_cluster: KafkaCluster) -> NewTopic:
    """Creates a topic of its own for the test; the topic's name."""

    def create(partitions: int = 1, **config: object) -> str:
        name = f"cli-{uuid.uuid4().hex[:8]}"
        kafka_cluster.create_topic(name, partitions=partitions, replication_factor=3, config=config)
        return name

    return create
