"""`InFlightRequest`: one produce request, from the batches that were taken for it to its answer.

What happens here happens for each batch; it is a module of its own, apart from the actor, so that it can be
compiled with the types of what it works on.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife import cython_shim as cython
from klife.actors.network.call import Call
from klife.actors.producer.compressed_ahead import PATIENCE
from klife.actors.producer.identity import Identity
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import NEVER
from klife.protocol.codecs import compress
from klife.protocol.large_records import LARGE, encode_large
from klife.protocol.primitives import ZERO_UUID
from klife.protocol.produce_wire import BatchesRequest, TopicBatches
from klife.protocol.records import EncodedBatch, encode_payload, encode_plain, seal
from klife.protocol.written_partitions import SMALL, WrittenPartitions
from klife_supervision.let_hub_run import let_hub_run

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.batcher import Batcher
    from klife.actors.producer.partition import Partition
    from klife.actors.runtime.loop_budget import LoopBudget
    from klife.actors.settings import ProducerSettings
    from klife.errors import KlifeError

_LARGE = cython.declare(cython.Py_ssize_t, LARGE)
_SMALL = cython.declare(cython.Py_ssize_t, SMALL)
_NO_IDENTITY = Identity(-1, -1)  # what batches of a producer without idempotence carry; their sequence is -1 too


class InFlightRequest(Call):
    """A produce request of `batcher`: its batches, where its answer will name them, and whether it was handed
    to the connection.
    """

    __slots__ = ("batcher", "batches", "by_topic", "by_id", "submitted")

    def __init__(self, batcher: Batcher, batches: list[tuple[Partition, Batch]]) -> None:
        # What Call.__init__ does; a call less for each request.
        self.request: Any = None
        self.response: Any = None
        self.error: Any = None
        self.on_done: Any = None
        self.correlation_id = self.version = -1
        self.sent_at: float = 0.0
        self.deadline = NEVER
        self.is_done: bool = False
        self.batcher: Batcher = batcher
        self.batches: list[tuple[Partition, Batch]] = batches  # each with its partition
        # By topic name and by topic id, as they were when it was sent: answers name topics as their request
        # did.
        self.by_topic: dict[str | bytes, dict[int, tuple[Partition, Batch]]] = {}
        self.by_id: bool = True  # whether all its topics have ids
        self.submitted: bool = False

    @cython.locals(batch="Batch", partition="Partition", both=tuple, topics=dict, of_topic=list, asked=list, left=list)
    @cython.locals(codec=cython.Py_ssize_t)
    def pack(self, budget: LoopBudget, timeout_ms: int, not_encodable: Callable[[Partition, Batch, Exception], None]) -> bool:
        """Make `request`; False when no batch is left for it.

        A batch that can not be encoded must not stop its broker's others for ever: `not_encodable` ends it.
        """
        settings = self.batcher.terms.settings
        codec = settings.codec
        topics: dict[str, list[tuple[Partition, Batch]]] = {}
        for both in self.batches:
            batch = both[1]
            of_topic = topics.get(batch.topic)
            if of_topic is None:
                topics[batch.topic] = [both]
            else:
                of_topic.append(both)
        asked: list[TopicBatches] = []
        left: list[tuple[Partition, Batch]] = []
        for name, of_topic in topics.items():
            wires: Any = None
            if cython.compiled and not codec:
                wires = _in_one_piece(of_topic, settings.transactional_id is not None)
            if wires is None:
                wires, of_topic = self._one_by_one(of_topic, budget, not_encodable)
                if not of_topic:
                    continue
            partition = of_topic[0][0]
            topic_id = partition.topic_id
            self.by_id = self.by_id and topic_id != ZERO_UUID
            asked.append((name, topic_id, wires))
            self.by_topic[name] = self.by_topic[topic_id] = _by_partition(of_topic)
            left += of_topic
        self.batches = left  # without those that could not be encoded: they are settled, and no answer is theirs
        self.request = BatchesRequest(settings.acks, timeout_ms, asked, settings.transactional_id)
        return bool(asked)

    @cython.locals(batch="Batch", partition="Partition", both=tuple, of_topic=list, wires=list, left=list, codec=cython.Py_ssize_t)
    def _one_by_one(
        self, of_topic: list[tuple[Partition, Batch]], budget: LoopBudget, not_encodable: Callable[[Partition, Batch, Exception], None]
    ) -> tuple[list[tuple[int, EncodedBatch]], list[tuple[Partition, Batch]]]:
        """Each partition's batch encoded by itself; and those that could be."""
        settings = self.batcher.terms.settings
        codec = settings.codec
        wires: list[tuple[int, EncodedBatch]] = []
        left: list[tuple[Partition, Batch]] = []
        for both in of_topic:
            partition, batch = both
            wire = batch.wire
            if wire is None:
                try:
                    if codec:
                        wire = _with_codec(batch, codec, settings, budget)
                        batch.wire, batch.ahead = wire, None
                    else:
                        wire = batch.wire = _plain(batch, settings.transactional_id is not None)
                except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the other partitions' batches along
                    not_encodable(partition, batch, error)
                    continue
            wires.append((batch.partition_id, wire))
            left.append(both)
        return wires, left

    def left(self) -> list[tuple[Partition, Batch]]:
        """The batches that nobody has judged."""
        topics = {id(batches): batches for batches in self.by_topic.values()}  # each is there by name and by id
        return [both for batches in topics.values() for both in batches.values()]

    def finish(self, error: KlifeError | None = None) -> None:
        """As a call does: its answer is there, or none will come. The batcher has to look."""
        if self.is_done:
            return
        self.is_done = True
        if error is not None:
            self.response = None
            self.error = error
        self.batcher.completed.append(self)
        self.batcher.wake()


