"""Brokers on real sockets that do as they are told: the other end for tests of connections, metadata and
producing.

    with ScriptedCluster(topics={"orders": 2}) as cluster:
        cluster[1].script(ProduceRequest, refuse(19), cut)      # the next two; after that, as a good broker
        would client = Client.start(cluster.bootstrap_servers) ... first, second, third =
        cluster[1].wait_for(ProduceRequest, 3)

A good broker answers ApiVersions, Metadata, InitProducerId and Produce; what is produced goes through the
rules of `model_cluster` (duplicates, sequences, epochs) into `cluster.log(topic, partition)`. Anything else
of a broker's life is a *step*: a function of an `Exchange`, which has the request and may answer it, or not,
in any way. Other APIs are added with `ScriptedCluster.answers`.

Built from our own codec: a mistake in that would go unnoticed here. That the codec is right is for the tests
of `klife.protocol`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from struct import Struct
from time import monotonic
from typing import Any, Self

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

from klife.protocol.api_keys import ApiKey
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from klife.protocol.apis.describe_configs import DescribeConfigsRequest
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.fetch import FetchRequest
from klife.protocol.apis.find_coordinator import FindCoordinatorRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from klife.protocol.apis.produce import (
    BatchIndexAndErrorMessage,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest, SaslHandshakeResponse
from klife.protocol.record_decode import RecordBatch, decode_batches
from tests.support.model_cluster import ModelPartition
from tests.support.scripted_sasl import ScriptedSasl

PATIENCE = 20.0  # seconds a test waits for what should come at once
_HEADER = Struct(">hhih")
_API_VERSIONS_KEY = 18
REQUESTS: dict[int, Any] = {
    request.API_KEY: request
    # Fetch is only advertised: librdkafka takes a broker without it for one from before the batch format of
    # Kafka 0.11.
    for request in (
        AddPartitionsToTxnRequest,
        ApiVersionsRequest,
        DescribeConfigsRequest,
        DescribeTransactionsRequest,
        EndTxnRequest,
        FetchRequest,
        FindCoordinatorRequest,
        InitProducerIdRequest,
        MetadataRequest,
        ProduceRequest,
        SaslAuthenticateRequest,
        SaslHandshakeRequest,
    )
}


class CutOff(Exception):
    """Ends the connection a step works on."""


@dataclass
class Exchange:
    """One request as a broker got it, and the ways to answer it."""

    broker: ScriptedBroker
    sock: Any
    connection: int
    request: Any
    version: int
    correlation_id: int
    client_id: str | None
    at: float  # monotonic seconds

    def good_answer(self) -> Any:
        """What a good broker answers, having done what it was asked; None for a request that wants no answer."""
        return self.broker.cluster.answers[type(self.request)](self)

    def frame(self, response: Any, *, version: int | None = None, correlation_id: int | None = None) -> bytes:
        """`response` as it goes over the wire."""
        version = self.version if version is None else version
        number = self.correlation_id if correlation_id is None else correlation_id
        tagged = version >= self.request.FLEXIBLE_FROM and self.request.API_KEY != _API_VERSIONS_KEY
        body = number.to_bytes(4, "big", signed=True) + (b"\0" if tagged else b"") + response.encode(version)
        return len(body).to_bytes(4, "big") + body

    def send(self, response: Any, **how: int) -> None:
        if response is not None:
            self.sock.sendall(self.frame(response, **how))

    @property
    def batches(self) -> list[tuple[str, int, RecordBatch]]:
        """Of a produce request: (topic, partition, batch) for each partition."""
        cluster = self.broker.cluster
        return [
            (cluster.topic_name(topic), data.index, decode_batches(bytes(data.records or b""))[0])
            for topic in self.request.topic_data
            for data in topic.partition_data
        ]

    @property
    def numbers(self) -> list[tuple[int, int, int, int]]:
        """Of a produce request: (partition, producer id, epoch, base sequence) for each partition."""
        return [(index, batch.producer_id, batch.producer_epoch, batch.base_sequence) for _, index, batch in self.batches]


Step = Callable[[Exchange], None]


# steps


def good(exchange: Exchange) -> None:
    """As a good broker does."""
    exchange.send(exchange.good_answer())


def silent(exchange: Exchange) -> None:
    """Never answer; the connection stays open."""


def controller(exchange: Exchange) -> None:
    """What a KRaft controller of Kafka 4.3 answers: no Metadata, no Produce."""
    response = exchange.good_answer()
    response.api_keys = [
        ApiVersion(api_key=key, min_version=lowest, max_version=highest)
        for key, lowest, highest in ((1, 4, 18), (18, 0, 4), (52, 0, 2), (60, 0, 2), (ApiKey.BROKER_REGISTRATION, 0, 4))
    ]
    exchange.send(response)


def cut(exchange: Exchange) -> None:
    """Close the connection without having done anything."""
    raise CutOff


def done_then_cut(exchange: Exchange) -> None:
    """Do what was asked, and close the connection before the answer."""
    exchange.good_answer()
    raise CutOff


def torn_after(size: int) -> Step:
    """Do what was asked, and close the connection when `size` bytes of the answer are sent."""

    def step(exchange: Exchange) -> None:
        exchange.sock.sendall(exchange.frame(exchange.good_answer())[:size])
        raise CutOff

    return step


def malformed(exchange: Exchange) -> None:
    """Answer with a frame that ends too early inside."""
    exchange.sock.sendall((6).to_bytes(4, "big") + exchange.correlation_id.to_bytes(4, "big") + b"\0\x7f")


def oversized(exchange: Exchange) -> None:
    """Answer with a frame that claims 2 GiB."""
    exchange.sock.sendall(b"\x7f\xff\xff\xff")


def wrong_correlation(exchange: Exchange) -> None:
    """Answer with the number of another request."""
    exchange.send(exchange.good_answer(), correlation_id=exchange.correlation_id + 1)


def unsupported_in_v0(exchange: Exchange) -> None:
    """Answer ApiVersions as a broker that does not know the version asked (KIP-511), with a rest that can not
    be read.
    """
    body = exchange.correlation_id.to_bytes(4, "big") + (35).to_bytes(2, "big") + b"\xff\xff\xff\xff\xff"
    exchange.sock.sendall(len(body).to_bytes(4, "big") + body)


def after(event: Event, then: Step = good) -> Step:
    """Take `then` when `event` is set; the connection's later requests wait too."""

    def step(exchange: Exchange) -> None:
        event.wait()
        then(exchange)

    return step


