"""`AdminClient`: a small synchronous client of Kafka's administrative requests.

    with AdminClient("127.0.0.1:9092") as admin:
        admin.create_topics([NewTopic("orders", partitions=6, replication_factor=3)])
        admin.describe_topics(["orders"])["orders"][0].leader

It shares with klife's client the protocol and what opens connections, and none of what decides and keeps
state, so that a test can look at a cluster with eyes other than those of the client under test. One request
at a time: waiting lets other greenlets run. Not to be shared between OS threads.

Brokers learn of a change one after another. What changes topics here therefore returns when every live broker
tells the new state, and the next line of a program can rely on it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import gevent

from klife.actors.settings import ConnectionSettings
from klife.admin import topic_changes
from klife.admin.answers import brokers_of, check, configs_of, describe_configs_request, metadata_request, partitions_of, text_or_none
from klife.admin.reach import RETRY_SECONDS, Reach
from klife.admin.values import Broker, ConfigEntry, NewTopic, Partition
from klife.api.settings import checked_config, connection_settings
from klife.errors import ConfigError
from klife.protocol.apis.describe_configs import TOPIC_RESOURCE
from klife.protocol.apis.incremental_alter_configs import (
    DELETE,
    SET,
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.error_codes import is_retriable
from klife.protocol.message import Request, Response

if TYPE_CHECKING:
    import ssl

    from klife.api.config import SaslConfig, TlsConfig

R = TypeVar("R", bound=Response)


class AdminClient:
    """Asks any broker that answers. Every method ends within `timeout` seconds (and one attempt), with
    AdminError if it must. `tls` and `sasl` are those of `Client.start`; credentials that a broker refuses are
    an AdminError at once.

    Raises:
        ConfigError: an address, `timeout`, `tls` or `sasl` is wrong.
    """

    def __init__(
        self,
        bootstrap_servers: str | Sequence[str],
        *,
        timeout: float = 30.0,
        tls: bool | TlsConfig | Mapping[str, Any] | ssl.SSLContext = False,
        sasl: SaslConfig | Mapping[str, Any] | None = None,
    ) -> None:
        config = checked_config(None, {"bootstrap_servers": bootstrap_servers, "tls": tls, "sasl": sasl})
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout >= 0:
            raise ConfigError([f"timeout: got {type(timeout).__name__} {timeout!r}, expected seconds as a number, 0 or more"])
        self._reach = Reach(config.bootstrap_servers, connection_settings(config), timeout=timeout, quiet=False)

    @classmethod
    def connecting_as(cls, settings: ConnectionSettings, bootstrap_servers: str, *, timeout: float) -> Self:
        """One that connects as a client with these settings does."""
        admin = cls(bootstrap_servers, timeout=timeout)
        admin._reach = admin._reach.connecting_as(settings)
        return admin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens them again."""
        self._reach.close()

    def send(self, request: Request[R], address: str, *, max_version: int | None = None) -> R:
        """One request to one broker, once. OSError or DecodeError when that broker cannot be asked."""
        return self._reach.send(request, address, max_version=max_version)

    def send_to_controller(self, request: Request[R]) -> R:
        """The answer of the broker that changes the cluster; for requests that may be repeated."""
        return self._reach.send_to_controller(request, self._reach.deadline())

    def brokers(self) -> list[Broker]:
        """The live brokers, by id."""
        metadata = self._reach.send_any(MetadataRequest(topics=[]), self._reach.deadline())
        return brokers_of(metadata)

    def live_brokers(self, address: str) -> set[int]:
        """The ids of the brokers that this one knows as live. OSError or DecodeError when it cannot be asked."""
        return {broker.node_id for broker in self._reach.send(MetadataRequest(topics=[]), address).brokers}

    def describe_topics(self, names: Sequence[str] | None = None, *, address: str | None = None) -> dict[str, list[Partition]]:
        """Partitions by topic, in order of their index; of every topic when `names` is None. AdminError for
        one that is not there.

        With `address`, as that broker sees them; OSError or DecodeError when it cannot be asked.
        """
        request = metadata_request(names)
        metadata = self._reach.send_any(request, self._reach.deadline()) if address is None else self._reach.send(request, address)
        for topic in metadata.topics:
            check(f"topic {topic.name!r}", topic.error_code, None)
        return {str(topic.name): partitions_of(topic) for topic in metadata.topics}

    def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics; returns when every live broker knows all their partitions, each with a leader.

        AdminError, with Kafka's code, for one that is there already. One that somebody else creates at the
        same time, as it was asked for, can not be told from our own.
        """
        topic_changes.create(self._reach, topics)

    def create_partitions(self, topic: str, count: int) -> None:
        """Raise a topic's number of partitions to `count`; returns when every live broker knows them, each
        with a leader.
        """
        topic_changes.grow(self._reach, topic, count)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete topics; returns when no live broker knows them any more, and they could be created anew."""
        topic_changes.delete(self._reach, names)

    def describe_configs(self, topics: Sequence[str]) -> dict[str, dict[str, ConfigEntry]]:
        """The settings of topics, by topic and name: all of them, set or not. AdminError for a topic that is
        not there.
        """
        response = self._reach.send_any(describe_configs_request(topics), self._reach.deadline())
        for result in response.results:
            check(f"cannot describe the configs of topic {result.resource_name!r}", result.error_code, result.error_message)
        return {result.resource_name: configs_of(result) for result in response.results}

    def alter_configs(self, topic: str, changes: Mapping[str, object]) -> None:
        """Change settings of a topic, all or none; None takes a setting back to its default. Those not named
        stay as they are.

        Returns when every live broker tells the new values (KIP-339; Kafka 2.3 or newer).
        """
        deadline = self._reach.deadline()
        configs = [
            AlterableConfig(name=name, config_operation=DELETE if value is None else SET, value=text_or_none(value))
            for name, value in changes.items()
        ]
        resource = AlterConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configs=configs)
        while True:
            response = self._reach.send_any(IncrementalAlterConfigsRequest(resources=[resource]), deadline)  # twice comes to the same
            [result] = response.responses
            if not is_retriable(result.error_code) or time.monotonic() > deadline:
                break
            gevent.sleep(RETRY_SECONDS)
        check(f"cannot alter the configs of topic {topic!r}", result.error_code, result.error_message)
        wanted = {name: text_or_none(value) for name, value in changes.items()}
        request = describe_configs_request([topic])

        def in_force(address: str) -> bool:
            [result] = self._reach.send(request, address).results
            known = configs_of(result) if result.error_code == 0 else {}
            return all(
                name in known and (known[name].source != "topic" if value is None else known[name].value in (value, None))
                for name, value in wanted.items()
            )

        self._reach.until_every_broker(in_force, deadline, f"tell the new configs of {topic!r}")
