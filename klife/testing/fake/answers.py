"""What the brokers of a `FakeCluster` answer to each request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from time import monotonic
from typing import Any

from klife.protocol.apis.add_partitions_to_txn import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopicResult,
)
from klife.protocol.apis.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey
from klife.protocol.apis.create_partitions import CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult
from klife.protocol.apis.create_topics import CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse
from klife.protocol.apis.delete_topics import DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionState
from klife.protocol.apis.end_txn import EndTxnRequest, EndTxnResponse
from klife.protocol.apis.fetch import AbortedTransaction, FetchableTopicResponse, FetchRequest, FetchResponse, PartitionData
from klife.protocol.apis.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.list_offsets import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from klife.protocol.apis.list_transactions import ListTransactionsRequest, ListTransactionsResponse
from klife.protocol.apis.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from klife.protocol.apis.produce import (
    LeaderIdAndEpoch,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from klife.protocol.error_codes import ErrorCode
from klife.protocol.message import Response
from klife.testing.fake.server import Cut, NotYet
from klife.testing.fake.state import State
from klife.testing.fake.topics import Partition, Topic

_HEADER = Struct(">hhih")
_HOST = "127.0.0.1"
_COORDINATOR_LISTS_FROM = 4
_V2_PRODUCE_FROM = 12  # from there on a batch adds its partition to the transaction (KIP-890)
_V2_END_FROM = 5
_MOST_BYTES = 1_048_588  # of a batch: Kafka's default for message.max.bytes
_TRANSACTION_COORDINATOR = 1
_NO_ID = bytes(16)


@dataclass
class Exchange:
    """A request, as a broker got it."""

    cluster: State
    node_id: int
    request: Any
    version: int
    began: float  # monotonic seconds


def answered(cluster: State, node_id: int, frame: bytes, began: float) -> bytes | NotYet | None:
    """The answer to a request, with its header; None where none is wanted.

    Raises:
        Cut: the request is not one of these brokers', or its answer is lost.
    """
    key, version, correlation_id, length = _HEADER.unpack_from(frame)
    number: bytes = correlation_id.to_bytes(4, "big", signed=True)
    request: Any = _REQUESTS.get(key)
    if request is ApiVersionsRequest and version > request.MAX_VERSION:  # in the layout of version 0 (KIP-511)
        answer: bytes = _api_versions(Exchange(cluster, node_id, None, 0, began), ErrorCode.UNSUPPORTED_VERSION).encode(0)
        return number + answer
    if request is None or not request.MIN_VERSION <= version <= request.MAX_VERSION:
        raise Cut
    start = _HEADER.size + max(length, 0)
    flexible = version >= request.FLEXIBLE_FROM
    body = request.decode(frame, version, start + flexible)
    response = _ANSWERS[request](Exchange(cluster, node_id, body, version, began))
    if not isinstance(response, Response):
        waiting: NotYet | None = response
        return waiting
    tagged = flexible and request is not ApiVersionsRequest
    header = number + (b"\0" if tagged else b"")
    encoded: bytes = response.encode(version)
    return header + encoded


def _api_versions(exchange: Exchange, code: int = 0) -> ApiVersionsResponse:
    level = FinalizedFeatureKey(name="transaction.version", max_version_level=2, min_version_level=2)
    return ApiVersionsResponse(
        error_code=code,
        api_keys=[
            ApiVersion(api_key=each.API_KEY, min_version=each.MIN_VERSION, max_version=each.MAX_VERSION) for each in _REQUESTS.values()
        ],
        finalized_features_epoch=1,
        finalized_features=[level],
    )


# topics


def _metadata(exchange: Exchange) -> MetadataResponse:
    cluster, request = exchange.cluster, exchange.request
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=each, host=_HOST, port=cluster.ports[each]) for each in cluster.alive],
        cluster_id="fake",
        controller_id=min(cluster.alive, default=-1),
        topics=[_described(topic) for topic in cluster.topics.values()]
        if request.topics is None
        else [_asked_for(exchange, asked.name, asked.topic_id) for asked in request.topics],
    )


def _asked_for(exchange: Exchange, name: str | None, topic_id: bytes) -> MetadataResponseTopic:
    cluster = exchange.cluster
    topic = cluster.find(name, topic_id)
    if topic is None and name is None:
        return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
    if topic is None and exchange.request.allow_auto_topic_creation and cluster.auto_create_partitions:
        topic = cluster.add_topic(str(name), cluster.auto_create_partitions)
    if topic is None:
        return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name=name)
    return _described(topic)


def _described(topic: Topic) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        error_code=0,
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            MetadataResponsePartition(
                error_code=0 if partition.leader >= 0 else ErrorCode.LEADER_NOT_AVAILABLE,
                partition_index=index,
                leader_id=partition.leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=[partition.leader],
                isr_nodes=[partition.leader],
            )
            for index, partition in enumerate(topic.partitions)
        ],
    )


def _create_topics(exchange: Exchange) -> CreateTopicsResponse:
    cluster = exchange.cluster
    results = []
    for asked in exchange.request.topics:
        code = ErrorCode.TOPIC_ALREADY_EXISTS if asked.name in cluster.topics else 0
        if not code and not exchange.request.validate_only:
            cluster.add_topic(asked.name, max(asked.num_partitions, 1))
        topic_id = cluster.topics[asked.name].topic_id if asked.name in cluster.topics and not code else _NO_ID
        results.append(CreatableTopicResult(name=asked.name, topic_id=topic_id, error_code=code, error_message=None, configs=[]))
    return CreateTopicsResponse(topics=results)


def _delete_topics(exchange: Exchange) -> DeleteTopicsResponse:
    request, cluster = exchange.request, exchange.cluster
    asked = [(name, _NO_ID) for name in request.topic_names] + [(each.name, each.topic_id) for each in request.topics]
    results = []
    for name, topic_id in asked:
        topic = cluster.find(name, topic_id)
        if topic is not None:
            del cluster.topics[topic.name]
        code = 0 if topic is not None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        results.append(DeletableTopicResult(name=name if topic is None else topic.name, topic_id=topic_id, error_code=code))
    return DeleteTopicsResponse(responses=results)


def _create_partitions(exchange: Exchange) -> CreatePartitionsResponse:
    results = []
    for asked in exchange.request.topics:
        topic = exchange.cluster.topics.get(asked.name)
        code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if topic is None else 0
        if topic is not None and asked.count <= len(topic.partitions):
            code = ErrorCode.INVALID_PARTITIONS
        elif topic is not None and not exchange.request.validate_only:
            exchange.cluster.grow(topic, asked.count)
        results.append(CreatePartitionsTopicResult(name=asked.name, error_code=code))
    return CreatePartitionsResponse(results=results)


# producing


def _init_producer_id(exchange: Exchange) -> InitProducerIdResponse:
    request, cluster = exchange.request, exchange.cluster
    if request.transactional_id is None:
        return InitProducerIdResponse(error_code=0, producer_id=cluster.next_producer_id(), producer_epoch=0)
    if cluster.coordinator.renewal_refused(request.transactional_id, request.producer_id, request.producer_epoch):
        return InitProducerIdResponse(error_code=ErrorCode.PRODUCER_FENCED)
    own = cluster.coordinator.initialise(request.transactional_id, request.transaction_timeout_ms)
    return InitProducerIdResponse(error_code=0, producer_id=own.producer_id, producer_epoch=own.epoch)


def _produce(exchange: Exchange) -> ProduceResponse | None:
    responses = []
    for data in exchange.request.topic_data:
        topic = exchange.cluster.find(data.name or None, data.topic_id)
        name, topic_id = (topic.name, topic.topic_id) if topic is not None else (data.name, data.topic_id)
        answers = [_write(exchange, topic, each.index, bytes(each.records or b"")) for each in data.partition_data]
        responses.append(TopicProduceResponse(name=name, topic_id=topic_id, partition_responses=answers))
    if exchange.cluster.faults.loses_answer():
        raise Cut
    return None if exchange.request.acks == 0 else ProduceResponse(responses=responses)


def _write(exchange: Exchange, topic: Topic | None, index: int, data: bytes) -> PartitionProduceResponse:
    partition = topic.partitions[index] if topic is not None and index < len(topic.partitions) else None
    if topic is None or partition is None:
        return PartitionProduceResponse(index=index, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, base_offset=-1)
    if partition.leader != exchange.node_id:
        now = LeaderIdAndEpoch(leader_id=partition.leader, leader_epoch=partition.leader_epoch)
        refused = ErrorCode.NOT_LEADER_OR_FOLLOWER
        return PartitionProduceResponse(index=index, error_code=refused, base_offset=-1, current_leader=now)
    if len(data) > _MOST_BYTES:
        return PartitionProduceResponse(index=index, error_code=ErrorCode.MESSAGE_TOO_LARGE, base_offset=-1)
    failure = exchange.cluster.faults.next_failure(topic.name, index)
    code, offset = 0, -1
    if failure is None or failure.persisted:
        code, offset = _append(exchange, partition, data)
    if failure is not None:
        code, offset = failure.code, -1
    return PartitionProduceResponse(index=index, error_code=code, base_offset=offset, log_append_time_ms=-1)


def _append(exchange: Exchange, partition: Partition, data: bytes) -> tuple[int, int]:
    name = exchange.request.transactional_id
    if name is not None:
        producer_id, epoch = partition.identity_of(data)
        code = exchange.cluster.coordinator.refusal(name, producer_id, epoch, partition, adds=exchange.version >= _V2_PRODUCE_FROM)
        if code:
            return code, -1
    return partition.append(data)


# transactions


def _find_coordinator(exchange: Exchange) -> FindCoordinatorResponse:
    cluster, request = exchange.cluster, exchange.request
    node_id = min(cluster.alive, default=-1)
    code = 0 if request.key_type == _TRANSACTION_COORDINATOR and node_id >= 0 else ErrorCode.COORDINATOR_NOT_AVAILABLE
    port = cluster.ports[node_id] if not code else -1
    if exchange.version < _COORDINATOR_LISTS_FROM:
        return FindCoordinatorResponse(error_code=code, error_message=None, node_id=node_id, host=_HOST, port=port)
    found = [
        Coordinator(key=key, node_id=node_id, host=_HOST, port=port, error_code=code, error_message=None)
        for key in request.coordinator_keys
    ]
    return FindCoordinatorResponse(coordinators=found)


def _add_partitions(exchange: Exchange) -> AddPartitionsToTxnResponse:
    request, cluster = exchange.request, exchange.cluster
    named = [(topic.name, index) for topic in request.v3_and_below_topics for index in topic.partitions]
    found = [cluster.partition(name, index) for name, index in named]
    code = cluster.coordinator.add(
        request.v3_and_below_transactional_id,
        request.v3_and_below_producer_id,
        request.v3_and_below_producer_epoch,
        [each for each in found if each is not None],
    )
    results: dict[str, AddPartitionsToTxnTopicResult] = {}
    for (name, index), partition in zip(named, found, strict=True):
        result = AddPartitionsToTxnPartitionResult(
            partition_index=index, partition_error_code=code if partition is not None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        )
        results.setdefault(name, AddPartitionsToTxnTopicResult(name=name)).results_by_partition.append(result)
    return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=list(results.values()))


def _end_txn(exchange: Exchange) -> EndTxnResponse:
    code, own = exchange.cluster.coordinator.end(exchange.request, is_v2=exchange.version >= _V2_END_FROM)
    following = (own.producer_id, own.epoch) if own is not None and exchange.version >= _V2_END_FROM else (-1, -1)
    return EndTxnResponse(error_code=code, producer_id=following[0], producer_epoch=following[1])


def _describe_transactions(exchange: Exchange) -> DescribeTransactionsResponse:
    states = []
    for name in exchange.request.transactional_ids:
        code, state, own = exchange.cluster.coordinator.described(name)
        described = TransactionState(error_code=code, transactional_id=name, transaction_state=state)
        described.transaction_timeout_ms, described.transaction_start_time_ms = own.timeout_ms, -1
        described.producer_id, described.producer_epoch = own.producer_id, own.epoch
        states.append(described)
    return DescribeTransactionsResponse(transaction_states=states)


def _list_transactions(_exchange: Exchange) -> ListTransactionsResponse:
    return ListTransactionsResponse(error_code=0)  # markers are written at once: none is ever ending


# reading


def _list_offsets(exchange: Exchange) -> ListOffsetsResponse:
    topics = []
    for asked in exchange.request.topics:
        answers = []
        for each in asked.partitions:
            partition = exchange.cluster.partition(asked.name, each.partition_index)
            code: int = 0
            offset, timestamp = -1, -1
            if partition is None:
                code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            elif partition.leader != exchange.node_id:
                code = ErrorCode.NOT_LEADER_OR_FOLLOWER
            else:
                offset, timestamp = _offset(partition, each.timestamp, committed_only=exchange.request.isolation_level == 1)
            answers.append(
                ListOffsetsPartitionResponse(
                    partition_index=each.partition_index, error_code=code, timestamp=timestamp, offset=offset, leader_epoch=-1
                )
            )
        topics.append(ListOffsetsTopicResponse(name=asked.name, partitions=answers))
    return ListOffsetsResponse(topics=topics)


def _offset(partition: Partition, timestamp: int, *, committed_only: bool) -> tuple[int, int]:
    if timestamp == LATEST_TIMESTAMP:
        return (partition.stable_end if committed_only else partition.end), -1
    return (0, -1) if timestamp == EARLIEST_TIMESTAMP else partition.offset_for(timestamp)


def _fetch(exchange: Exchange) -> FetchResponse | NotYet:
    request, cluster = exchange.request, exchange.cluster
    due = exchange.began + request.max_wait_ms / 1000
    responses, size, wrong = [], 0, False
    for asked in request.topics:
        topic = cluster.find(asked.topic or None, asked.topic_id)
        name, topic_id = (topic.name, topic.topic_id) if topic is not None else (asked.topic, asked.topic_id)
        data = [_fetched(exchange, topic, each) for each in asked.partitions]
        size += sum(len(each.records or b"") for each in data)
        wrong = wrong or any(each.error_code for each in data)
        responses.append(FetchableTopicResponse(topic=name, topic_id=topic_id, partitions=data))
    if size < max(request.min_bytes, 1) and not wrong and monotonic() < due:
        return NotYet(due)
    return FetchResponse(error_code=0, session_id=0, responses=responses)


def _fetched(exchange: Exchange, topic: Topic | None, asked: Any) -> PartitionData:
    index = asked.partition
    partition = topic.partitions[index] if topic is not None and index < len(topic.partitions) else None
    if partition is None or partition.leader != exchange.node_id:
        code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if partition is None else ErrorCode.NOT_LEADER_OR_FOLLOWER
        return PartitionData(partition_index=index, error_code=code, high_watermark=-1, records=b"", aborted_transactions=None)
    committed_only = exchange.request.isolation_level == 1
    code, records = partition.fetched(asked.fetch_offset, asked.partition_max_bytes, committed_only=committed_only)
    aborted = [AbortedTransaction(producer_id=each, first_offset=first) for each, first in partition.aborted(asked.fetch_offset)]
    return PartitionData(
        partition_index=index,
        error_code=code,
        high_watermark=partition.end,
        last_stable_offset=partition.stable_end,
        log_start_offset=0,
        aborted_transactions=aborted if committed_only else None,
        records=records,
    )


_ANSWERS: dict[Any, Callable[[Exchange], Any]] = {
    AddPartitionsToTxnRequest: _add_partitions,
    ApiVersionsRequest: _api_versions,
    CreatePartitionsRequest: _create_partitions,
    CreateTopicsRequest: _create_topics,
    DeleteTopicsRequest: _delete_topics,
    DescribeTransactionsRequest: _describe_transactions,
    EndTxnRequest: _end_txn,
    FetchRequest: _fetch,
    FindCoordinatorRequest: _find_coordinator,
    InitProducerIdRequest: _init_producer_id,
    ListOffsetsRequest: _list_offsets,
    ListTransactionsRequest: _list_transactions,
    MetadataRequest: _metadata,
    ProduceRequest: _produce,
}
_REQUESTS: dict[int, Any] = {request.API_KEY: request for request in _ANSWERS}