def refuse(code: int, partition: int | None = None, *, write: bool = False, **fields: Any) -> Step:
    """Answer a produce request with `code` for `partition` (by default all), and as a good broker for the
    others.

    With `write` the batch is in the log all the same. `fields` go into the refused partitions' answers;
    `node_endpoints` into the response.
    """

    def step(exchange: Exchange) -> None:
        endpoints = fields.get("node_endpoints", [])
        extra = {name: value for name, value in fields.items() if name != "node_endpoints"}
        response = exchange.broker.cluster.produce(exchange, {} if write else {partition: code})
        for topic in response.responses:
            for answer in topic.partition_responses:
                if partition in (None, answer.index):
                    answer.error_code, answer.base_offset = code, -1
                    for name, value in extra.items():
                        setattr(answer, name, value)
        response.node_endpoints = endpoints
        exchange.send(response)

    return step


def stale(cluster: ScriptedCluster) -> Step:
    """Answer Metadata with the leaders of this moment, whatever changes later: a broker that lags behind."""
    then = {name: cluster.described(name) for name in cluster.topics}

    def step(exchange: Exchange) -> None:
        response = exchange.good_answer()
        response.topics = [then[topic.name] for topic in response.topics]
        exchange.send(response)

    return step


def throttle(milliseconds: int) -> Step:
    """As a good broker, but with a throttle time: the client is over its quota."""

    def step(exchange: Exchange) -> None:
        response = exchange.good_answer()
        response.throttle_time_ms = milliseconds
        exchange.send(response)

    return step


def answer(response: Any) -> Step:
    """Answer with `response`, whatever was asked."""
    return lambda exchange: exchange.send(response)


# brokers


