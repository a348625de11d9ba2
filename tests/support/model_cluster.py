"""A cluster as a plain value: what Kafka's brokers decide about produce requests, and nothing else.

The rules are those of Kafka's `ProducerStateManager` and `ProducerAppendInfo.checkSequence`:

- a batch that equals one of the producer's last five in the partition is a duplicate, and answered with that
  one's offset, and with its largest timestamp as if the broker had set it;
- an older epoch is refused (47); a newer epoch has to begin at sequence 0;
- within an epoch a batch has to follow the last one (45), except where the broker knows nothing of the
  producer: then *any* sequence is taken. That exception is what makes the first batch of a partition special;
- a broker that was shut down in order reads what it knew from a snapshot, which has each producer's last
  batch and no other.

Producer state is replicated with the log, so it moves with the leader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from klife.actors.metadata.snapshot import NO_LEADER, BrokerInfo, ClusterSnapshot, TopicInfo, with_leader, with_refusal
from klife.actors.network.call import Call, CallFailed
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.produce import (
    BatchIndexAndErrorMessage,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from klife.protocol.produce_wire import BatchesRequest
from klife.protocol.record_decode import RecordBatch, decode_batches

TOPIC = "model"
GUILTY = b"guilty "  # values that begin so break a rule of the topic
REMEMBERED = 5


@dataclass
class ProducerEntry:
    """What a partition knows of a producer: its epoch and its last batches as (first, last sequence, offset,
    largest timestamp).
    """

    epoch: int
    batches: list[tuple[int, int, int, int]] = field(default_factory=list)


class ModelPartition:
    """A partition's log, and the producers in it."""

    def __init__(self) -> None:
        self.log: list[bytes] = []
        self.times: list[int] = []  # the timestamps of what is in the log
        self.producers: dict[int, ProducerEntry] = {}
        self.leader = 1
        self.leader_epoch = 0

    def append(self, batch: RecordBatch, record_limit: int) -> tuple[int, int, int, list[int]]:
        """(error code, base offset, append time, guilty indices), having written the batch where the code is
        0.
        """
        count = len(batch.records)
        if count > record_limit:
            return 10, -1, -1, []
        guilty = [index for index, record in enumerate(batch.records) if (record.value or b"").startswith(GUILTY)]
        if guilty:
            return 87, -1, -1, guilty
        if batch.producer_id >= 0:
            entry = self.producers.get(batch.producer_id)
            first, last = batch.base_sequence, (batch.base_sequence + count - 1) & 0x7FFFFFFF
            if entry is not None and entry.epoch == batch.producer_epoch:
                for old_first, old_last, offset, latest in entry.batches:
                    if (old_first, old_last) == (first, last):
                        return 0, offset, latest, []
            if entry is not None:
                if batch.producer_epoch < entry.epoch:
                    return 47, -1, -1, []
                if batch.producer_epoch > entry.epoch:
                    if first != 0:
                        return 45, -1, -1, []
                elif first != (entry.batches[-1][1] + 1 if entry.batches else 0) & 0x7FFFFFFF:
                    return 45, -1, -1, []
            if entry is None or entry.epoch != batch.producer_epoch:
                entry = self.producers[batch.producer_id] = ProducerEntry(batch.producer_epoch)
            entry.batches = [*entry.batches, (first, last, len(self.log), batch.max_timestamp)][-REMEMBERED:]
        offset = len(self.log)
        self.log.extend(record.value or b"" for record in batch.records)
        self.times.extend(record.timestamp_ms for record in batch.records)
        return 0, offset, -1, []


class ModelBroker:
    """A `Broker` without a socket: requests wait in `calls` until the test has the broker answer or lose
    them.
    """

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.is_ready = True
        self.calls: list[Call] = []
        self.waiting: dict[Callable[[], None], None] = {}
        self.last_error: str | None = None
        self.answered_at: float | None = 0.0
        self.throttled_until = 0.0

    def describe(self) -> str:
        return f"model broker {self.node_id}"

    def when_ready(self, wake: Callable[[], None]) -> None:
        if self.is_ready:
            wake()
        else:
            self.waiting[wake] = None

    def call(self, request: Any, on_done: Callable[[Call], None], **_options: Any) -> Call:
        call = Call(request, on_done)
        self.send(call)
        return call

    def send(self, call: Call, **_options: Any) -> None:
        if self.is_ready:
            self.calls.append(call)
        else:
            call.finish(CallFailed("not connected", sent=False))

    def reconnect(self) -> None:
        self.is_ready = True
        waiting, self.waiting = self.waiting, {}
        for wake in waiting:
            wake()


