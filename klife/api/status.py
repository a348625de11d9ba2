"""What `status()`, `partitions()` and `stop()` return: frozen values, safe to keep, to print and to compare."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Literal

from klife.actors.engine import Engine
from klife.actors.metadata.snapshot import TopicInfo
from klife.actors.network.broker import Broker
from klife.actors.producer.status import ProducerStatus
from klife.actors.transactions.status import TxnPoolStatus

ConnectionState = Literal["disconnected", "connecting", "negotiating", "authenticating", "ready", "reauthenticating"]


@dataclass(frozen=True, slots=True)
class StopReport:
    """What became of the records of a client that was stopped, over its whole life.

    `undelivered` are those `stop` had to leave without the brokers' confirmation; `failed` those that had
    failed by themselves. Records that an abort dropped before they were sent are in none of them.
    """

    delivered: int
    failed: int
    undelivered: int


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A partition as the cluster last told: the leader's node id (None for nobody) and its epoch, replicas
    and in-sync replicas.
    """

    topic: str
    partition: int
    leader: int | None
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """A broker, or an address of `bootstrap_servers` (`node_id` None): its connection's state, and how much
    went over it.

    `purpose` tells apart several connections to one broker: "requests" for the one that all use, "transactions
    2" to "transactions 4" for those that are opened while transactions overlap.
    """

    node_id: int | None
    address: str
    state: ConnectionState
    in_flight: int
    requests_sent: int
    connects: int
    last_error: str | None
    purpose: str


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """A client at one moment. Times are seconds since 1970."""

    name: str
    state: Literal["connecting", "running", "unreachable", "closed"]
    cluster_id: str | None
    brokers: tuple[BrokerStatus, ...]
    topics: tuple[str, ...]
    producers: tuple[ProducerStatus, ...]
    txn_pools: tuple[TxnPoolStatus, ...]
    buffered_bytes: int
    max_buffered_bytes: int
    waiting_for_buffer: int
    last_answer: float | None
    unreachable_since: float | None
    oldest_unsettled: float | None


def client_status(engine: Engine) -> ClientStatus:
    """The engine as a frozen value."""
    shares: dict[str, Any] = {"txn_pools": ()}  # where no part has some
    for part in engine.parts:
        shares |= part.status()
    offset = time() - monotonic()
    unreachable_since = engine.health.unreachable_since
    return ClientStatus(
        name=engine.name,
        state=_state(engine, unreachable_since),
        cluster_id=engine.metadata.snapshot.cluster_id,
        brokers=tuple(_broker(broker) for broker in list(engine.metadata.brokers.values())),
        topics=tuple(engine.metadata.snapshot.topics),
        last_answer=_plus(engine.health.last_answer, offset),
        unreachable_since=_plus(unreachable_since, offset),
        oldest_unsettled=_plus(engine.oldest_unsettled, offset),
        **shares,
    )


def _state(engine: Engine, unreachable_since: float | None) -> Literal["connecting", "running", "unreachable", "closed"]:
    if engine.closing:
        return "closed"
    if not engine.metadata.snapshots_seen:
        return "connecting"
    return "running" if unreachable_since is None else "unreachable"


def _plus(monotonic_time: float | None, offset: float) -> float | None:
    return None if monotonic_time is None else round(monotonic_time + offset, 3)


def partition_statuses(info: TopicInfo) -> tuple[PartitionStatus, ...]:
    """A topic's partitions as frozen values."""
    return tuple(
        PartitionStatus(
            topic=info.name,
            partition=partition,
            leader=leader if leader >= 0 else None,
            leader_epoch=info.leader_epochs[partition],
            replicas=info.replicas[partition],
            isr=info.isr[partition],
        )
        for partition, leader in enumerate(info.leaders)
    )


def stop_report(engine: Engine) -> StopReport:
    """The report of an engine that has ended."""
    return StopReport(
        delivered=sum(part.delivered for part in engine.parts),
        failed=sum(part.failed for part in engine.parts) - engine.undelivered,
        undelivered=engine.undelivered,
    )


def _broker(broker: Broker) -> BrokerStatus:
    return BrokerStatus(
        node_id=broker.told_id,
        address=broker.address,
        state=broker.connection.state.value,
        in_flight=len(broker.calls),
        requests_sent=broker.requests_sent,
        connects=broker.connects,
        last_error=broker.trouble,
        purpose=broker.purpose.value,
    )
