"""What the brokers know of transactions, and how one is ended from outside (KIP-664).

Two places know of a transaction: the coordinator of its id, and the leader of each partition it wrote to. As
a rule the first ends what the second waits for. Where no coordinator knows of it any more, it *hangs*: readers
of committed records get nothing behind it, for good. `abort_transaction` has the coordinator end one, which
fences its producer; `abort_hanging` writes the end of one that hangs into its partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import gevent

from klife.admin.client import AdminClient
from klife.admin.reach import RETRY_SECONDS
from klife.admin.values import Broker
from klife.errors import AdminError
from klife.protocol.apis.describe_producers import DescribeProducersRequest, TopicRequest
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest
from klife.protocol.apis.find_coordinator import TRANSACTION, FindCoordinatorRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest
from klife.protocol.apis.list_transactions import ListTransactionsRequest
from klife.protocol.apis.write_txn_markers import WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest
from klife.protocol.error_codes import ErrorCode, describe, is_retriable
from klife.protocol.errors import DecodeError, UnsupportedVersion

OPEN_STATES = ("Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence")
TIMEOUT_SECONDS = 30.0
ABORT = False  # a marker's `transaction_result`
_ONE_KEY = 3  # FindCoordinator asks for one id up to this version

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transactional id, as its coordinator knows it. What only an open transaction has is None, or empty."""

    transactional_id: str
    state: str  # Kafka's word: Empty, Ongoing, PrepareCommit, CompleteCommit, ...
    producer_id: int
    coordinator: int
    producer_epoch: int | None = None
    started_ms: int | None = None  # milliseconds since 1970
    timeout_ms: int | None = None
    partitions: tuple[tuple[str, int], ...] = ()

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


@dataclass(frozen=True, slots=True)
class OpenInPartition:
    """A transaction that is open in a partition. `transaction` is what a coordinator knows of it; None: it
    hangs.
    """

    topic: str
    partition: int
    start_offset: int
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    last_write_ms: int = field(compare=False)  # milliseconds since 1970
    transaction: Transaction | None = None


def list_transactions(admin: AdminClient) -> list[Transaction]:
    """All transactional ids that the live brokers coordinate; the open transactions first, the oldest of them
    at the top.
    """
    found = [transaction for broker in admin.brokers() for transaction in _coordinated_by(admin, broker)]
    return sorted(found, key=lambda each: (not each.is_open, each.started_ms or 0, each.transactional_id))


def open_in_topic(admin: AdminClient, topic: str) -> list[OpenInPartition]:
    """The transactions that are open in the partitions of a topic, by partition and offset."""
    # The leaders are asked before and after the coordinators: what was open all the time hangs if none of
    # these knew of it meanwhile. Asked once, one that began or ended in between would seem to hang.
    before = _open_in_partitions(admin, topic)
    known = {(each.producer_id, place): each for each in list_transactions(admin) if each.is_open for place in each.partitions}
    still = sorted(before & _open_in_partitions(admin, topic), key=lambda each: (each.partition, each.start_offset))
    return [replace(each, transaction=known.get((each.producer_id, (topic, each.partition)))) for each in still]


def _open_in_partitions(admin: AdminClient, topic: str) -> set[OpenInPartition]:
    partitions = admin.describe_topics([topic])[topic]
    if leaderless := [each.index for each in partitions if each.leader is None]:
        raise AdminError(f"partitions {leaderless} of {topic!r} have no leader, which would know what is open in them")
    brokers = {broker.node_id: broker for broker in admin.brokers()}
    found: set[OpenInPartition] = set()
    for leader in {each.leader for each in partitions if each.leader is not None}:
        led = [each.index for each in partitions if each.leader == leader]
        found.update(_open_at(admin, _address_of(brokers, leader), topic, led))
    return found


def abort_transaction(admin: AdminClient, transactional_id: str) -> Transaction:
    """Have the coordinator abort what is open under the id. Its producer is fenced, as by a new producer of
    that id. Return what was open.

    Raises:
        AdminError: nothing is open under it, or the brokers refuse.
    """
    before = next((each for each in list_transactions(admin) if each.transactional_id == transactional_id), None)
    if before is None or not before.is_open:
        state = "no broker knows it" if before is None else f"it is {before.state}"
        raise AdminError(f"nothing is open under the transactional id {transactional_id!r}: {state}")
    # Another timeout than it had: by that a producer of ours knows that it was not a request of its own which came late.
    timeout_ms = max(before.timeout_ms - 1, 1) if before.timeout_ms else 60_000
    request = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=timeout_ms)

    def fence() -> tuple[int, None]:
        return admin.send(request, _coordinator(admin, transactional_id)).error_code, None

    _until_done(f"abort the transaction of {transactional_id!r}", fence)
    return before


def abort_hanging(admin: AdminClient, hanging: OpenInPartition) -> None:
    """Write an abort marker for a transaction that hangs, at its partition's leader.

    Raises:
        AdminError: a coordinator knows of it, and would write a marker too; or the brokers refuse.
    """
    if hanging.transaction is not None:
        raise AdminError(
            f"the transaction does not hang: it is {hanging.transaction.state} under the transactional id "
            f"{hanging.transaction.transactional_id!r}; abort it by that"
        )
    write_abort_marker(admin, hanging)


