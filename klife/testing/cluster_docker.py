"""Brokers in containers of Kafka's own image, through testcontainers, where a container engine answers.

Each container listens three times: PLAINTEXT for the tests, advertised as the host's port it is published on;
INTERNAL for the other brokers, advertised as its name in the containers' network; CONTROLLER for the quorum.
testcontainers' reaper removes the containers when this process dies.

Written from what Kafka's image and testcontainers document, and not yet run against an engine: where jars can
be had, they come first.

Calls of the engine's API run in the hub's thread pool, so that a container that takes its time to stop
freezes no greenlet.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from klife.actors.runtime.thread_pool import call_in_thread
from klife.testing.cluster_backend import broker_properties, kafka_uuid
from klife.testing.cluster_errors import BackendUnavailable
from klife.testing.jars import release

if TYPE_CHECKING:
    from klife.testing.cluster_security import SecureListeners
    from klife.testing.cluster_spec import ClusterSpec

IMAGE = "apache/kafka"
CLIENT_PORT, INTERNAL_PORT, CONTROLLER_PORT = 9092, 19092, 19093
FIRST_IMAGE = (3, 7, 0)
CONTROLLED_SHUTDOWN_SECONDS = 60


class DockerBackend:
    """See `klife.testing.cluster_backend.Backend` for what each method promises."""

    def __init__(self, spec: ClusterSpec) -> None:
        self._spec = spec
        self._host = ""
        self._ports: dict[int, int] = {}
        self._containers: dict[int, Any] = {}
        self._network: Any = None
        self.secure: SecureListeners | None = None

    def up(self) -> None:
        if self._spec.proxies:
            raise BackendUnavailable("proxies= is only there for brokers from Kafka's jars")
        if self._spec.is_secure:
            raise BackendUnavailable("listeners other than PLAINTEXT are only there for brokers from Kafka's jars")
        if release(self._spec.version) < FIRST_IMAGE:
            raise BackendUnavailable(f"there is no image {IMAGE} of Kafka before 3.7.0, and {self._spec.version} is wanted")
        call_in_thread(self._up)

    def down(self) -> None:
        call_in_thread(self._down)

    def addresses(self, listener: str) -> dict[int, str]:
        return {node_id: f"{self._host}:{port}" for node_id, port in self._ports.items()}

    def kill(self, node_id: int) -> None:
        call_in_thread(self._container(node_id).kill)

    def stop(self, node_id: int) -> None:
        call_in_thread(lambda: self._container(node_id).stop(timeout=CONTROLLED_SHUTDOWN_SECONDS))

    def start(self, node_id: int) -> None:
        call_in_thread(self._container(node_id).start)

    def pause(self, node_id: int) -> None:
        call_in_thread(self._container(node_id).pause)

    def resume(self, node_id: int) -> None:
        call_in_thread(self._container(node_id).unpause)

    def ended(self) -> dict[int, str]:
        return call_in_thread(self._ended)

    def log(self, node_id: int) -> bytes:
        log: bytes = call_in_thread(self._container(node_id).logs)
        return log

    def _container(self, node_id: int) -> Any:
        return self._containers[node_id].get_wrapped_container()

    def _up(self) -> None:
        try:
            from testcontainers.core.container import DockerContainer
            from testcontainers.core.docker_client import DockerClient
            from testcontainers.core.network import Network
        except ImportError as error:
            raise BackendUnavailable(f"testcontainers is not installed (pip install testcontainers): {error}") from error
        try:
            client = DockerClient()
            client.client.ping()
        except Exception as error:
            raise BackendUnavailable(f"no container engine answers: {error}") from error
        self._host = client.host()
        self._network = Network().create()
        cluster_id = kafka_uuid()
        for node_id in self._spec.broker_ids:
            port = _free_port() if self._spec.port is None else self._spec.port + node_id - 1
            self._ports[node_id] = port
            container = DockerContainer(f"{IMAGE}:{self._spec.version}")
            container.with_network(self._network).with_network_aliases(_alias(node_id))
            container.with_bind_ports(CLIENT_PORT, port)
            container.with_envs(CLUSTER_ID=cluster_id, KAFKA_HEAP_OPTS="-Xms256m -Xmx512m")
            container.with_envs(**{_variable(name): str(value) for name, value in self._properties(node_id).items()})
            self._containers[node_id] = container
            try:
                container.start()
            except Exception as error:
                raise BackendUnavailable(f"a container of {container.image} does not start: {error}") from error

    def _down(self) -> None:
        for container in self._containers.values():
            container.stop()
        self._containers.clear()
        if self._network is not None:
            self._network.remove()
            self._network = None

    def _ended(self) -> dict[int, str]:
        ended = {}
        for node_id in self._containers:
            container = self._container(node_id)
            container.reload()
            if container.status in ("exited", "dead"):
                ended[node_id] = f"exited with status {container.attrs['State']['ExitCode']}"
        return ended

    def _properties(self, node_id: int) -> dict[str, object]:
        listeners = {"PLAINTEXT": CLIENT_PORT, "INTERNAL": INTERNAL_PORT, "CONTROLLER": CONTROLLER_PORT}
        return {
            "process.roles": "broker,controller",
            "node.id": node_id,
            "controller.quorum.voters": ",".join(f"{voter}@{_alias(voter)}:{CONTROLLER_PORT}" for voter in self._spec.broker_ids),
            "listeners": ",".join(f"{name}://0.0.0.0:{port}" for name, port in listeners.items()),
            "advertised.listeners": (f"PLAINTEXT://{self._host}:{self._ports[node_id]},INTERNAL://{_alias(node_id)}:{INTERNAL_PORT}"),
            "inter.broker.listener.name": "INTERNAL",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            **broker_properties(self._spec.brokers),
            **self._spec.config,
        }


def _alias(node_id: int) -> str:
    return f"kafka-{node_id}"


def _variable(name: str) -> str:
    """The environment variable in which Kafka's image looks for a broker property."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def _free_port() -> int:
    """A port that is free now: the advertised address must be known before the container starts, which can
    then find it taken.
    """
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
