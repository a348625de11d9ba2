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
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import gevent

from klife.actors.settings import ConnectionSettings
from klife.admin.answers import brokers_of, configs_of, describe_configs_request, metadata_request, named, partitions_of
from klife.admin.connection import ATTEMPT_TIMEOUT_SECONDS
from klife.admin.reach import RETRY_SECONDS, Reach
from klife.admin.values import Broker, ConfigEntry, NewTopic, Partition
from klife.api.settings import checked_config, connection_settings
from klife.errors import AdminError
from klife.protocol.apis.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from klife.protocol.apis.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from klife.protocol.apis.delete_topics import DeleteTopicsRequest
from klife.protocol.apis.describe_configs import (
    TOPIC_RESOURCE,
)
from klife.protocol.apis.incremental_alter_configs import (
    DELETE,
    SET,
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from klife.protocol.apis.metadata import MetadataRequest, MetadataResponse
from klife.protocol.error_codes import ErrorCode, describe, is_retriable
from klife.protocol.errors import DecodeError
from klife.protocol.message import Request, Response

if TYPE_CHECKING:
    import ssl

    from klife.api.config import SaslConfig, TlsConfig

R = TypeVar("R", bound=Response)

ATTEMPT_TIMEOUT_MS = int(ATTEMPT_TIMEOUT_SECONDS * 1000)
DELETE_BY_NAME = 5  # DeleteTopics takes plain names up to this version, which Kafka from 2.4 to 4.3 serves


class AdminClient:
    """Asks any broker that answers. Every method ends within `timeout` seconds (and one attempt), with
    AdminError if it must. `tls` and `sasl` are those of `Client.start`; credentials that a broker refuses are
    an AdminError at once.

    Raises:
        ConfigError: an address, `tls` or `sasl` is wrong.
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
            _check(f"topic {topic.name!r}", topic.error_code, None)
        return {str(topic.name): partitions_of(topic) for topic in metadata.topics}

    def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics; returns when every live broker knows all their partitions, each with a leader."""
        deadline = self._reach.deadline()
        request = CreateTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS)
        for topic in topics:
            configs = [CreatableTopicConfig(name=name, value=_config_text(value)) for name, value in topic.config.items()]
            wanted = CreatableTopic(name=topic.name, num_partitions=topic.partitions, replication_factor=topic.replication_factor)
            wanted.configs = configs
            request.topics.append(wanted)
        self._change("create", request, lambda response: response.topics, ErrorCode.TOPIC_ALREADY_EXISTS, deadline)
        names = [topic.name for topic in topics]
        counts = {topic.name: topic.partitions for topic in topics}

        def complete(metadata: MetadataResponse) -> bool:
            return all(
                topic.error_code == 0
                and len(topic.partitions) >= max(counts[str(topic.name)], 1)
                and all(partition.leader_id >= 0 for partition in topic.partitions)
                for topic in metadata.topics
            )

        self._until_all_know(complete, names, deadline, f"know all partitions of {names}, with leaders")

    def create_partitions(self, topic: str, count: int) -> None:
        """Raise a topic's number of partitions to `count`; returns when every live broker knows them, each
        with a leader.
        """
        deadline = self._reach.deadline()
        request = CreatePartitionsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS)
        request.topics.append(CreatePartitionsTopic(name=topic, count=count, assignments=None))
        # After a lost reply, INVALID_PARTITIONS can mean that the first attempt did it; the wait below makes
        # sure.
        self._change("extend", request, lambda response: response.results, ErrorCode.INVALID_PARTITIONS, deadline)

        def complete(metadata: MetadataResponse) -> bool:
            partitions = metadata.topics[0].partitions
            return len(partitions) >= count and all(partition.leader_id >= 0 for partition in partitions)

        self._until_all_know(complete, [topic], deadline, f"know {count} partitions of {topic!r}, with leaders")

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete topics; returns when no live broker knows them any more, and they could be created anew."""
        deadline = self._reach.deadline()
        request = DeleteTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS, topic_names=list(named(names)))
        gone_already = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        self._change("delete", request, lambda response: response.responses, gone_already, deadline, max_version=DELETE_BY_NAME)

        def gone(metadata: MetadataResponse) -> bool:
            return all(topic.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION for topic in metadata.topics)

        self._until_all_know(gone, names, deadline, f"forget {list(names)}")
        self._until_free(names, deadline)

    def _until_free(self, names: Sequence[str], deadline: float) -> None:
        """Wait until topics of these names can be created: with ZooKeeper, that is later than the last broker
        forgets them.
        """
        topics = [CreatableTopic(name=name, num_partitions=-1, replication_factor=-1) for name in names]
        request = CreateTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS, topics=topics, validate_only=True)
        while True:
            problem = f"the topics {list(names)} cannot be created yet"
            try:
                response = self._reach.send(request, self._reach.controller(deadline))
                if all(topic.error_code != ErrorCode.TOPIC_ALREADY_EXISTS for topic in response.topics):
                    return
            except (OSError, DecodeError) as error:
                problem = str(error)
            self._reach.check_time(deadline, problem)
            gevent.sleep(RETRY_SECONDS)

    def describe_configs(self, topics: Sequence[str]) -> dict[str, dict[str, ConfigEntry]]:
        """The settings of topics, by topic and name: all of them, set or not. AdminError for a topic that is
        not there.
        """
        response = self._reach.send_any(describe_configs_request(topics), self._reach.deadline())
        for result in response.results:
            _check(f"cannot describe the configs of topic {result.resource_name!r}", result.error_code, result.error_message)
        return {result.resource_name: configs_of(result) for result in response.results}

    def alter_configs(self, topic: str, changes: Mapping[str, object]) -> None:
        """Change settings of a topic, all or none; None takes a setting back to its default. Those not named
        stay as they are.

        Returns when every live broker tells the new values (KIP-339; Kafka 2.3 or newer).
        """
        deadline = self._reach.deadline()
        configs = [
            AlterableConfig(name=name, config_operation=DELETE if value is None else SET, value=_text_or_none(value))
            for name, value in changes.items()
        ]
        resource = AlterConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configs=configs)
        while True:
            response = self._reach.send_any(IncrementalAlterConfigsRequest(resources=[resource]), deadline)  # twice comes to the same
            [result] = response.responses
            if not is_retriable(result.error_code) or time.monotonic() > deadline:
                break
            gevent.sleep(RETRY_SECONDS)
        _check(f"cannot alter the configs of topic {topic!r}", result.error_code, result.error_message)
        wanted = {name: _text_or_none(value) for name, value in changes.items()}
        request = describe_configs_request([topic])

        def in_force(address: str) -> bool:
            [result] = self._reach.send(request, address).results
            known = configs_of(result) if result.error_code == 0 else {}
            return all(
                name in known and (known[name].source != "topic" if value is None else known[name].value in (value, None))
                for name, value in wanted.items()
            )

        self._reach.until_every_broker(in_force, deadline, f"tell the new configs of {topic!r}")

    def _change(
        self,
        verb: str,
        request: Request[R],
        results: Callable[[R], Sequence[Any]],
        done_already: ErrorCode,
        deadline: float,
        *,
        max_version: int | None = None,
    ) -> None:
        """Send a request that changes topics until each is settled.

        Once a reply was lost, `done_already` means that it was done.
        """
        lost = False
        while True:
            address = self._reach.controller(deadline)
            try:
                response = self._reach.send(request, address, max_version=max_version)
            except (OSError, DecodeError) as error:
                lost = True
                self._reach.check_time(deadline, f"{address}: {error}")
                continue
            failed = [result for result in results(response) if result.error_code and not (lost and result.error_code == done_already)]
            if not failed:
                return
            final = [result for result in failed if result.error_code == done_already or not is_retriable(result.error_code)]
            if final or time.monotonic() > deadline:
                first = (final or failed)[0]
                _check(f"cannot {verb} topic {first.name!r}", first.error_code, first.error_message)
            lost = True  # a timeout in the broker, too, leaves open what was done
            gevent.sleep(RETRY_SECONDS)

    def _until_all_know(self, condition: Callable[[MetadataResponse], bool], topics: Sequence[str], deadline: float, what: str) -> None:
        """Wait until the metadata of every live broker satisfies `condition`."""
        request = metadata_request(topics)
        self._reach.until_every_broker(lambda address: condition(self._reach.send(request, address)), deadline, what)


def _config_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else _config_text(value)


def _check(what: str, error_code: int, message: str | None) -> None:
    if error_code:
        raise AdminError(f"{what}: {describe(error_code)}" + (f" ({message})" if message else ""), error_code)
