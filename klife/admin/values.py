"""What an `AdminClient` takes and returns: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from klife.host_name import address_of

ConfigSource = Literal["topic", "broker", "brokers", "server.properties", "default", "unknown"]
"""Who set a setting: the topic's own config, one broker's or all brokers' dynamic config, server.properties,
or nobody.
"""


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to create; `partitions` and `replication_factor` -1 leave the choice to the broker's settings
    (KIP-464).
    """

    name: str
    partitions: int = -1
    replication_factor: int = -1
    config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Broker:
    """A live broker, at the address it advertises on the listener that was asked."""

    node_id: int
    host: str
    port: int

    @property
    def address(self) -> str:
        return address_of(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as the brokers see it; `leader` is None while it has none."""

    index: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """A setting as it is in force. `value` is None where Kafka keeps it secret (`is_sensitive`), or it has
    none.
    """

    name: str
    value: str | None
    source: ConfigSource
    is_read_only: bool
    is_sensitive: bool