def write_abort_marker(admin: AdminClient, found: OpenInPartition) -> None:
    """Write an abort marker, whoever else may write one."""
    marker = WritableTxnMarker(
        producer_id=found.producer_id,
        producer_epoch=found.producer_epoch,
        transaction_result=ABORT,
        topics=[WritableTxnMarkerTopic(name=found.topic, partition_indexes=[found.partition])],
        coordinator_epoch=max(found.coordinator_epoch, 0),  # -1: none has written to the partition yet
    )

    def write() -> tuple[int, None]:
        [leader] = [each.leader for each in admin.describe_topics([found.topic])[found.topic] if each.index == found.partition]
        if leader is None:
            return ErrorCode.LEADER_NOT_AVAILABLE, None
        address = _address_of({broker.node_id: broker for broker in admin.brokers()}, leader)
        [result] = admin.send(WriteTxnMarkersRequest(markers=[marker]), address).markers
        return result.topics[0].partitions[0].error_code, None

    _until_done(f"write the end of the transaction to {found.topic}-{found.partition}", write)


def _coordinated_by(admin: AdminClient, broker: Broker) -> list[Transaction]:
    def ask() -> tuple[int, list[Transaction]]:
        response = admin.send(ListTransactionsRequest(), broker.address)
        return response.error_code, [
            Transaction(each.transactional_id, each.transaction_state, each.producer_id, broker.node_id)
            for each in response.transaction_states
        ]

    listed = _until_done(f"list the transactions of broker {broker.node_id}", ask)
    open_ids = [each.transactional_id for each in listed if each.is_open]
    details = _described(admin, broker, open_ids) if open_ids else {}
    return [details.get(each.transactional_id, each) for each in listed]


def _described(admin: AdminClient, broker: Broker, ids: Sequence[str]) -> dict[str, Transaction]:
    """What more is known of some ids. One that cannot be described (it ended, or moved) is left out."""

    def ask() -> tuple[int, dict[str, Transaction]]:
        response = admin.send(DescribeTransactionsRequest(transactional_ids=list(ids)), broker.address)
        return ErrorCode.NONE, {
            each.transactional_id: Transaction(
                transactional_id=each.transactional_id,
                state=each.transaction_state,
                producer_id=each.producer_id,
                coordinator=broker.node_id,
                producer_epoch=each.producer_epoch,
                started_ms=each.transaction_start_time_ms if each.transaction_start_time_ms >= 0 else None,
                timeout_ms=each.transaction_timeout_ms,
                partitions=tuple(sorted((topic.topic, index) for topic in each.topics for index in topic.partitions)),
            )
            for each in response.transaction_states
            if each.error_code == ErrorCode.NONE
        }

    return _until_done(f"describe the transactions of broker {broker.node_id}", ask)


def _open_at(admin: AdminClient, address: str, topic: str, partitions: Sequence[int]) -> list[OpenInPartition]:
    def ask() -> tuple[int, list[OpenInPartition]]:
        request = DescribeProducersRequest(topics=[TopicRequest(name=topic, partition_indexes=list(partitions))])
        [answer] = admin.send(request, address).topics
        code = next((each.error_code for each in answer.partitions if each.error_code), ErrorCode.NONE)
        return code, [
            OpenInPartition(
                topic,
                each.partition_index,
                producer.current_txn_start_offset,
                producer.producer_id,
                producer.producer_epoch,
                producer.coordinator_epoch,
                producer.last_timestamp,
            )
            for each in answer.partitions
            for producer in each.active_producers
            if producer.current_txn_start_offset >= 0
        ]

    return _until_done(f"learn who writes to {topic!r}", ask)


def _coordinator(admin: AdminClient, transactional_id: str) -> str:
    def ask() -> tuple[int, str]:
        request = FindCoordinatorRequest(key=transactional_id, key_type=TRANSACTION)
        found = admin.send(request, admin.brokers()[0].address, max_version=_ONE_KEY)
        return found.error_code, Broker(found.node_id, found.host, found.port).address

    return _until_done(f"find the coordinator of {transactional_id!r}", ask)


def _until_done(what: str, ask: Callable[[], tuple[int, T]]) -> T:
    """What `ask` returns beside the error code 0; asked again while brokers are away, or say that it passes."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            code, found = ask()
        except UnsupportedVersion as error:
            raise AdminError(f"cannot {what}: the brokers tell of transactions since Kafka 3.0 ({error})") from None
        except (OSError, DecodeError) as error:
            problem, code = str(error), int(ErrorCode.NETWORK_EXCEPTION)
        else:
            if code == ErrorCode.NONE:
                return found
            problem = describe(code)
        if not is_retriable(code) or time.monotonic() > deadline:
            raise AdminError(f"cannot {what}: {problem}", code)
        gevent.sleep(RETRY_SECONDS)


def _address_of(brokers: dict[int, Broker], node_id: int) -> str:
    if node_id not in brokers:
        raise AdminError(f"broker {node_id} is not there")
    return brokers[node_id].address
