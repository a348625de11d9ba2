"""Batches that wait behind a request are compressed meanwhile, by another thread (`klife.actors.runtime.ahead`).

Only the payload is made ahead: the header, with sequence, epoch and CRC, is written when the batch is sent, as always. A
batch that expires, is dropped or goes to another batcher takes its payload along.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from klife.actors.runtime.ahead import Ahead, make_ahead
from klife.protocol.codecs import compress
from klife.protocol.records import encode_payload
from klife_supervision.let_hub_run import let_hub_run

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.batcher import Batcher
    from klife.actors.producer.partition import Partition
    from klife.actors.runtime.loop_budget import LoopBudget
    from klife.actors.settings import ProducerSettings

WORTH_IT = 32 * 1024
"""Bytes. Handing over costs what compressing some 20 KB does."""

_REQUESTS = 2
"""So many requests' batches: with one the thread runs dry, as brokers answer in bunches."""

PATIENCE = 10.0
"""Seconds, more than any codec takes: a batcher waits so long for a payload that is just being compressed, and then
compresses it itself.
"""


class CompressedAhead(NamedTuple):
    """A batch's payload, encoded, and compressed or in line for it."""

    payload: bytes
    first_timestamp: int
    max_timestamp: int
    job: Ahead[bytes]


def compress_ahead(batcher: Batcher, settings: ProducerSettings, budget: LoopBudget) -> None:
    """A request of `batcher` has left, and the next ones wait for its answer: have their batches compressed
    meanwhile, as far as it pays. In the batcher's greenlet.
    """
    if budget.is_over():
        let_hub_run()  # what is sent had its turn, and to encode what waits takes one, too
        budget.is_over()
    waiting = batcher.ahead = [batch for batch in batcher.ahead if batch.ahead is not None]
    room = _REQUESTS * settings.batch_size_bytes - sum(batch.size for batch in waiting)
    for batch in worth_ahead(list(batcher.ready), batcher, room):
        try:
            payload, first_timestamp, max_timestamp = encode_payload(batch.fields, batch.size)
        except Exception:  # noqa: BLE001 - told when it is its turn, and it is tried again
            continue
        job = make_ahead(compress, settings.codec, payload, settings.compression_level)
        batch.ahead = CompressedAhead(payload, first_timestamp, max_timestamp, job)
        waiting.append(batch)


def worth_ahead(ready: Iterable[Partition], batcher: Batcher, room: int) -> list[Batch]:
    """Of the batches that the next requests of `batcher` would take from its `ready` partitions, as far as there is
    `room` in bytes: those that are closed, never were encoded, and are large enough.
    """
    found = []
    for partition in ready:
        batch = partition.pending[0] if partition.pending else partition.open
        if batch is None or batch.ahead is not None or partition.served_by is not batcher:
            continue
        room -= batch.size
        if room < 0:
            break
        if batch is not partition.open and batch.size >= WORTH_IT and batch.wire is None and not batch.is_set:
            found.append(batch)
    return found
