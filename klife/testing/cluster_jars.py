"""Brokers as plain Java processes, from Kafka's jars: combined broker and controller nodes (KRaft) on
127.0.0.1. Before Kafka 3.3, where KRaft was a preview, they are brokers of a ZooKeeper beside them
(`klife.testing.cluster_zookeeper`).

    FOLDER/log4j2.xml   log4j.properties   tmp/   format.log   node-1/server.properties   node-1/server.log
    node-1/data/ node-2/...   zookeeper/   certificates/

The folder lies below the system's temporary directory and belongs to a `ProcessKeeper`, so that neither it
nor a broker outlives this process.

Formatting (KIP-631: `meta.properties` and `bootstrap.checkpoint` in each log directory) costs a JVM, more
than a second each. `bootstrap.checkpoint` holds the initial feature levels, the same for each node;
`meta.properties` holds the ids. So one node is formatted by Kafka's StorageTool, and the others get its
checkpoint and a `meta.properties` of their own. Kafka before 3.3 has no such levels, and writes no
checkpoint. With ZooKeeper there is nothing to format.

Every JVM maps Kafka's classes from a file, once there is one (`klife.testing.shared_classes`).

KAFKA_JVM_PERFORMANCE_OPTS in the environment adds options of the JVM's, as it does for Kafka's own scripts.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from klife.testing import shared_classes
from klife.testing.cluster_backend import broker_properties, kafka_uuid
from klife.testing.cluster_errors import BackendUnavailable, ClusterError
from klife.testing.cluster_processes import ProcessKeeper
from klife.testing.cluster_properties import listener_addresses, listener_protocols, properties_text
from klife.testing.cluster_zookeeper import ZooKeeper, needs_zookeeper
from klife.testing.jars import kafka_jars
from klife.testing.java import find_java

if TYPE_CHECKING:
    from klife.testing.cluster_security import SecureListeners
    from klife.testing.cluster_spec import ClusterSpec

FORMAT_TIMEOUT_SECONDS = 60
CONTROLLED_SHUTDOWN_SECONDS = 60

LOG4J2 = """<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.common.config" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""

# Kafka 3 logs through reload4j, which reads the older notation.
LOG4J1 = """log4j.rootLogger=INFO, out
log4j.logger.org.apache.kafka.common.config=WARN
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
"""

HEAP_OPTIONS = ("-Xms256m", "-Xmx512m")
# A killed JVM leaves its /tmp/hsperfdata file behind.
JVM_OPTIONS = ("-XX:-UsePerfData",)
OPTIONS_VARIABLE = "KAFKA_JVM_PERFORMANCE_OPTS"