class ScriptedBroker:
    """One broker: a listener, a script, and what it was asked so far."""

    def __init__(self, cluster: ScriptedCluster, node_id: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.requests: list[Exchange] = []
        self.connections = 0
        self.versions = {request: (request.MIN_VERSION, request.MAX_VERSION) for request in REQUESTS.values()}
        self._script: dict[Any, deque[Step]] = defaultdict(deque)
        self._always: dict[Any, Step] = {}
        self._news = Event()
        self._socks: set[Any] = set()
        self._server: Any = None
        self.port = 0
        self.listen()

    @property
    def address(self) -> str:
        return f"{self.cluster.host}:{self.port}"

    def listen(self) -> None:
        """Take connections (again), on the port it had."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        secured: dict[str, Any] = {} if self.cluster.tls is None else {"ssl_context": self.cluster.tls}
        self._server = StreamServer(listener, self._serve, **secured)
        self._server.start()

    def stop(self) -> None:
        """Refuse connections and end those there are."""
        self._server.stop(timeout=0)
        self.cut_all()

    def cut_all(self) -> None:
        """End all connections."""
        for sock in list(self._socks):
            with suppress(OSError):  # the other side was quicker
                sock.shutdown(socket.SHUT_RDWR)

    def script(self, request: Any, *steps: Step) -> None:
        """Take these steps for the next requests of this class."""
        self._script[request].extend(steps)

    def always(self, request: Any, step: Step | None) -> None:
        """Take this step for all requests of this class that have none in the script; None: be good again."""
        if step is None:
            self._always.pop(request, None)
        else:
            self._always[request] = step

    def got(self, request: Any) -> list[Exchange]:
        """The requests of this class so far."""
        return [exchange for exchange in self.requests if isinstance(exchange.request, request)]

    def wait_for(self, request: Any, count: int = 1) -> list[Exchange]:
        """The first `count` requests of this class, waiting for them."""
        with gevent.Timeout(PATIENCE, AssertionError(f"broker {self.node_id} did not get {count} × {request.__name__}")):
            while len(self.got(request)) < count:
                self._news.clear()
                self._news.wait()
        return self.got(request)[:count]

    def _serve(self, sock: Any, _address: Any) -> None:
        self.connections += 1
        number = self.connections
        self._socks.add(sock)
        try:
            stream = sock.makefile("rb")
            while size := stream.read(4):
                self._handle(sock, number, stream.read(int.from_bytes(size, "big")))
        except (CutOff, OSError):
            return
        finally:
            self._socks.discard(sock)

    def _handle(self, sock: Any, number: int, frame: bytes) -> None:
        key, version, correlation_id, length = _HEADER.unpack_from(frame)
        request = REQUESTS[key]
        start = _HEADER.size + max(length, 0)
        client_id = frame[_HEADER.size : start].decode() if length >= 0 else None
        body = request.decode(frame, version, start + (version >= request.FLEXIBLE_FROM))
        exchange = Exchange(self, sock, number, body, version, correlation_id, client_id, monotonic())
        self.requests.append(exchange)
        self._news.set()
        sasl = self.cluster.sasl
        if sasl is not None and not sasl.lets_pass(exchange):
            raise CutOff
        script = self._script[request]
        (script.popleft() if script else self._always.get(request, good))(exchange)


@dataclass
class Topic:
    """A topic: its id (zeros for a cluster that has none) and its partitions."""

    topic_id: bytes
    partitions: list[ModelPartition] = field(default_factory=list)


class ScriptedCluster:
    """Brokers 1, 2, ... that agree on topics and leaders (broker 1 leads all at first), and one log a
    partition.

    Without `topic_ids` they are of Kafka 2.4. `auto_create` is the number of partitions of topics that are
    created when a Metadata request allows it; None: no topics are.
    """

    def __init__(
        self,
        brokers: int = 1,
        topics: dict[str, int] | None = None,
        *,
        record_limit: int = 1_000_000,
        topic_ids: bool = True,
        auto_create: int | None = None,
        tls: Any = None,
        sasl: ScriptedSasl | None = None,
    ) -> None:
        """`tls` is the brokers' SSLContext, `sasl` whom they take (`tests.support.scripted_sasl`)."""
        self.tls = tls
        self.sasl = sasl
        self.host = "127.0.0.1"  # of all brokers
        self.record_limit = record_limit
        self.topic_ids = topic_ids
        self.auto_create = auto_create
        self.topics: dict[str, Topic] = {}
        self._known: dict[str, Topic] = {}  # with those that were removed
        self.next_topic_id = 0
        self.hidden: set[str] = set()  # topics that clients may not see
        for name, partitions in (topics or {"orders": 1}).items():
            self.create_topic(name, partitions)
        self.next_producer_id = 4000
        self.answers: dict[Any, Callable[[Exchange], Any]] = {
            ApiVersionsRequest: self._api_versions,
            MetadataRequest: self._metadata,
            InitProducerIdRequest: self._init_producer_id,
            ProduceRequest: self.produce,
            SaslHandshakeRequest: lambda _exchange: SaslHandshakeResponse(error_code=34, mechanisms=[]),
        }
        if sasl is not None:
            self.answers.update(sasl.answers())
        self.brokers = {node_id: ScriptedBroker(self, node_id) for node_id in range(1, brokers + 1)}
        if not topic_ids:
            for broker in self.brokers.values():
                broker.versions.update({MetadataRequest: (0, 9), ProduceRequest: (3, 8)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        for broker in self.brokers.values():
            broker.stop()

    def __getitem__(self, node_id: int) -> ScriptedBroker:
        return self.brokers[node_id]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.address for broker in self.brokers.values())

    def create_topic(self, name: str, partitions: int) -> None:
        topic_id = self.next_topic_id = self.next_topic_id + 1
        self.topics[name] = Topic((topic_id * self.topic_ids).to_bytes(16, "big"), [ModelPartition() for _ in range(partitions)])

    def move(self, topic: str, partition: int, leader: int) -> None:
        """Elect another leader (-1: nobody can lead)."""
        moved = self.topics[topic].partitions[partition]
        moved.leader, moved.leader_epoch = leader, moved.leader_epoch + 1

    def log(self, topic: str, partition: int = 0) -> list[bytes]:
        """The values in a partition's log."""
        return self.topics[topic].partitions[partition].log

    def topic_name(self, topic: Any) -> str:
        self._known |= self.topics  # one may be removed while a request is on its way that names it by its id
        return topic.name or next(name for name, known in self._known.items() if known.topic_id == topic.topic_id)

    # what a good broker answers

    def _api_versions(self, exchange: Exchange) -> ApiVersionsResponse:
        return ApiVersionsResponse(
            error_code=0,
            api_keys=[
                ApiVersion(api_key=request.API_KEY, min_version=lowest, max_version=highest)
                for request, (lowest, highest) in exchange.broker.versions.items()
            ],
        )

    def _metadata(self, exchange: Exchange) -> MetadataResponse:
        asked = exchange.request.topics
        names = list(self.topics) if asked is None else [topic.name for topic in asked]
        described = [self.described(name) for name in names]
        if self.auto_create and exchange.request.allow_auto_topic_creation:
            for name in names:  # they are there for the next request
                if name not in self.topics:
                    self.create_topic(name, self.auto_create)
        return MetadataResponse(
            brokers=[
                MetadataResponseBroker(node_id=broker.node_id, host=self.host, port=broker.port) for broker in self.brokers.values()
            ],
            cluster_id="scripted",
            controller_id=1,
            topics=described,
        )

    def described(self, name: str) -> MetadataResponseTopic:
        """A topic as Metadata tells of it."""
        topic = self.topics.get(name)
        if name in self.hidden:
            return MetadataResponseTopic(error_code=29, name=name)
        if topic is None:
            return MetadataResponseTopic(error_code=3, name=name)
        return MetadataResponseTopic(
            error_code=0,
            name=name,
            topic_id=topic.topic_id,
            partitions=[
                MetadataResponsePartition(
                    error_code=0 if partition.leader >= 0 else 5,
                    partition_index=index,
                    leader_id=partition.leader,
                    leader_epoch=partition.leader_epoch,
                    replica_nodes=list(self.brokers),
                    isr_nodes=list(self.brokers),
                )
                for index, partition in enumerate(topic.partitions)
            ],
        )

    def _init_producer_id(self, _exchange: Exchange) -> InitProducerIdResponse:
        self.next_producer_id += 1
        return InitProducerIdResponse(error_code=0, producer_id=self.next_producer_id, producer_epoch=0)

    def produce(self, exchange: Exchange, refused: dict[int | None, int] | None = None) -> Any:
        """Write what this broker leads and `refused` (partition, or None for all: code) does not name; the
        response, if due.
        """
        refused = refused or {}
        topics: dict[str, TopicProduceResponse] = {}
        for name, index, batch in exchange.batches:
            topic = self.topics.get(name) or Topic(self._known[name].topic_id if name in self._known else bytes(16))
            code, offset, append_time, guilty = refused.get(index, refused.get(None, 0)), -1, -1, []
            partition = topic.partitions[index] if index < len(topic.partitions) else None
            if partition is None:
                code = 3
            elif not code and partition.leader != exchange.broker.node_id:
                code = 6
            elif not code:
                code, offset, append_time, guilty = partition.append(batch, self.record_limit)
            answers = topics.setdefault(name, TopicProduceResponse(name=name, topic_id=topic.topic_id, partition_responses=[]))
            answers.partition_responses.append(
                PartitionProduceResponse(
                    index=index,
                    error_code=code,
                    base_offset=offset,
                    log_append_time_ms=append_time,
                    record_errors=[BatchIndexAndErrorMessage(batch_index=i, batch_index_error_message="breaks a rule") for i in guilty],
                )
            )
        if exchange.request.acks == 0:
            return None
        return ProduceResponse(responses=list(topics.values()), node_endpoints=[])
