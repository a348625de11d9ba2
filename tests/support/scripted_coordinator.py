"""A transaction coordinator for a `ScriptedCluster`: epochs and states as Kafka's, markers written at once.

with ScriptedCluster() as cluster:
    coordinator = ScriptedCoordinator(cluster, is_v2=True)
    ...
    coordinator.ended                       # True for each commit, False for each abort
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from klife.protocol.apis.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
)
from klife.protocol.apis.api_versions import ApiVersionsRequest, FinalizedFeatureKey
from klife.protocol.apis.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from klife.protocol.apis.end_txn import EndTxnRequest, EndTxnResponse
from klife.protocol.apis.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import ProduceRequest
from tests.support.model_cluster import ProducerEntry
from tests.support.scripted_broker import Exchange, ScriptedCluster, Step

_LISTS_FROM = 4  # the version of FindCoordinator


@dataclass
class Id:
    """A transactional id."""

    producer_id: int
    epoch: int = -1
    repeats: int | None = None  # the epoch that an InitProducerId renewed last, until something else happens
    state: str = "Empty"
    timeout_ms: int = 60_000  # as it was initialised with
    partitions: set[tuple[str, int]] = field(default_factory=set)  # of what is open


class ScriptedCoordinator:
    """Broker 1, as the coordinator of all transactional ids. Leaders ask it whether a transaction is open, unless
    they do not (`verifies`), as before Kafka 3.6.
    """

    def __init__(self, cluster: ScriptedCluster, *, is_v2: bool, verifies: bool = True) -> None:
        self.cluster = cluster
        self.is_v2 = is_v2
        self.verifies = verifies
        if verifies:
            for broker in cluster.brokers.values():
                broker.versions[AddPartitionsToTxnRequest] = (0, 5)
        self.ids: dict[str, Id] = {}
        self.ended: list[bool] = []
        self._usual = dict(cluster.answers)
        cluster.answers |= {
            ApiVersionsRequest: self._features,
            FindCoordinatorRequest: self._find,
            InitProducerIdRequest: self._init,
            AddPartitionsToTxnRequest: self._add,
            ProduceRequest: self._produce,
            EndTxnRequest: self._end,
            DescribeTransactionsRequest: self._describe,
        }

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open."""
        return any(each.state == "Ongoing" for each in self.ids.values())

    def forget_repeats(self) -> None:
        """Take no InitProducerId for one that comes again, as a coordinator that has just read its state."""
        for own in self.ids.values():
            own.repeats = None

    def time_out(self) -> None:
        """Abort what is open, as at its timeout."""
        [opened] = [each for each in self.ids.values() if each.state == "Ongoing"]
        opened.epoch += not self.is_v2
        self._complete(opened, False)

    def take_over(self, commits: bool) -> None:
        """Another process takes the ids, and ends a transaction of its own under each."""
        for own in self.ids.values():
            own.timeout_ms = 60_000
            own.epoch += 2 if own.state == "Ongoing" else 1
            own.repeats = None
            self._complete(own, commits)

    def _complete(self, own: Id, commits: bool) -> None:
        self.ended.append(commits)
        own.state = "CompleteCommit" if commits else "CompleteAbort"
        own.epoch += self.is_v2
        own.repeats = None
        self._write_markers(own, own.epoch)

    def _write_markers(self, own: Id, epoch: int) -> None:
        """From them leaders learn of `epoch`."""
        for topic, partition in own.partitions:
            known = self.cluster.topics[topic].partitions[partition].producers
            if own.producer_id not in known or known[own.producer_id].epoch < epoch:
                known[own.producer_id] = ProducerEntry(epoch)
        own.partitions.clear()

    def _features(self, exchange: Exchange) -> Any:
        response = self._usual[ApiVersionsRequest](exchange)
        if self.is_v2:
            response.finalized_features_epoch = 1
            level = FinalizedFeatureKey(name="transaction.version", max_version_level=2, min_version_level=2)
            response.finalized_features = [level]
        return response

    def _find(self, exchange: Exchange) -> FindCoordinatorResponse:
        port, host = self.cluster[1].port, self.cluster.host
        found = [Coordinator(key=key, node_id=1, host=host, port=port, error_code=0) for key in exchange.request.coordinator_keys]
        if exchange.version >= _LISTS_FROM:
            return FindCoordinatorResponse(coordinators=found)
        return FindCoordinatorResponse(error_code=0, node_id=1, host=host, port=port)

    def _init(self, exchange: Exchange) -> Any:
        request = exchange.request
        if request.transactional_id is None:
            return self._usual[InitProducerIdRequest](exchange)
        own = self.ids.setdefault(request.transactional_id, Id(7000 + len(self.ids)))
        # In v2 the epoch before the current one is that of a transaction whose end was not heard of.
        allowed = (own.epoch - 1, own.epoch) if self.is_v2 else (own.epoch,)
        renews = request.producer_id == own.producer_id
        if own.state == "Ongoing" and renews and (request.producer_epoch != own.epoch or not self.is_v2):
            own.epoch += not self.is_v2
            self._complete(own, False)  # Kafka's coordinator ends what is open before it looks at the epoch
            return InitProducerIdResponse(error_code=51)
        if request.producer_id >= 0 and own.repeats == request.producer_epoch:  # its answer was lost (KIP-360)
            return InitProducerIdResponse(error_code=0, producer_id=own.producer_id, producer_epoch=own.epoch)
        if request.producer_id >= 0 and request.producer_epoch not in allowed:
            return InitProducerIdResponse(error_code=90)
        if own.state == "Ongoing":
            self._complete(own, False)
        own.repeats = request.producer_epoch if request.producer_id >= 0 else None
        own.epoch += 1
        own.state = "Empty"
        own.timeout_ms = request.transaction_timeout_ms
        return InitProducerIdResponse(error_code=0, producer_id=own.producer_id, producer_epoch=own.epoch)

    def _add(self, exchange: Exchange) -> AddPartitionsToTxnResponse:
        own = self.ids[exchange.request.v3_and_below_transactional_id]
        if exchange.request.v3_and_below_producer_epoch != own.epoch:
            return added(exchange, 90)
        own.state = "Ongoing"
        for topic in exchange.request.v3_and_below_topics:
            own.partitions.update((topic.name, partition) for partition in topic.partitions)
        return added(exchange, 0)

    def _produce(self, exchange: Exchange) -> Any:
        if exchange.request.transactional_id is None:
            return self.cluster.produce(exchange)
        own = self.ids[exchange.request.transactional_id]
        if not self.verifies:
            return self.cluster.produce(exchange)
        if any(epoch != own.epoch for _, _, epoch, _ in exchange.numbers):
            return self.cluster.produce(exchange, {None: 47})
        if self.is_v2:
            own.state = "Ongoing"
        return self.cluster.produce(exchange, None if own.state == "Ongoing" else {None: 120})

    def _end(self, exchange: Exchange) -> EndTxnResponse:
        request = exchange.request
        own = self.ids[request.transactional_id]
        code = self._end_code(own, request)
        if not code and own.state == "Ongoing":
            self._complete(own, request.committed)
        following = (own.producer_id, own.epoch) if self.is_v2 and not code else (-1, -1)
        return EndTxnResponse(error_code=code, producer_id=following[0], producer_epoch=following[1])

    def _end_code(self, own: Id, request: Any) -> int:
        done = {"CompleteCommit": True, "CompleteAbort": False}
        if own.state == "Ongoing" and request.producer_epoch == own.epoch:
            return 0
        if own.state in done and request.producer_epoch == own.epoch - self.is_v2:
            return 0 if done[own.state] is request.committed else 48
        return 48 if request.producer_epoch == own.epoch else 90

    def _describe(self, exchange: Exchange) -> DescribeTransactionsResponse:
        states = []
        for name in exchange.request.transactional_ids:
            own = self.ids[name]
            state = TransactionState(
                error_code=0, transactional_id=name, transaction_state=own.state, transaction_timeout_ms=own.timeout_ms
            )
            state.transaction_start_time_ms, state.producer_id, state.producer_epoch = -1, own.producer_id, own.epoch
            states.append(state)
        return DescribeTransactionsResponse(transaction_states=states)


def added(exchange: Exchange, code: int) -> AddPartitionsToTxnResponse:
    """The answer to AddPartitionsToTxn with a code for each partition."""
    topics = []
    for topic in exchange.request.v3_and_below_topics:
        results = [AddPartitionsToTxnPartitionResult(partition_index=index, partition_error_code=code) for index in topic.partitions]
        topics.append(AddPartitionsToTxnTopicResult(name=topic.name, results_by_partition=results))
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=topics)


def refuse_end(code: int) -> Step:
    """Answer EndTxn with a code, having done nothing."""
    return lambda exchange: exchange.send(EndTxnResponse(error_code=code))


def refuse_adding(code: int) -> Step:
    """Answer AddPartitionsToTxn with a code for each partition, having done nothing."""
    return lambda exchange: exchange.send(added(exchange, code))
