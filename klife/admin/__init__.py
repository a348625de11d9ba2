"""Topics of a cluster: create, grow, delete and describe them, and their settings.

from klife.admin import AdminClient, NewTopic

with AdminClient("localhost:9092") as admin:
    admin.create_topics([NewTopic("orders", partitions=6, replication_factor=3, config={"retention.ms":
    86_400_000})])
"""

from __future__ import annotations

from klife.admin.client import AdminClient
from klife.admin.values import Broker, ConfigEntry, NewTopic, Partition
from klife.errors import AdminError

__all__ = ["AdminClient", "AdminError", "Broker", "ConfigEntry", "NewTopic", "Partition"]
