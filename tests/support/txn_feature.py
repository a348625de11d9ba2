"""The feature `transaction.version` of a cluster: 2 has transactions as KIP-890 made them, 1 as before that."""

from __future__ import annotations

from gevent import get_hub

from klife import Client
from klife.testing.cluster import KafkaCluster
from tests.support.waiting import wait_until

FEATURE = "transaction.version"
PATIENCE = 60.0


def settle_on(cluster: KafkaCluster, version: int) -> None:
    """As `kafka-features.sh` does; returns when a client that connects is told so."""

    def update() -> None:
        from kafka import KafkaAdminClient  # type: ignore[import-untyped]  # whose import warns of what is deprecated

        admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers.split(","))
        try:
            told = admin.update_features({FEATURE: ("UPGRADE" if version == 2 else "SAFE_DOWNGRADE", version)})
        finally:
            admin.close()
        assert list(told.values()) == ["OK"], told

    def is_settled() -> bool:
        with Client.start(cluster.bootstrap_servers, txn_pools=[{"name": "probe"}]) as probe:
            probe.wait_ready(PATIENCE)
            return version_of(probe) == version

    if not is_settled():
        get_hub().threadpool.apply(update)
        wait_until(is_settled, PATIENCE)


def version_of(client: Client) -> int:
    """Of the client's first pool."""
    return client.status().txn_pools[0].transaction_version