@cython.cfunc
@cython.locals(of_topic=list, both=tuple, batch="Batch", found=dict)
def _by_partition(of_topic: list[tuple[Partition, Batch]]) -> dict[int, tuple[Partition, Batch]]:
    found: dict[int, tuple[Partition, Batch]] = {}
    for both in of_topic:
        batch = both[1]
        found[batch.partition_id] = both
    return found


@cython.cfunc
@cython.locals(of_topic=list, both=tuple, batch="Batch", identity="Identity", written="WrittenPartitions")
@cython.locals(bound=cython.Py_ssize_t, is_transactional=cython.bint)
def _in_one_piece(of_topic: list[tuple[Partition, Batch]], is_transactional: bool) -> WrittenPartitions | None:
    """All partitions' batches, if they are small; None where each is to be encoded by itself."""
    bound = 0
    for both in of_topic:
        batch = both[1]
        if batch.wire is not None or batch.size > _SMALL:
            return None
        bound += batch.size
    written = WrittenPartitions(len(of_topic), bound)
    try:
        for both in of_topic:
            batch = both[1]
            identity = batch.identity or _NO_IDENTITY
            written.add(
                batch.partition_id, batch.fields, batch.size, identity.producer_id, identity.epoch, batch.sequence, is_transactional
            )
    except Exception:  # noqa: BLE001 - whatever it is: which batch it is of is seen when each is encoded by itself
        return None
    written.end()
    return written


@cython.cfunc
@cython.locals(batch="Batch", identity="Identity", fields=list, is_transactional=cython.bint)
def _plain(batch: Batch, is_transactional: bool) -> EncodedBatch:
    identity, fields = batch.identity or _NO_IDENTITY, batch.fields
    if batch.size >= batch.count * _LARGE:
        return encode_large(fields, identity.producer_id, identity.epoch, batch.sequence, is_transactional)
    return encode_plain(fields, batch.size, identity.producer_id, identity.epoch, batch.sequence, is_transactional)


@cython.cfunc
@cython.locals(batch="Batch", identity="Identity")
def _with_codec(batch: Batch, codec: int, settings: ProducerSettings, budget: LoopBudget) -> EncodedBatch:
    identity, ahead = batch.identity or _NO_IDENTITY, batch.ahead
    if ahead is None:
        payload, first_timestamp, max_timestamp = encode_payload(batch.fields, batch.size)
    else:
        payload, first_timestamp, max_timestamp, job = ahead
    if ahead is None or job.left_to_caller(PATIENCE):
        began = monotonic()
        compressed = _compressed(payload, settings, budget)
        seconds = monotonic() - began
    else:
        compressed, seconds = job.result(), job.seconds
    if settings.observer is not None:
        settings.observer.compressed(settings.name, batch.topic, codec, len(payload), len(compressed), seconds)
    return seal(
        compressed,
        batch.count,
        first_timestamp,
        max_timestamp,
        codec=codec,
        producer_id=identity.producer_id,
        producer_epoch=identity.epoch,
        base_sequence=batch.sequence,
        is_transactional=settings.transactional_id is not None,
    )


def _compressed(payload: bytes, settings: Any, budget: Any) -> bytes:
    if len(payload) < settings.compress_elsewhere_from:
        if budget.is_over():
            let_hub_run()  # a request may have a hundred small batches, of which each takes its time
            budget.is_over()  # to ask begins the next one, with this batch
        return compress(settings.codec, payload, settings.compression_level)
    return call_in_thread(compress, settings.codec, payload, settings.compression_level)
