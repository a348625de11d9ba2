"""Coordinators of transactions that move: each is the leader of a partition of the log in which the transactions
are kept, and the next replica of that becomes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gevent import get_hub

from klife.admin import AdminClient, Partition
from klife.errors import AdminError
from klife.testing.cluster import KafkaCluster
from tests.support.waiting import wait_until

LOG = "__transaction_state"
_CALL_MS = 5_000


def coordinators(bootstrap_servers: str) -> dict[int, int | None]:
    """Who leads each partition of the log. The log is there once somebody has asked for a coordinator."""
    with AdminClient(bootstrap_servers) as admin:
        return {each.index: each.leader for each in admin.describe_topics([LOG])[LOG]}


def move_coordinators(bootstrap_servers: str) -> dict[int, int]:
    """Have each partition be led by the next of its replicas in sync, by another preference and an election
    (KIP-455, KIP-460); returns whom it asked for.

    Raises AdminError where the brokers do not answer, or refuse.
    """
    with AdminClient(bootstrap_servers) as admin:
        partitions = admin.describe_topics([LOG])[LOG]
    wanted = {each.index: _in_turn(each) for each in partitions}
    get_hub().threadpool.apply(_prefer, (bootstrap_servers, wanted))
    return {index: replicas[0] for index, replicas in wanted.items()}


def wait_for_moved_coordinators(cluster: KafkaCluster, patience: float) -> None:
    """As `move_coordinators`, again and again, until one has moved."""
    before = coordinators(cluster.bootstrap_servers)

    def have_moved() -> bool:
        move_coordinators(cluster.bootstrap_servers)
        return coordinators(cluster.bootstrap_servers) != before

    wait_until(have_moved, patience)


def _in_turn(partition: Partition) -> list[int]:
    """Its replicas, from the one behind its leader on; those in sync first."""
    leader = partition.leader or 0
    return sorted(partition.replicas, key=lambda replica: (replica not in partition.in_sync, replica <= leader, replica))


def _prefer(servers: str, wanted: Mapping[int, Sequence[int]]) -> None:
    from kafka import KafkaAdminClient, TopicPartition  # type: ignore[import-untyped]  # its import warns of what is deprecated
    from kafka.errors import KafkaError  # type: ignore[import-untyped]

    try:
        admin = KafkaAdminClient(bootstrap_servers=servers.split(","), request_timeout_ms=_CALL_MS, bootstrap_timeout_ms=_CALL_MS)
    except KafkaError as error:
        raise AdminError(f"no broker was reached: {error!r}") from error
    try:
        told = admin.alter_partition_reassignments({TopicPartition(LOG, index): list(replicas) for index, replicas in wanted.items()})
        refused = [error for error in told.values() if error is not None]
        if refused:
            raise AdminError(f"the replicas can not be put in another order: {refused[0]!r}")
        admin.elect_leaders(0, {LOG: list(wanted)}, timeout_ms=_CALL_MS, raise_errors=False)
    except KafkaError as error:
        raise AdminError(f"the coordinators were not moved: {error!r}") from error
    finally:
        admin.close()
