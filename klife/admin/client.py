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

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import gevent

from klife.actors.network.security import Security
from klife.actors.settings import ConnectionSettings
from klife.admin.connection import ATTEMPT_TIMEOUT_SECONDS, BrokerConnection
from klife.admin.values import Broker, ConfigEntry, ConfigSource, NewTopic, Partition
from klife.api.settings import checked_config, connection_settings
from klife.errors import AdminError
from klife.protocol.apis.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from klife.protocol.apis.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from klife.protocol.apis.delete_topics import DeleteTopicsRequest
from klife.protocol.apis.describe_configs import (
    TOPIC_RESOURCE,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResult,
)
from klife.protocol.apis.incremental_alter_configs import (
    DELETE,
    SET,
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from klife.protocol.error_codes import ErrorCode, describe, is_retriable
from klife.protocol.errors import DecodeError
from klife.protocol.message import Request, Response

if TYPE_CHECKING:
    import ssl

    from klife.api.config import SaslConfig, TlsConfig

R = TypeVar("R", bound=Response)

ATTEMPT_TIMEOUT_MS = int(ATTEMPT_TIMEOUT_SECONDS * 1000)
RETRY_SECONDS = 0.05
DELETE_BY_NAME = 5  # DeleteTopics takes plain names up to this version, which Kafka from 2.4 to 4.3 serves

# DescribeConfigs' config_source (Java's DescribeConfigsResponse.ConfigSource)
_SOURCES: dict[int, ConfigSource] = {1: "topic", 2: "broker", 3: "brokers", 4: "server.properties", 5: "default"}


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
        self._bootstrap = config.bootstrap_servers
        self._timeout = timeout
        self._settings = _hurried(connection_settings(config))
        self._quiet = False
        self._security: Security | None = None  # while there are connections
        self._connections: dict[str, BrokerConnection] = {}

    @classmethod
    def connecting_as(cls, settings: ConnectionSettings, bootstrap_servers: str, *, timeout: float) -> Self:
        """One that connects as a client with these settings does."""
        admin = cls(bootstrap_servers, timeout=timeout)
        admin._settings = _hurried(settings)
        admin._quiet = True
        return admin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens them again."""
        for address in list(self._connections):
            self._drop(address)
        if self._security is not None:
            self._security.close()
            self._security = None

    def send(self, request: Request[R], address: str, *, max_version: int | None = None) -> R:
        """One request to one broker, once. OSError or DecodeError when that broker cannot be asked."""
        self._connect(address)
        try:
            return self._connections[address].request(request, max_version=max_version)
        except BaseException:
            self._drop(address)  # whatever interrupted it: the next answer on this connection would be the wrong one
            raise

    def send_to_controller(self, request: Request[R]) -> R:
        """The answer of the broker that changes the cluster; for requests that may be repeated."""
        deadline = self._deadline()
        while True:
            address = self._controller(deadline)
            try:
                return self.send(request, address)
            except (OSError, DecodeError) as error:
                self._check_time(deadline, f"{address}: {error}")

    def brokers(self) -> list[Broker]:
        """The live brokers, by id."""
        metadata = self._send_any(MetadataRequest(topics=[]), self._deadline())
        return _brokers(metadata)

    def live_brokers(self, address: str) -> set[int]:
        """The ids of the brokers that this one knows as live. OSError or DecodeError when it cannot be asked."""
        return {broker.node_id for broker in self.send(MetadataRequest(topics=[]), address).brokers}

    def describe_topics(self, names: Sequence[str] | None = None, *, address: str | None = None) -> dict[str, list[Partition]]:
        """Partitions by topic, in order of their index; of every topic when `names` is None. AdminError for
        one that is not there.

        With `address`, as that broker sees them; OSError or DecodeError when it cannot be asked.
        """
        request = _metadata_request(names)
        metadata = self._send_any(request, self._deadline()) if address is None else self.send(request, address)
        for topic in metadata.topics:
            _check(f"topic {topic.name!r}", topic.error_code, None)
        return {str(topic.name): _partitions(topic) for topic in metadata.topics}

    def create_topics(self, topics: Sequence[NewTopic]) -> None:
        """Create topics; returns when every live broker knows all their partitions, each with a leader."""
        deadline = self._deadline()
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
        deadline = self._deadline()
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
        deadline = self._deadline()
        request = DeleteTopicsRequest(timeout_ms=ATTEMPT_TIMEOUT_MS, topic_names=list(_names(names)))
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
                response = self.send(request, self._controller(deadline))
                if all(topic.error_code != ErrorCode.TOPIC_ALREADY_EXISTS for topic in response.topics):
                    return
            except (OSError, DecodeError) as error:
                problem = str(error)
            self._check_time(deadline, problem)
            gevent.sleep(RETRY_SECONDS)

    def describe_configs(self, topics: Sequence[str]) -> dict[str, dict[str, ConfigEntry]]:
        """The settings of topics, by topic and name: all of them, set or not. AdminError for a topic that is
        not there.
        """
        response = self._send_any(_describe_configs_request(topics), self._deadline())
        for result in response.results:
            _check(f"cannot describe the configs of topic {result.resource_name!r}", result.error_code, result.error_message)
        return {result.resource_name: _configs(result) for result in response.results}

    def alter_configs(self, topic: str, changes: Mapping[str, object]) -> None:
        """Change settings of a topic, all or none; None takes a setting back to its default. Those not named
        stay as they are.

        Returns when every live broker tells the new values (KIP-339; Kafka 2.3 or newer).
        """
        deadline = self._deadline()
        configs = [
            AlterableConfig(name=name, config_operation=DELETE if value is None else SET, value=_text_or_none(value))
            for name, value in changes.items()
        ]
        resource = AlterConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configs=configs)
        while True:
            response = self._send_any(IncrementalAlterConfigsRequest(resources=[resource]), deadline)  # twice comes to the same
            [result] = response.responses
            if not is_retriable(result.error_code) or time.monotonic() > deadline:
                break
            gevent.sleep(RETRY_SECONDS)
        _check(f"cannot alter the configs of topic {topic!r}", result.error_code, result.error_message)
        wanted = {name: _text_or_none(value) for name, value in changes.items()}
        request = _describe_configs_request([topic])

        def in_force(address: str) -> bool:
            [result] = self.send(request, address).results
            known = _configs(result) if result.error_code == 0 else {}
            return all(
                name in known and (known[name].source != "topic" if value is None else known[name].value in (value, None))
                for name, value in wanted.items()
            )

        self._until_every_broker(in_force, deadline, f"tell the new configs of {topic!r}")

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
            address = self._controller(deadline)
            try:
                response = self.send(request, address, max_version=max_version)
            except (OSError, DecodeError) as error:
                lost = True
                self._check_time(deadline, f"{address}: {error}")
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
        request = _metadata_request(topics)
        self._until_every_broker(lambda address: condition(self.send(request, address)), deadline, what)

    def _until_every_broker(self, condition: Callable[[str], bool], deadline: float, what: str) -> None:
        """Wait until `condition` holds for the address of every live broker.

        A broker that dies meanwhile stops being one of them.
        """
        while True:
            brokers = _brokers(self._send_any(MetadataRequest(topics=[]), deadline))
            with contextlib.suppress(OSError, DecodeError):
                if all(condition(broker.address) for broker in brokers):
                    return
            if time.monotonic() > deadline:
                raise AdminError(f"the brokers do not all {what} after {self._timeout:g} s")
            gevent.sleep(RETRY_SECONDS)

    def _send_any(self, request: Request[R], deadline: float) -> R:
        """The answer of the first broker that gives one; for requests that may be repeated."""
        while True:
            address = self._reachable(deadline)
            try:
                return self.send(request, address)
            except (OSError, DecodeError) as error:
                self._check_time(deadline, f"{address}: {error}")

    def _controller(self, deadline: float) -> str:
        """The address of the broker that changes topics, connected: what fails before that has changed
        nothing.

        With ZooKeeper it is the only one that does; with KRaft brokers name any live one as the controller,
        and each passes it on.
        """
        while True:
            metadata = self._send_any(MetadataRequest(topics=[]), deadline)
            addresses = [broker.address for broker in _brokers(metadata) if broker.node_id == metadata.controller_id]
            problem = "no broker is the controller"
            for address in addresses:
                try:
                    self._connect(address)
                except (OSError, DecodeError) as error:
                    problem = f"{address}, the controller: {error}"
                else:
                    return address
            self._check_time(deadline, problem)
            gevent.sleep(RETRY_SECONDS)

    def _reachable(self, deadline: float) -> str:
        """The address of a broker that accepts a connection and agrees on versions."""
        while True:
            problems = []
            for address in self._bootstrap:
                try:
                    self._connect(address)
                except (OSError, DecodeError) as error:
                    problems.append(f"{address}: {error}")
                else:
                    return address
            self._check_time(deadline, "; ".join(problems))
            gevent.sleep(RETRY_SECONDS)

    def _check_time(self, deadline: float, problem: str) -> None:
        if time.monotonic() > deadline:
            raise AdminError(f"no broker answered within {self._timeout:g} s: {problem}")

    def _connect(self, address: str) -> None:
        connection = self._connections.get(address)
        if connection is not None and connection.is_of_use:
            return
        self._drop(address)
        self._security = self._security or Security(self._settings, quiet=self._quiet)
        self._connections[address] = BrokerConnection(address, self._settings, self._security)

    def _drop(self, address: str) -> None:
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout


def _hurried(settings: ConnectionSettings) -> ConnectionSettings:
    return settings._replace(connect_timeout=ATTEMPT_TIMEOUT_SECONDS)


def _names(names: Sequence[str]) -> Sequence[str]:
    """`names`, unless they are one: a str is a list of its letters."""
    if isinstance(names, str):
        raise AdminError(f"topics is a str; expected a list of names: [{names!r}]")
    return names


def _metadata_request(names: Sequence[str] | None) -> MetadataRequest:
    topics = None if names is None else [MetadataRequestTopic(name=name) for name in _names(names)]
    return MetadataRequest(topics=topics, allow_auto_topic_creation=False)


def _brokers(metadata: MetadataResponse) -> list[Broker]:
    return sorted((Broker(broker.node_id, broker.host, broker.port) for broker in metadata.brokers), key=lambda broker: broker.node_id)


def _partitions(topic: Any) -> list[Partition]:
    partitions = (
        Partition(
            index=each.partition_index,
            leader=each.leader_id if each.leader_id >= 0 else None,
            replicas=tuple(each.replica_nodes),
            in_sync=tuple(each.isr_nodes),
        )
        for each in topic.partitions
    )
    return sorted(partitions, key=lambda partition: partition.index)


def _describe_configs_request(topics: Sequence[str]) -> DescribeConfigsRequest:
    resources = [
        DescribeConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configuration_keys=None) for topic in _names(topics)
    ]
    return DescribeConfigsRequest(resources=resources)


def _configs(result: DescribeConfigsResult) -> dict[str, ConfigEntry]:
    return {
        each.name: ConfigEntry(each.name, each.value, _SOURCES.get(each.config_source, "unknown"), each.read_only, each.is_sensitive)
        for each in result.configs
    }


def _config_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else _config_text(value)


def _check(what: str, error_code: int, message: str | None) -> None:
    if error_code:
        raise AdminError(f"{what}: {describe(error_code)}" + (f" ({message})" if message else ""), error_code)
