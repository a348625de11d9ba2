"""What a partition knows of idempotent producers, by the rules of Kafka's `ProducerStateManager` and
`ProducerAppendInfo`:

- a batch that equals one of a producer's last five in the partition is a duplicate, and gets that one's
  offset;
- an older epoch is refused; a newer one has to begin at sequence 0;
- within an epoch a batch has to follow the last one, except where nothing is known of the producer: then any
  sequence is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from klife.protocol.error_codes import ErrorCode
from klife.protocol.record_decode import RecordBatch

_REMEMBERED = 5
_SEQUENCES = 0x7FFFFFFF


@dataclass
class _Entry:
    """A producer's epoch, and its last batches as (first sequence, last sequence, base offset)."""

    epoch: int
    batches: list[tuple[int, int, int]] = field(default_factory=list)


class Producers:
    """The producers of one partition."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def offset_of(self, batch: RecordBatch) -> int | None:
        """Where the batch is in the log already; None if it is not among the last of its producer."""
        entry = self._entries.get(batch.producer_id)
        if entry is None or entry.epoch != batch.producer_epoch:
            return None
        return next((offset for first, last, offset in entry.batches if (first, last) == _sequences(batch)), None)

    def refusal(self, batch: RecordBatch) -> int:
        """The error code for a batch that can not be next; 0 if it can."""
        entry = self._entries.get(batch.producer_id)
        if batch.producer_id < 0 or entry is None:
            return 0
        if batch.producer_epoch < entry.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        last = entry.batches[-1][1] if entry.batches and batch.producer_epoch == entry.epoch else -1
        follows = batch.base_sequence == (last + 1) & _SEQUENCES
        return 0 if follows else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def written(self, batch: RecordBatch, offset: int) -> None:
        """The batch is in the log, from `offset` on."""
        if batch.producer_id < 0:
            return
        entry = self._entries.get(batch.producer_id)
        if entry is None or entry.epoch != batch.producer_epoch:
            entry = self._entries[batch.producer_id] = _Entry(batch.producer_epoch)
        entry.batches = [*entry.batches, (*_sequences(batch), offset)][-_REMEMBERED:]


def _sequences(batch: RecordBatch) -> tuple[int, int]:
    return batch.base_sequence, (batch.base_sequence + batch.last_offset_delta) & _SEQUENCES
