"""What a way of running Kafka must offer.

Three ways exist: `cluster_jars` (processes from Kafka's jars), `cluster_docker` (containers),
`cluster_external` (one that runs already). They know how to begin and end brokers; readiness, topics and
in-sync waits are asked of the brokers themselves, once for all, in `klife.testing.cluster`.
"""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from klife.testing.cluster_security import SecureListeners


class Backend(Protocol):
    """One way of running Kafka. Methods raise ClusterError; every verb but `up` and `down` is about one
    broker.
    """

    secure: SecureListeners | None
    """What secure listeners need, from `up` on; None where there are none."""

    def up(self) -> None:
        """Begin all brokers, without waiting until they are ready. BackendUnavailable when this way is not
        there.
        """

    def down(self) -> None:
        """End everything and leave nothing behind. Safe to call at any time, also after a failed `up`."""

    def addresses(self, listener: str) -> dict[int, str]:
        """`host:port` of that listener, by broker id."""

    def kill(self, node_id: int) -> None: ...

    def stop(self, node_id: int) -> None: ...

    def start(self, node_id: int) -> None: ...

    def pause(self, node_id: int) -> None: ...

    def resume(self, node_id: int) -> None: ...

    def ended(self) -> dict[int, str]:
        """Brokers that have ended, and how; a broker that stopped by itself during a start means that the
        start failed.
        """

    def log(self, node_id: int) -> bytes:
        """All that the broker has logged, over its restarts; empty where it cannot be had."""


def broker_properties(brokers: int) -> dict[str, object]:
    """Settings that make a cluster quick to fail over and small, whichever way it runs. Overridden by the
    user's `config`.
    """
    replicas = min(brokers, 3)
    min_in_sync = 2 if brokers >= 3 else 1
    return {
        "default.replication.factor": replicas,
        "min.insync.replicas": min_in_sync,
        "auto.create.topics.enable": "false",
        # Kafka's own topics: 50 partitions each by default, which a failing-over test cluster has to move for
        # nothing.
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": min_in_sync,
        "transaction.state.log.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": min_in_sync,
        "share.coordinator.state.topic.num.partitions": 3,
        "group.initial.rebalance.delay.ms": 0,
        # A dead broker is noticed after its session: 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # Records are kept, whatever their timestamps: by default those that claim to be a week old are
        # deleted within minutes.
        "log.retention.ms": -1,
        # An idle cluster takes a third of the processor time that it does by default: its controller writes a
        # record of nothing twice a second, and each of 22 threads of a broker looks for work three times a
        # second.
        "metadata.max.idle.interval.ms": 0,
        "num.io.threads": 3,
        "num.network.threads": 2,
        # The log cleaner takes 128 MiB of heap at once by default.
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
    }


def kafka_uuid() -> str:
    """A random id in Kafka's notation.

    That is 16 bytes in URL-safe base64 without padding; none with a leading dash, which tools take for an
    option.
    """
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        pass
    return text
