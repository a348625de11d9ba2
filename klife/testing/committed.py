"""What a reader of committed records sees of the batches in a log (KIP-98). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from klife.protocol.apis.fetch import AbortedTransaction
from klife.protocol.record_decode import RecordBatch

_ABORT = b"\x00\x00"
"""How a marker says so: its record's key is a version, and then this."""


def committed_batches(batches: Sequence[RecordBatch], aborted: Sequence[AbortedTransaction] | None) -> Iterator[RecordBatch]:
    """The batches with records of no transaction, and of those that were committed. `aborted` are those that
    the broker told of with the batches, which must all lie below the last stable offset.
    """
    to_come = sorted(aborted or (), key=lambda each: each.first_offset, reverse=True)
    dropped: set[int] = set()  # producers whose records are of an aborted transaction until its marker
    for batch in batches:
        while to_come and to_come[-1].first_offset <= batch.base_offset + batch.last_offset_delta:
            dropped.add(to_come.pop().producer_id)
        if batch.is_control:
            if _aborts(batch):
                dropped.discard(batch.producer_id)
        elif not (batch.is_transactional and batch.producer_id in dropped):
            yield batch


def _aborts(marker: RecordBatch) -> bool:
    return bool(marker.records) and (marker.records[0].key or b"")[2:4] == _ABORT
