"""The ZooKeeper of a cluster of Kafka before 3.3: one more process from the same jars, kept beside the
brokers.

    FOLDER/zookeeper/zookeeper.properties   zookeeper.log   data/

A broker is live as long as ZooKeeper has its session, whose end is what moves the leaders of a broker that
was killed. One that is started again sooner finds the registration of its predecessor, and exits: so a start
waits until that is gone.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import gevent.socket

from klife.testing.cluster_errors import ClusterError
from klife.testing.cluster_processes import wait_until
from klife.testing.jars import release

if TYPE_CHECKING:
    from collections.abc import Callable

    from klife.testing.cluster_processes import ProcessKeeper
    from klife.testing.cluster_spec import ClusterSpec

FIRST_WITHOUT = (3, 3, 0)
"""The release in which KRaft was declared ready for production (KIP-833)."""

NAME = "zookeeper"
# A session lasts at least two ticks, and ZooKeeper looks for ended ones once a tick.
TICK_MS = 500
SESSION_MS = 3000
FORGET_TIMEOUT_SECONDS = 30
ASK_TIMEOUT_SECONDS = 5


def needs_zookeeper(spec: ClusterSpec) -> bool:
    """Whether brokers of this release are run with ZooKeeper; `process.roles` among their properties asks for
    KRaft all the same.
    """
    return release(spec.version) < FIRST_WITHOUT and "process.roles" not in spec.config


class ZooKeeper:
    """One ZooKeeper server on 127.0.0.1, which `keeper` owns."""

    def __init__(self, keeper: ProcessKeeper) -> None:
        self._keeper = keeper
        self._folder = keeper.folder / NAME
        (self._port,) = keeper.reserve_ports([0])

    def start(self, java_command: Callable[..., list[str]]) -> None:
        """Start the server; brokers may start meanwhile, and connect when it serves."""
        self._folder.mkdir()
        properties = {
            "dataDir": self._folder / "data",
            "clientPortAddress": "127.0.0.1",
            "clientPort": self._port,
            "tickTime": TICK_MS,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",  # an HTTP server on port 8080
            "4lw.commands.whitelist": "dump",
        }
        path = self._folder / "zookeeper.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        command = java_command("-Xmx128m", main="org.apache.zookeeper.server.ZooKeeperServerMain")
        self._keeper.spawn(NAME, [*command, str(path)], self._folder / "zookeeper.log")

    def broker_properties(self, node_id: int) -> dict[str, object]:
        """What makes a broker one of this ZooKeeper's."""
        return {
            "broker.id": node_id,
            "zookeeper.connect": f"127.0.0.1:{self._port}",
            "zookeeper.session.timeout.ms": SESSION_MS,
            "zookeeper.connection.timeout.ms": FORGET_TIMEOUT_SECONDS * 1000,
        }

    def wait_until_forgotten(self, node_id: int) -> None:
        """Return when no session of this broker's is left; ClusterError when ZooKeeper keeps it for longer
        than a session lasts.
        """
        if not wait_until(lambda: f"/brokers/ids/{node_id}\n" not in self._dump(), FORGET_TIMEOUT_SECONDS):
            raise ClusterError(f"ZooKeeper still has a session of broker {node_id} after {FORGET_TIMEOUT_SECONDS} s")

    def check(self) -> None:
        """Raise ClusterError, with the end of its log, when the server has ended."""
        if (status := self._keeper.exit_status(NAME)) is not None:
            end = "\n".join((self._folder / "zookeeper.log").read_text(errors="replace").splitlines()[-10:])
            raise ClusterError(f"ZooKeeper ended by itself, with status {status}; the end of its log:\n{end}")

    def _dump(self) -> str:
        """ZooKeeper's list of sessions and what they hold; nothing where it does not answer yet, and so has
        none.
        """
        answer = b""
        with contextlib.suppress(OSError), gevent.socket.create_connection(("127.0.0.1", self._port), ASK_TIMEOUT_SECONDS) as sock:
            sock.sendall(b"dump")
            sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(65536):
                answer += data
        return answer.decode(errors="replace")
