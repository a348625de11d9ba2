"""Where the demonstrations run: a cluster that is there or is started for them, and topics of their own."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Annotated

import typer

from klife.admin import AdminClient, NewTopic
from klife.cli.demo_display import step
from klife.cli.terminal import CONNECT_TIMEOUT_SECONDS, checked_servers, out
from klife.testing.cluster import KafkaCluster

TOPICS = ("orders", "payments", "shipments")
PARTITIONS = 10

Brokers = Annotated[int, typer.Option(min=1, help="How many brokers to start.")]
DemoBootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap", metavar="HOST:PORT,...", help="Use this cluster.", show_default="one is started, and removed"),
]


@contextlib.contextmanager
def demo_cluster(bootstrap: str | None, brokers: int) -> Iterator[str]:
    """The addresses of the cluster the user named, or of one that is started and removed again."""
    if bootstrap is not None:
        yield checked_servers(bootstrap)
        return
    with contextlib.ExitStack() as stack:
        with step(f"starting a Kafka cluster of {brokers} broker{'s' if brokers > 1 else ''}"):
            cluster = stack.enter_context(KafkaCluster(brokers))
        yield cluster.bootstrap_servers


@contextlib.contextmanager
def demo_topics(servers: str) -> Iterator[list[str]]:
    """New topics for this run, deleted at the end of the block."""
    with AdminClient(servers, timeout=CONNECT_TIMEOUT_SECONDS) as admin:
        replicas = min(3, len(admin.brokers()))
        names = [f"klife-demo-{uuid.uuid4().hex[:8]}-{name}" for name in TOPICS]
        admin.create_topics([NewTopic(name, PARTITIONS, replicas) for name in names])
        out.print(f"topics {', '.join(TOPICS)}: {PARTITIONS} partitions each, replication factor {replicas}", markup=False)
        try:
            yield names
        finally:
            admin.delete_topics(names)