class ModelCluster:
    """Brokers 1 and 2, one topic, and the metadata a client has of them (which may be old): stands in for
    `Metadata`.
    """

    def __init__(self, partitions: int, record_limit: int) -> None:
        self.partitions = [ModelPartition() for _ in range(partitions)]
        self.record_limit = record_limit
        self.brokers = {node: ModelBroker(node) for node in (1, 2)}
        self.late: dict[int, list[BatchesRequest]] = {1: [], 2: []}  # sent on connections that are closed, not read yet
        self.refresh_wanted = False
        self.next_producer_id = 100
        self.on_change: list[Callable[[], None]] = []
        self.snapshot = ClusterSnapshot()
        self.refresh()

    # what the client sees

    def broker(self, node_id: int) -> ModelBroker:
        return self.brokers[node_id]

    def any_ready_broker(self, *, api_key: int | None = None) -> ModelBroker | None:
        return next((broker for broker in self.brokers.values() if broker.is_ready), None)

    def is_gone(self, node_id: int) -> bool:
        return False

    def request_refresh(self) -> None:
        self.refresh_wanted = True

    def leader_refused(self, topic: str, partition: int, node_id: int) -> None:
        self.snapshot = with_refusal(self.snapshot, topic, partition, node_id)

    def leader_hint(self, topic: str, topic_id: bytes, partition: int, leader: int, epoch: int, broker: BrokerInfo | None) -> None:
        snapshot = with_leader(self.snapshot, topic, topic_id, partition, leader, epoch, broker)
        if snapshot is not self.snapshot:
            self._publish(snapshot)

    def topic_size_limit(self, topic: str, broker: ModelBroker, then: Callable[[int | None], None]) -> None:
        then(None)

    def refresh(self) -> None:
        """The client learns how things stand."""
        self.refresh_wanted = False
        info = TopicInfo(TOPIC, b"\1" * 16, tuple(p.leader for p in self.partitions), tuple(p.leader_epoch for p in self.partitions))
        old = self.snapshot.topics.get(TOPIC)
        brokers = {node: BrokerInfo(node, "model", node) for node in self.brokers}
        self._publish(
            ClusterSnapshot(
                brokers=MappingProxyType(brokers), topics=MappingProxyType({TOPIC: old if old is not None and old == info else info})
            )
        )

    def _publish(self, snapshot: ClusterSnapshot) -> None:
        self.snapshot = snapshot
        for listener in self.on_change:
            listener()

    # what the brokers do

    def move(self, partition: int, leader: int) -> None:
        """Elect `leader` (-1: nobody can lead)."""
        moved = self.partitions[partition]
        if moved.leader != leader:
            moved.leader, moved.leader_epoch = leader, moved.leader_epoch + 1

    def restart(self, partition: int) -> None:
        """The leader was shut down in order and is back."""
        for entry in self.partitions[partition].producers.values():
            del entry.batches[:-1]

    def read_late(self, node_id: int) -> None:
        """A broker reads what was sent to it before, whatever became of the connection."""
        late, self.late[node_id] = self.late[node_id], []
        for request in late:
            self.process(node_id, request, {})

    def process(self, node_id: int, request: BatchesRequest, refusals: dict[int, tuple[int, bool]]) -> ProduceResponse:
        """Handle a produce request. `refusals` has, by partition, a code and whether the batch is written all
        the same.
        """
        answers = []
        for index, records in request.topics[0][2]:
            partition = self.partitions[index]
            (batch,) = decode_batches(b"".join(records))
            code, write = refusals.get(index, (0, True))
            offset, append_time, guilty = -1, -1, []
            if partition.leader != node_id:
                code = 6
            elif write:
                written, offset, append_time, guilty = partition.append(batch, self.record_limit)
                code = written or code
            answers.append(
                PartitionProduceResponse(
                    index=index,
                    error_code=code,
                    base_offset=offset if code == 0 else -1,
                    log_append_time_ms=append_time if code == 0 else -1,
                    record_errors=[BatchIndexAndErrorMessage(batch_index=i, batch_index_error_message="guilty") for i in guilty],
                )
            )
        return ProduceResponse(
            responses=[TopicProduceResponse(name=TOPIC, topic_id=b"\1" * 16, partition_responses=answers)], node_endpoints=[]
        )

    def answer(self, node_id: int, refusals: dict[int, tuple[int, bool]]) -> None:
        """The broker handles its oldest request and answers."""
        self.read_late(node_id)
        broker = self.brokers[node_id]
        call = broker.calls.pop(0)
        if isinstance(call.request, InitProducerIdRequest):
            self.next_producer_id += 1
            call.response = InitProducerIdResponse(error_code=0, producer_id=self.next_producer_id, producer_epoch=0)
        else:
            response = self.process(node_id, call.request, refusals)
            call.response = call.request.RESPONSE.decode(response.encode(13), 13)  # as it comes from the wire: plain, or in full
        call.finish()

    def disconnect(self, node_id: int, handled: int, late: bool) -> None:
        """The connection breaks after the broker has handled `handled` requests; the others it reads late, or
        never.
        """
        self.read_late(node_id)
        broker = self.brokers[node_id]
        broker.is_ready = False
        calls, broker.calls = broker.calls, []
        for index, call in enumerate(calls):
            if isinstance(call.request, BatchesRequest):
                if index < handled:
                    self.process(node_id, call.request, {})
                elif late:
                    self.late[node_id].append(call.request)
        for call in calls:
            call.finish(CallFailed("the connection broke", sent=True))


__all__ = ["GUILTY", "NO_LEADER", "TOPIC", "ModelBroker", "ModelCluster"]
