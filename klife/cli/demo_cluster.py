"""Where the demonstrations run: a cluster that is there or is started for them, and topics of their own."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from klife.admin import NewTopic
from klife.api.config import ClientConfig
from klife.cli.demo_display import step
from klife.cli.terminal import admin, configuration, out
from klife.testing.cluster import KafkaCluster

TOPICS = ("orders", "payments", "shipments")
PARTITIONS = 10

Brokers = Annotated[int, typer.Option(min=1, help="How many brokers to start.")]
DemoBootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap", metavar="HOST:PORT,...", help="Use this cluster.", show_default="one is started, and removed"),
]


@contextlib.contextmanager
def demo_cluster(bootstrap: str | None, brokers: int, file: Path | None) -> Iterator[ClientConfig]:
    """How to reach the cluster the user named, or one that is started and removed again."""
    if bootstrap is not None or file is not None:
        yield configuration(bootstrap, file, name="demo")
        return
    with contextlib.ExitStack() as stack:
        with step(f"starting a Kafka cluster of {brokers} broker{'s' if brokers > 1 else ''}"):
            cluster = stack.enter_context(KafkaCluster(brokers))
        yield ClientConfig.build(cluster.bootstrap_servers, name="demo")


@contextlib.contextmanager
def demo_topics(config: ClientConfig) -> Iterator[list[str]]:
    """New topics for this run, deleted at the end of the block."""
    with admin(config) as asked:
        replicas = min(3, len(asked.brokers()))
        names = [f"klife-demo-{uuid.uuid4().hex[:8]}-{name}" for name in TOPICS]
        asked.create_topics([NewTopic(name, PARTITIONS, replicas) for name in names])
        out.print(f"topics {', '.join(TOPICS)}: {PARTITIONS} partitions each, replication factor {replicas}", markup=False)
        try:
            yield names
        finally:
            asked.delete_topics(names)
