"""`KafkaCluster`: real Kafka brokers for tests, demos and benchmarks, as a context manager.

    with KafkaCluster(brokers=3) as cluster:
        cluster.create_topic("orders", partitions=6, replication_factor=3)
        client = Client.start(cluster.bootstrap_servers)
        cluster.kill(2)          # SIGKILL; stop(2) is a controlled shutdown, pause(2) a stall
        cluster.start(2)         # returns when broker 2 serves again

Where the brokers come from, the first of these that is there:

1. `KLIFE_TEST_BOOTSTRAP=host:port,...` in the environment: a cluster that runs already. It is not ours to
   kill or pause.
2. Kafka's jars, resolved by Maven and cached, and Java 17: processes on 127.0.0.1. Ready in some 7 s on two
   quiet cores. Before Kafka 3.3 with a ZooKeeper beside them, unless `config` has `process.roles`: with
   "broker,controller" these run in KRaft mode, too.
3. A container engine, through testcontainers.

Nothing is left running or on disk: not after the `with` block, not after Ctrl-C, and not when this process is
killed. Broker logs survive a failure: an exception that leaves the `with` block, and a failed start, name the
folder they were copied to. Waiting lets other greenlets run; gevent monkey patching makes no difference. A
forked child may use the addresses, and cannot steer the brokers or take them down.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from klife.admin import AdminClient, AdminError, NewTopic, Partition
from klife.protocol.errors import DecodeError
from klife.testing.cluster_backend import Backend
from klife.testing.cluster_docker import DockerBackend
from klife.testing.cluster_errors import BackendUnavailable, ClusterError, NoSuchRelease
from klife.testing.cluster_external import ExternalBackend
from klife.testing.cluster_jars import JarsBackend
from klife.testing.cluster_processes import wait_until
from klife.testing.cluster_spec import LISTENERS, ClusterSpec
from klife.testing.jars import full_version

if TYPE_CHECKING:
    from types import TracebackType

    from klife.testing.certificates import Certificates
    from klife.testing.cluster_security import SecureListeners

__all__ = ["BackendUnavailable", "ClusterError", "KafkaCluster", "NoSuchRelease"]

READY_TIMEOUT_SECONDS = 90.0
TOPIC_TIMEOUT_SECONDS = 30.0

BackendName = Literal["external", "jars", "docker"]

WAYS: dict[BackendName, tuple[Callable[[ClusterSpec], Backend], str]] = {
    "external": (ExternalBackend, "a cluster that runs already, named by KLIFE_TEST_BOOTSTRAP=host:port,..."),
    "jars": (JarsBackend, "Kafka's jars: Java 17 or newer, and Maven to resolve them the first time"),
    "docker": (DockerBackend, "a container engine, through testcontainers"),
}
"""By name, in the order in which they are tried."""

LOGS_NOTE = "The Kafka brokers' logs are kept in "


class KafkaCluster:
    """A Kafka cluster that is up inside its `with` block, or between `up()` and `down()`.

    `version` is a release from 2.4 on, or a series ("4.3", "3.9"; None is the newest tried). `config` are
    broker properties over those of `klife.testing.cluster_backend.broker_properties`. `port` is the first
    broker's port, the next broker has the next, then come those of the next listener; free ones by default.
    `backend` forces one way of running Kafka. Broker ids are 1, 2, ... where the cluster is our own.

    `listeners` are PLAINTEXT, which is always there, SSL, SASL_PLAINTEXT and SASL_SSL (only with the jars).
    `bootstrap_servers_for` has the addresses of one, `tls_for` and `sasl_for` are what its clients need.

    `proxies` (`host:port` by broker id; only with the jars) adds a listener PROXIED, on which the brokers
    send their clients to these addresses. What listens there forwards to `bootstrap_servers_for("PROXIED")`,
    and can break connections on the way.

    Methods raise ClusterError for what the cluster cannot do, and ValueError for a broker or listener that is
    not there.
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
        proxies: Mapping[int, str] | None = None,
    ) -> None:
        if brokers < 1:
            raise ValueError(f"brokers must be 1 or more, not {brokers}")
        if unknown := [name for name in listeners if name not in LISTENERS]:
            raise ValueError(f"there is no listener {unknown[0]!r}: they are {', '.join(LISTENERS)}")
        if backend is not None and backend not in WAYS:
            raise ValueError(f"backend must be one of {', '.join(WAYS)}, not {backend!r}")
        if proxies and set(proxies) != set(range(1, brokers + 1)):
            raise ValueError(f"proxies names the brokers {sorted(proxies)}; it must have an address for each of 1 to {brokers}")
        names = tuple(dict.fromkeys(("PLAINTEXT", *listeners, *(["PROXIED"] if proxies else []))))
        self._spec = ClusterSpec(brokers, full_version(version), names, dict(config or {}), port, dict(proxies or {}))
        self._forced: BackendName | None = backend
        self._running: Backend | None = None
        self._owner = os.getpid()
        self._stopped: set[int] = set()
        self._paused: set[int] = set()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is not None:
            self._note_logs(error)
        self.down()

    def up(self, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Start the brokers and return when all of them serve.

        BackendUnavailable, saying what was missing, when Kafka can be run in none of the three ways;
        NoSuchRelease when there is no such version; ClusterError, naming the kept logs, when the brokers do
        not serve within `timeout` seconds.
        """
        if self._running is not None:
            raise ClusterError("the cluster is up already")
        self._owner = os.getpid()
        try:
            self._begin()
            self.wait_until_ready(timeout)
            self._make_users(timeout)
        except BaseException as error:
            self._note_logs(error)
            self.down()
            raise

    def down(self) -> None:
        """End the brokers and remove everything. Does nothing when the cluster is down, or in a forked child."""
        if self._running is not None and os.getpid() == self._owner:
            backend, self._running = self._running, None
            self._stopped.clear()
            self._paused.clear()
            backend.down()

    @property
    def version(self) -> str:
        """The release that was asked for. A cluster of KLIFE_TEST_BOOTSTRAP may be another."""
        return self._spec.version

    @property
    def broker_ids(self) -> tuple[int, ...]:
        """The ids of all brokers, running or not."""
        return tuple(self._backend.addresses("PLAINTEXT"))

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all brokers, "host:port,host:port,...", as clients take them."""
        return self.bootstrap_servers_for("PLAINTEXT")

    def bootstrap_servers_for(self, listener: str) -> str:
        """The same for one listener."""
        if listener not in self._spec.listeners:
            raise ValueError(f"this cluster has the listeners {', '.join(self._spec.listeners)}, and no {listener!r}")
        return ",".join(self._backend.addresses(listener).values())

    def tls_for(self, listener: str, **changes: object) -> dict[str, Any]:
        """The option `tls` for a client of this listener, as a dict with `changes`; None takes a setting out.

        It trusts the cluster's authority, and has a certificate where the listener asks for one.
        """
        return self._secure.tls_for(listener, changes)

    def sasl_for(self, mechanism: str, *, user: str = "klife", token_seconds: float = 3600.0) -> dict[str, Any]:
        """The option `sasl` for a client that authenticates by this mechanism, as one of two users: "klife",
        or "o,d=d", whose password has what must be quoted.

        For OAUTHBEARER it has a `token_provider`, whose tokens are good for `token_seconds`.
        """
        return self._secure.sasl_for(mechanism, user, token_seconds)

    @property
    def certificates(self) -> Certificates:
        """Makes more: for clients, of other authorities, and for brokers from their next start on."""
        return self._secure.certificates

    def kill(self, node_id: int) -> None:
        """SIGKILL: the broker is gone at once, as in a crash. Its leaders move when its session ends, after 3
        s.
        """
        self._check(node_id)
        self._backend.kill(node_id)
        self._paused.discard(node_id)
        self._stopped.add(node_id)

    def stop(self, node_id: int) -> None:
        """A controlled shutdown: its leaders move first. Returns when the broker has ended."""
        self._check(node_id)
        if node_id in self._paused:
            raise ClusterError(f"broker {node_id} is paused and cannot shut down by itself: resume() it first, or kill() it")
        self._backend.stop(node_id)
        self._stopped.add(node_id)

    def start(self, *node_ids: int, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Start killed or stopped brokers again, with their data and ports, and return when they serve.

        Start a majority at once when a majority was down: without a quorum of controllers, none gets ready.
        """
        for node_id in node_ids:
            self._check(node_id)
            if node_id not in self._stopped:
                raise ClusterError(f"broker {node_id} runs already")
        for node_id in node_ids:
            self._backend.start(node_id)
            self._stopped.discard(node_id)
        self.wait_until_ready(timeout)

    def pause(self, node_id: int) -> None:
        """Freeze the broker (SIGSTOP): its connections stay open and nothing answers. It is fenced when its
        session ends, after 3 s.
        """
        self._check(node_id)
        if node_id in self._stopped:
            raise ClusterError(f"broker {node_id} does not run")
        self._backend.pause(node_id)
        self._paused.add(node_id)

    def resume(self, node_id: int) -> None:
        """End a `pause`. The broker answers at once, and is back in sync some seconds later: see
        `wait_until_in_sync`.
        """
        self._check(node_id)
        if node_id not in self._paused:
            raise ClusterError(f"broker {node_id} is not paused")
        self._backend.resume(node_id)
        self._paused.discard(node_id)

    def create_topic(
        self, name: str, partitions: int = -1, replication_factor: int = -1, config: Mapping[str, object] | None = None
    ) -> None:
        """Create a topic; returns when every live broker knows all its partitions, each with a leader.

        -1 leaves the number to the brokers: one partition, replicated to three brokers or to as many as there
        are. AdminError, with Kafka's `error_code`, when the brokers refuse.
        """
        with self.admin() as admin:
            admin.create_topics([NewTopic(name, partitions, replication_factor, dict(config or {}))])

    def describe_topic(self, name: str) -> list[Partition]:
        """The topic's partitions, with their leaders and in-sync replicas, as a running broker sees them now."""
        with self.admin() as admin:
            return admin.describe_topics([name])[name]

    def admin(self, timeout: float = TOPIC_TIMEOUT_SECONDS) -> AdminClient:
        """A new AdminClient of the brokers that run; close it, or use it in a `with` block. ClusterError when
        none does.
        """
        serving = self._serving()
        if not serving:
            raise ClusterError("every broker is stopped or paused: none could be asked")
        return AdminClient(",".join(serving.values()), timeout=timeout)

    def wait_until_ready(self, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Return when every broker that should run answers, and knows all the others as live: registered and
        not fenced.
        """
        expected = self._serving()

        def ready() -> bool:
            if failed := {node_id: how for node_id, how in self._backend.ended().items() if node_id in expected}:
                raise ClusterError(f"brokers ended by themselves: {failed}")
            return all(expected.keys() <= admin.live_brokers(address) for address in expected.values())

        with self.admin() as admin:
            self._wait("are not all ready", ready, timeout)

    def wait_until_in_sync(self, timeout: float = READY_TIMEOUT_SECONDS) -> None:
        """Return when every partition has a leader, and all its replicas on brokers that should run are in
        sync.

        Call it after `start` or `resume` and before the next broker goes: with two of three replicas in sync,
        one may be lost.
        """
        expected = self._serving()

        def in_sync() -> bool:
            views = [admin.describe_topics(address=address) for address in expected.values()]
            partitions = [partition for view in views for topic in view.values() for partition in topic]
            return all(each.leader is not None and expected.keys() & set(each.replicas) <= set(each.in_sync) for each in partitions)

        with self.admin() as admin:
            self._wait("are not all in sync", in_sync, timeout)

    def log(self, node_id: int) -> str:
        """What the broker has logged since `up`, over its restarts."""
        self._check(node_id)
        return self._backend.log(node_id).decode(errors="replace")

    def keep_logs(self) -> Path:
        """Copy the brokers' logs to a new folder that outlives the cluster, `broker-1.log` and so on; the
        folder.
        """
        folder = Path(tempfile.mkdtemp(prefix=time.strftime("kafka-logs-%H%M%S-")))
        for node_id in self.broker_ids:
            (folder / f"broker-{node_id}.log").write_bytes(self._backend.log(node_id))
        return folder

    @property
    def _backend(self) -> Backend:
        if self._running is None:
            raise ClusterError("the cluster is not up: call up(), or use it inside its `with` block")
        return self._running

    @property
    def _secure(self) -> SecureListeners:
        if self._backend.secure is None:
            raise ValueError(f"this cluster has the listeners {', '.join(self._spec.listeners)}, and none with TLS or SASL")
        return self._backend.secure

    def _begin(self) -> None:
        missing = []
        for name, (way, description) in WAYS.items():
            if self._forced not in (None, name):
                continue
            self._running = way(self._spec)
            try:
                self._running.up()
            except BackendUnavailable as error:
                self.down()
                missing.append(f"- {description}: {error}")
            else:
                return
        tried = "none of the three ways to run Kafka is there" if self._forced is None else f"{self._forced!r} cannot run Kafka"
        raise BackendUnavailable(f"{tried}:\n" + "\n".join(missing))

    def _make_users(self, timeout: float) -> None:
        """Make the users that no property makes, and return when every broker knows them."""
        secure = self._backend.secure
        if secure is None or not secure.has_scram_users:
            return
        from klife.testing.cluster_users import know_scram_users, make_scram_users

        with self.admin() as admin:
            make_scram_users(admin)
            self._wait("do not all know the users", lambda: know_scram_users(admin, self._serving().values()), timeout)

    def _serving(self) -> dict[int, str]:
        """The addresses of the brokers that should answer."""
        addresses = self._backend.addresses("PLAINTEXT")
        return {node_id: address for node_id, address in addresses.items() if node_id not in self._stopped | self._paused}

    def _wait(self, what: str, condition: Callable[[], bool], timeout: float) -> None:
        problem = ""

        def holds() -> bool:
            nonlocal problem
            try:
                return condition()
            except (OSError, DecodeError, AdminError) as error:
                problem = f": {error}"
                return False

        if not wait_until(holds, timeout):
            raise ClusterError(f"the brokers {sorted(self._serving())} {what} after {timeout:g} s{problem}")

    def _note_logs(self, error: BaseException) -> None:
        # Ctrl-C, SystemExit and a skipped test are BaseExceptions: nothing failed.
        if not isinstance(error, Exception) or self._running is None or os.getpid() != self._owner:
            return
        noted = any(note.startswith(LOGS_NOTE) for note in getattr(error, "__notes__", ()))
        if not noted and any(self._running.log(node_id) for node_id in self.broker_ids):
            error.add_note(f"{LOGS_NOTE}{self.keep_logs()}")

    def _check(self, node_id: int) -> None:
        if node_id not in self.broker_ids:
            raise ValueError(f"there is no broker {node_id!r}: the ids are {', '.join(map(str, self.broker_ids))}")