class JarsBackend:
    """See `klife.testing.cluster_backend.Backend` for what each method promises. Brokers that are stopped write
    their classes to `write_classes`, if that is given; of several, one would write over the other's.
    """

    def __init__(self, spec: ClusterSpec, write_classes: Path | None = None) -> None:
        self._spec = spec
        self._write_classes = write_classes
        self._class_options: list[str] = []
        self._keeper: ProcessKeeper | None = None
        self._java = ""
        self._jars = Path()
        self._ports: dict[str, dict[int, int]] = {}  # by listener, with CONTROLLER
        self._zookeeper: ZooKeeper | None = None
        self.secure: SecureListeners | None = None

    def up(self) -> None:
        self._java = find_java()
        self._jars = kafka_jars(self._spec.version)
        if self._write_classes is None:
            self._class_options = shared_classes.options_for(self._java, self._spec.version, self._spec.brokers, JarsBackend)
        self._keeper = ProcessKeeper(Path(tempfile.mkdtemp(prefix="klife-kafka-")))
        self._reserve_ports(self._keeper)
        if self._spec.is_secure:
            from klife.testing.cluster_security import SecureListeners

            self.secure = SecureListeners(self._spec, self.folder)
        self._zookeeper = ZooKeeper(self._keeper) if needs_zookeeper(self._spec) else None
        (self.folder / "tmp").mkdir()
        (self.folder / "log4j2.xml").write_text(LOG4J2)
        (self.folder / "log4j.properties").write_text(LOG4J1)
        for node_id in self._spec.broker_ids:
            self._node(node_id).mkdir()
            (self._node(node_id) / "server.properties").write_text(properties_text(self._properties(node_id)))
        if self._zookeeper is None:
            self._format()
        else:
            self._zookeeper.start(self._java_command)
        for node_id in self._spec.broker_ids:
            self.start(node_id)

    def down(self) -> None:
        if self._keeper is not None:
            self._keeper.close()

    def addresses(self, listener: str) -> dict[int, str]:
        return {node_id: f"127.0.0.1:{port}" for node_id, port in self._ports.get(listener, {}).items()}

    def kill(self, node_id: int) -> None:
        self._running().signal(_name(node_id), signal.SIGKILL)
        self._running().wait(_name(node_id), timeout=10)

    def stop(self, node_id: int) -> None:
        self._running().signal(_name(node_id), signal.SIGTERM)
        if self._running().wait(_name(node_id), CONTROLLED_SHUTDOWN_SECONDS) is None:
            raise ClusterError(
                f"broker {node_id} did not stop within {CONTROLLED_SHUTDOWN_SECONDS} s; is it paused? resume() it, or kill() it"
            )

    def start(self, node_id: int) -> None:
        if self._zookeeper is not None:
            self._zookeeper.wait_until_forgotten(node_id)
        node = self._node(node_id)
        writing = [] if self._write_classes is None else [f"-XX:ArchiveClassesAtExit={self._write_classes}"]
        command = self._java_command(*HEAP_OPTIONS, *writing, main="kafka.Kafka")
        self._running().spawn(_name(node_id), [*command, str(node / "server.properties")], node / "server.log")

    def pause(self, node_id: int) -> None:
        self._running().signal(_name(node_id), signal.SIGSTOP)

    def resume(self, node_id: int) -> None:
        self._running().signal(_name(node_id), signal.SIGCONT)

    def ended(self) -> dict[int, str]:
        statuses = {node_id: self._running().exit_status(_name(node_id)) for node_id in self._spec.broker_ids}
        if self._zookeeper is not None:
            self._zookeeper.check()  # behind them, for without it brokers end, too: then it is the reason
        return {node_id: _describe(status) for node_id, status in statuses.items() if status is not None}

    def log(self, node_id: int) -> bytes:
        log = self._node(node_id) / "server.log"
        return log.read_bytes() if log.exists() else b""

    @property
    def folder(self) -> Path:
        """Where everything of this cluster is; it exists between `up` and `down`."""
        return self._running().folder

    def _running(self) -> ProcessKeeper:
        if self._keeper is None:
            raise ClusterError("the cluster is not up: call up(), or use it inside its `with` block")
        return self._keeper

    def _reserve_ports(self, keeper: ProcessKeeper) -> None:
        """Where the first port is given, each broker's port of a listener is the one after its
        predecessor's.
        """
        count, first = self._spec.brokers, self._spec.port
        names = [*self._spec.listeners, "CONTROLLER"]
        wanted = [0] * count * len(names)
        if first is not None:
            given = count * len([name for name in names if name not in ("PROXIED", "CONTROLLER")])
            wanted[:given] = range(first, first + given)
        ports = iter(keeper.reserve_ports(wanted))
        self._ports = {name: {node_id: next(ports) for node_id in self._spec.broker_ids} for name in names}

    def _node(self, node_id: int) -> Path:
        return self.folder / f"node-{node_id}"

    def _properties(self, node_id: int) -> dict[str, object]:
        return {
            **(self._quorum(node_id) if self._zookeeper is None else self._zookeeper.broker_properties(node_id)),
            **self._listeners(node_id),
            "log.dirs": self._node(node_id) / "data",
            **broker_properties(self._spec.brokers),
            **({} if self.secure is None else self.secure.properties(node_id)),
            **self._spec.config,
        }

    def _quorum(self, node_id: int) -> dict[str, object]:
        return {
            "process.roles": "broker,controller",
            "node.id": node_id,
            "controller.quorum.voters": ",".join(f"{voter}@127.0.0.1:{port}" for voter, port in self._ports["CONTROLLER"].items()),
            "controller.listener.names": "CONTROLLER",
        }

    def _listeners(self, node_id: int) -> dict[str, object]:
        """The listeners and their addresses.

        Brokers answer a client with the addresses advertised on the listener that it came in by (KIP-103): on
        PROXIED, the proxies'.
        """
        bound = {name: f"127.0.0.1:{ports[node_id]}" for name, ports in self._ports.items()}
        advertised = {name: address for name, address in bound.items() if name != "CONTROLLER"}
        if self._spec.proxies:
            advertised["PROXIED"] = self._spec.proxies[node_id]
        if self._zookeeper is not None:
            del bound["CONTROLLER"]
        return {
            "listeners": listener_addresses(bound),
            "advertised.listeners": listener_addresses(advertised),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": listener_protocols(bound),
        }

    def _format(self) -> None:
        first, *others = self._spec.broker_ids
        cluster_id = kafka_uuid()
        log = self.folder / "format.log"
        command = self._java_command(main="kafka.tools.StorageTool")
        properties = self._node(first) / "server.properties"
        self._running().spawn("format", [*command, "format", "-t", cluster_id, "-c", str(properties)], log)
        if self._running().wait("format", FORMAT_TIMEOUT_SECONDS) != 0:
            output = log.read_text(errors="replace")
            if "UnsupportedClassVersionError" in output:
                raise BackendUnavailable(f"{self._java} is too old for Kafka {self._spec.version}; Kafka 4 needs Java 17 or newer")
            why = "\n".join(line for line in output.splitlines() if not line.startswith("\tat "))  # without the stack trace
            raise ClusterError(
                f"the brokers' storage cannot be formatted; is a property of config= wrong, or {OPTIONS_VARIABLE}?\n{why}"
            )
        checkpoint = self._node(first) / "data" / "bootstrap.checkpoint"
        for node_id in others:
            data = self._node(node_id) / "data"
            data.mkdir()
            if checkpoint.exists():
                shutil.copyfile(checkpoint, data / checkpoint.name)
            meta = {"version": 1, "cluster.id": cluster_id, "node.id": node_id, "directory.id": kafka_uuid()}
            (data / "meta.properties").write_text("".join(f"{name}={value}\n" for name, value in meta.items()))

    def _java_command(self, *options: str, main: str) -> list[str]:
        return [
            self._java,
            *JVM_OPTIONS,
            *options,
            *self._class_options,
            *_options_of_the_environment(),
            # Native compression libraries unpack themselves there, and a killed JVM does not remove them.
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
            f"-Dlog4j.configuration=file:{self.folder / 'log4j.properties'}",
            "-cp",
            f"{self._jars}/*",
            main,
        ]


def _options_of_the_environment() -> list[str]:
    try:
        return shlex.split(os.environ.get(OPTIONS_VARIABLE, ""))
    except ValueError as error:
        raise ClusterError(f"{OPTIONS_VARIABLE} cannot be read as a shell would read it: {error}") from error


def _name(node_id: int) -> str:
    return f"node-{node_id}"


def _describe(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
