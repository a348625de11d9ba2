"""`KafkaCluster`: real Kafka brokers for tests, demos and benchmarks, as a context manager.

    with KafkaCluster(brokers=3) as cluster:
        cluster.create_topic("orders", partitions=6, replication_factor=3)
        client = Client.start(cluster.bootstrap_servers)
        cluster.kill(2)          # SIGKILL; stop(2) is a controlled shutdown, pause(2) a stall
        cluster.start(2)         # returns when broker 2 serves again

Where the brokers come from, the first of these that is there:

1. `KLIFE_TEST_BOOTSTRAP=host:port,...` in the environment: a cluster that runs already. Its brokers cannot be killed or paused
from here.
2. Kafka's jars, resolved by Maven and cached, and Java 17: brokers are processes on 127.0.0.1. Ready in some 7 s on two quiet
cores.
3. A container engine, through testcontainers.

Nothing is left running or on disk: not after the `with` block, not after Ctrl-C, and not when this process is killed. Broker
logs survive a failure: an exception that leaves the `with` block, and a failed start, name the folder they were copied to.
Waiting lets other greenlets run; gevent monkey patching makes no difference. A forked child may use the addresses, and cannot
steer the brokers or take them down.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import gevent.socket

from klife.testing.cluster_backend import ClusterSpec
from klife.testing.cluster_errors import BackendUnavailable, ClusterError
from klife.testing.cluster_jars import JarsBackend
from klife.testing.cluster_processes import wait_until
from klife.testing.jars import full_version

if TYPE_CHECKING:
    from types import TracebackType

    from klife.testing.cluster_backend import Backend

__all__ = ["BackendUnavailable", "ClusterError", "KafkaCluster"]

READY_TIMEOUT_SECONDS = 90.0

BackendName = Literal["external", "jars", "docker"]


class KafkaCluster:
    """A Kafka cluster that is up inside its `with` block, or between `up()` and `down()`.

    `version` is a release or a series ("4.3", "3.9"; None is the newest tried). `config` are broker properties over those of
    `klife.testing.cluster_backend.broker_properties`. `port` is the first broker's port, the next broker has the next; free ones
    by default. `backend` forces one way of running Kafka. Broker ids are 1, 2, ... Raises ValueError for a listener that is not
    available.
    """

    def __init__(
        self,
        brokers: int = 3,
        version: str | None = None,
        listeners: Sequence[str] = ("PLAINTEXT",),
        *,
        config: Mapping[str, object] | None = None,
        port: int | None = None,
        backend: BackendName | None = None,
    ) -> None:
        if brokers < 1:
            raise ValueError(f"brokers must be 1 or more, not {brokers}")
        if unavailable := [name for name in listeners if name != "PLAINTEXT"]:
            raise ValueError(f"listeners {unavailable} are not available yet; only 'PLAINTEXT' is")
        self._spec = ClusterSpec(brokers, full_version(version), tuple(listeners), dict(config or {}), port)
        self._backend: Backend = JarsBackend(self._spec)
        self._owner = os.getpid()
        self._up = False
        self._stopped: set[int] = set()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        # Ctrl-C, SystemExit and a skipped test are BaseExceptions: nothing failed.
        if isinstance(error, Exception) and self._up and os.getpid() == self._owner:
            error.add_note(f"The Kafka brokers' logs are kept in {self.keep_logs()}")
        self.down()

    def up(self, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Start the brokers and return when all of them serve.

        ClusterError, naming the kept logs, when they do not within `timeout` seconds.
        """
        if self._up:
            raise ClusterError("the cluster is up already")
        try:
            self._backend.up()
            self._up = True
            self.wait_until_ready(timeout)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End the brokers and remove everything. Does nothing when the cluster is down, or in a forked child."""
        if os.getpid() == self._owner:
            self._up = False
            self._backend.down()

    @property
    def broker_ids(self) -> tuple[int, ...]:
        """The ids of all brokers, running or not."""
        return tuple(self._spec.broker_ids)

    @property
    def bootstrap_servers(self) -> str:
        """`host:port,host:port,...` of all brokers, as clients take it."""
        return self.bootstrap_servers_for("PLAINTEXT")

    def bootstrap_servers_for(self, listener: str) -> str:
        """The same for one listener."""
        if listener not in self._spec.listeners:
            raise ValueError(f"this cluster has the listeners {', '.join(self._spec.listeners)}, and no {listener!r}")
        self._check_up()
        return ",".join(self._backend.addresses(listener).values())

    def kill(self, node_id: int) -> None:
        """SIGKILL: the broker is gone at once, as in a crash. Its leaders move after `broker.session.timeout.ms`, 3 s here."""
        self._check(node_id)
        self._backend.kill(node_id)
        self._stopped.add(node_id)

    def stop(self, node_id: int) -> None:
        """A controlled shutdown: its leaders move first. Returns when the broker has ended."""
        self._check(node_id)
        self._backend.stop(node_id)
        self._stopped.add(node_id)

    def start(self, node_id: int, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Start a killed or stopped broker again, with its data and port, and return when it serves."""
        self._check(node_id)
        if node_id not in self._stopped:
            raise ClusterError(f"broker {node_id} runs already")
        self._backend.start(node_id)
        self._stopped.discard(node_id)
        self.wait_until_ready(timeout)

    def pause(self, node_id: int) -> None:
        """Freeze the broker (SIGSTOP): its connections stay open and nothing answers. It is fenced after its session, 3 s here."""
        self._check(node_id)
        self._backend.pause(node_id)

    def resume(self, node_id: int) -> None:
        """End a `pause`."""
        self._check(node_id)
        self._backend.resume(node_id)

    def wait_until_ready(self, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Return when every broker that should run serves;

        ClusterError, naming the kept logs, when one does not within `timeout` seconds.
        """
        self._check_up()
        waiting = {
            node_id: address for node_id, address in self._backend.addresses("PLAINTEXT").items() if node_id not in self._stopped
        }

        def all_serve() -> bool:
            if failed := {node_id: how for node_id, how in self._backend.ended().items() if node_id in waiting}:
                raise ClusterError(f"brokers ended while starting: {failed}; their logs are kept in {self.keep_logs()}")
            for node_id, address in list(waiting.items()):
                if _accepts(address):
                    del waiting[node_id]
            return not waiting

        if not wait_until(all_serve, timeout):
            raise ClusterError(
                f"brokers {sorted(waiting)} are not ready after {timeout:g} s; their logs are kept in {self.keep_logs()}"
            )

    def keep_logs(self) -> Path:
        """Copy the brokers' logs to a new folder that outlives the cluster; the folder."""
        self._check_up()
        folder = Path(tempfile.mkdtemp(prefix=time.strftime("kafka-logs-%H%M%S-")))
        self._backend.save_logs(folder)
        return folder

    def _check_up(self) -> None:
        if not self._up:
            raise ClusterError("the cluster is not up: call up(), or use it inside its `with` block")

    def _check(self, node_id: int) -> None:
        self._check_up()
        if node_id not in self.broker_ids:
            raise ValueError(f"there is no broker {node_id!r}: the ids are {', '.join(map(str, self.broker_ids))}")


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        gevent.socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
