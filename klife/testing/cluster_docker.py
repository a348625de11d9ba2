"""Brokers in containers of Kafka's own image, through testcontainers, where a container engine answers: Docker,
or Podman with its socket (`podman system service`, named by DOCKER_HOST). `make containers` tries it.

Each container has the listeners that were asked for, advertised as the host's ports they are published on;
INTERNAL for the other brokers, advertised as its name in the containers' network; and CONTROLLER for the
quorum. Its properties come from a file, as those of brokers from the jars do: what the image makes of variables
in the environment can not say everything (a key in a PEM file, for one). The files are mounted, so the engine
must be on this machine.

testcontainers' reaper, a container too, removes the others when this process is killed; where its image can
not be had (TESTCONTAINERS_RYUK_DISABLED=true), a killed process leaves them.

Calls of the engine's API run in the hub's thread pool, so that a container that takes its time to stop
freezes no greenlet.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klife.actors.runtime.thread_pool import call_in_thread
from klife.testing.cluster_backend import broker_properties, kafka_uuid
from klife.testing.cluster_errors import BackendUnavailable
from klife.testing.cluster_properties import listener_addresses, listener_protocols, properties_text
from klife.testing.jars import release

if TYPE_CHECKING:
    from klife.testing.cluster_security import SecureListeners
    from klife.testing.cluster_spec import ClusterSpec

IMAGE = "apache/kafka"
FIRST_IMAGE = (3, 7, 0)
PORTS = {"PLAINTEXT": 9092, "SSL": 9093, "SASL_PLAINTEXT": 9094, "SASL_SSL": 9095, "INTERNAL": 19092, "CONTROLLER": 19093}
"""Inside of each container."""
PROPERTIES_FOLDER = "/mnt/shared/config"
"""Where the image looks for `server.properties`."""
CONTROLLED_SHUTDOWN_SECONDS = 60


class DockerBackend:
    """See `klife.testing.cluster_backend.Backend` for what each method promises."""

    def __init__(self, spec: ClusterSpec) -> None:
        self._spec = spec
        self._host = ""
        self._ports: dict[str, dict[int, int]] = {}  # of the host, by listener
        self._folder: Path | None = None
        self._containers: dict[int, Any] = {}
        self._network: Any = None
        self.secure: SecureListeners | None = None

    def up(self) -> None:
        if self._spec.proxies:
            raise BackendUnavailable("proxies= is only there for brokers from Kafka's jars")
        if release(self._spec.version) < FIRST_IMAGE:
            raise BackendUnavailable(f"there is no image {IMAGE} of Kafka before 3.7.0, and {self._spec.version} is wanted")
        call_in_thread(self._up)

    def down(self) -> None:
        call_in_thread(self._down)

    def addresses(self, listener: str) -> dict[int, str]:
        return {node_id: f"{self._host}:{port}" for node_id, port in self._ports.get(listener, {}).items()}

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
        self._ports = self._free_ports()
        self._folder = folder = Path(tempfile.mkdtemp(prefix="klife-kafka-"))
        folder.chmod(0o755)  # the image's broker is a user of its own, and reads what is mounted
        if self._spec.is_secure:
            from klife.testing.cluster_security import SecureListeners

            self.secure = SecureListeners(self._spec, folder)
        self._network = Network().create()
        cluster_id = kafka_uuid()
        for node_id in self._spec.broker_ids:
            properties = folder / f"node-{node_id}" / "server.properties"
            properties.parent.mkdir()
            properties.write_text(properties_text(self._properties(node_id)))
            container = DockerContainer(f"{IMAGE}:{self._spec.version}")
            container.with_network(self._network).with_network_aliases(_alias(node_id))
            for listener, ports in self._ports.items():
                container.with_bind_ports(PORTS[listener], ports[node_id])
            container.with_volume_mapping(str(properties.parent), PROPERTIES_FOLDER, "ro")
            if self.secure is not None:
                container.with_volume_mapping(str(folder), str(folder), "ro")  # the properties name files by their paths here
            container.with_envs(CLUSTER_ID=cluster_id, KAFKA_HEAP_OPTS="-Xms256m -Xmx512m")
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
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _ended(self) -> dict[int, str]:
        ended = {}
        for node_id in self._containers:
            container = self._container(node_id)
            container.reload()
            if container.status in ("exited", "dead"):
                ended[node_id] = f"exited with status {container.attrs['State']['ExitCode']}"
        return ended

    def _properties(self, node_id: int) -> dict[str, object]:
        listeners = [*self._spec.listeners, "INTERNAL", "CONTROLLER"]
        advertised = {listener: f"{self._host}:{ports[node_id]}" for listener, ports in self._ports.items()}
        advertised["INTERNAL"] = f"{_alias(node_id)}:{PORTS['INTERNAL']}"
        return {
            "process.roles": "broker,controller",
            "node.id": node_id,
            "controller.quorum.voters": ",".join(f"{voter}@{_alias(voter)}:{PORTS['CONTROLLER']}" for voter in self._spec.broker_ids),
            "controller.listener.names": "CONTROLLER",
            "listeners": listener_addresses({name: f"0.0.0.0:{PORTS[name]}" for name in listeners}),
            "advertised.listeners": listener_addresses(advertised),
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": listener_protocols(listeners),
            **broker_properties(self._spec.brokers),
            **({} if self.secure is None else self.secure.properties(node_id)),
            **self._spec.config,
        }

    def _free_ports(self) -> dict[str, dict[int, int]]:
        """Ports of the host that are free now: the advertised addresses must be known before the containers
        start, which can then find them taken.
        """
        names, ids = self._spec.listeners, self._spec.broker_ids
        if self._spec.port is not None:
            wanted = iter(range(self._spec.port, self._spec.port + len(names) * len(ids)))
            return {name: {node_id: next(wanted) for node_id in ids} for name in names}
        with contextlib.ExitStack() as probes:  # held together: each is another
            return {name: {node_id: _free_port(probes) for node_id in ids} for name in names}


def _alias(node_id: int) -> str:
    return f"kafka-{node_id}"


def _free_port(probes: contextlib.ExitStack) -> int:
    probe = probes.enter_context(socket.socket())
    probe.bind(("", 0))
    port: int = probe.getsockname()[1]
    return port
