"""`InFlightRequest`: one produce request, from the batches that were taken for it to their outcomes.

What happens here happens for each batch; it is a module of its own, apart from the actor, so that it can be compiled with the types
of what it works on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from klife.actors.network.call import Call
from klife.actors.producer.batch import Batch, Identity
from klife.actors.runtime.thread_pool import call_in_thread
from klife.protocol.compression import compress
from klife.protocol.primitives import ZERO_UUID
from klife.protocol.produce_wire import BatchesRequest, PlainAnswer, TopicBatches
from klife.protocol.records import EncodedBatch, encode_payload, encode_plain, seal
from klife_supervision.let_hub_run import let_hub_run

if TYPE_CHECKING:
    from klife.actors.producer.batcher import Batcher
    from klife.actors.runtime.loop_budget import LoopBudget
    from klife.actors.settings import ProducerSettings

_NO_IDENTITY = Identity(-1, -1)  # what batches of a producer without idempotence carry; their sequence is -1 too


class InFlightRequest(Call):
    """A produce request of `batcher`: its batches, where its answer will name them, and whether it was handed to the connection."""

    __slots__ = ("batcher", "batches", "by_topic", "by_id", "submitted")

    def __init__(self, batcher: Batcher, batches: list[Batch]) -> None:
        Call.__init__(self, None)
        self.batcher = batcher
        self.batches = batches
        # By topic name and by topic id, as they were when it was sent: answers name topics as their request did.
        self.by_topic: dict[str | bytes, dict[int, Batch]] = {}
        self.by_id = True  # whether all its topics have ids
        self.submitted = False

    def pack(self, timeout_ms: int, not_encodable: Callable[[Batch, Exception], None]) -> bool:
        """Make `request`, about to be submitted; False when no batch is left for it.

        A batch that can not be encoded must not stop its broker's others for ever: `not_encodable` settles it.
        """
        producer = self.batcher.producer
        settings = producer.settings
        topics: dict[str, TopicBatches] = {}
        by_topic = self.by_topic
        batches: list[Batch] = []
        for batch in self.batches:
            wire = batch.wire
            if wire is None:
                try:
                    wire = batch.wire = _encoded(batch, settings, producer.budget)
                except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the other partitions' batches along
                    not_encodable(batch, error)
                    continue
            queue = batch.queue
            name = queue.topic
            topic = topics.get(name)
            if topic is None:
                topic_id = queue.route.info.topic_id
                self.by_id = self.by_id and topic_id != ZERO_UUID
                topic = topics[name] = (name, topic_id, [])
                by_topic[name] = by_topic[topic_id] = {}
            topic[2].append((queue.partition, wire))
            by_topic[name][queue.partition] = batch
            batches.append(batch)
        self.batches = batches  # without those that could not be encoded: they are settled, and no answer is theirs
        self.submitted = True
        self.request = BatchesRequest(settings.acks, timeout_ms, list(topics.values()))
        return bool(topics)

    def tell(self) -> None:
        """It has its answer, or none will come: the batcher has to look."""
        self.batcher.completed.append(self)
        self.batcher.wake()

    def written(self, answer: PlainAnswer) -> None:
        """Settle the batches that `answer` names."""
        producer = self.batcher.producer
        for key, partitions in answer.topics:
            batches = self.by_topic.get(key)
            if batches is None:
                continue
            for partition, base_offset, append_time_ms in partitions:
                batch = batches.pop(partition, None)
                if batch is not None:
                    producer.written(batch, base_offset, append_time_ms)

    def offer_what_is_left(self) -> None:
        """Put the batches' partitions back on their batchers, where they have more to send."""
        routing = self.batcher.producer.routing
        for batch in self.batches:
            queue = batch.queue
            if queue.open is not None or queue.pending:
                routing.offer(queue)


def _encoded(batch: Batch, settings: ProducerSettings, turn: LoopBudget) -> EncodedBatch:
    identity, fields, codec = batch.identity or _NO_IDENTITY, batch.fields, settings.codec
    if not codec:
        return encode_plain(fields, identity.producer_id, identity.epoch, batch.sequence)
    payload, first_timestamp, max_timestamp = encode_payload(fields)
    return seal(
        _compressed(payload, settings, turn),
        batch.count,
        first_timestamp,
        max_timestamp,
        codec=codec,
        producer_id=identity.producer_id,
        producer_epoch=identity.epoch,
        base_sequence=batch.sequence,
    )


def _compressed(payload: bytes, settings: Any, turn: Any) -> bytes:
    if len(payload) < settings.compress_elsewhere_from:
        if turn.is_over():
            let_hub_run()  # a request may have a hundred small batches, of which each takes its time
            turn.is_over()  # to ask begins the next one, with this batch
        return compress(settings.codec, payload, settings.compression_level)
    return call_in_thread(compress, settings.codec, payload, settings.compression_level)
