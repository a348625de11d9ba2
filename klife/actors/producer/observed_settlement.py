"""`ObservedSettlement`: a settlement that tells an `Observer` of each outcome. A class of its own, so that
those that nobody watches have no look to take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from klife.actors.producer.settlement import Settlement

if TYPE_CHECKING:
    from klife.actors.observer import Observer
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.buffer_pool import BufferPool
    from klife.actors.producer.callbacks import Callbacks
    from klife.actors.producer.deadlines import Deadlines
    from klife.actors.producer.partition import Partition


class ObservedSettlement(Settlement):
    """The same, and `observer` hears of it, in the name of `producer`."""

    def __init__(self, pool: BufferPool, callbacks: Callbacks, deadlines: Deadlines, observer: Observer, producer: str) -> None:
        super().__init__(pool, callbacks, deadlines)
        self._observer = observer
        self._producer = producer
        self._finished: Batch | None = None

    def delivered(self, partition: Partition, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        if batch not in self._deadlines.pending:
            super().delivered(partition, batch, base_offset, append_time_ms)
            return
        size, self._finished = batch.size, None
        Settlement.delivered(self, partition, batch, base_offset, append_time_ms)
        if self._finished is not batch:  # else it went the long way, and was told of there
            self._observer.settled(self._producer, batch, size, batch.base_offset, None)

    def finish(self, batch: Batch) -> None:
        if batch not in self._deadlines.pending:
            super().finish(batch)
            return
        size = batch.size
        super().finish(batch)
        self._finished = batch
        offset, error = _outcome(batch)
        self._observer.settled(self._producer, batch, size, offset, error)


def _outcome(batch: Batch) -> tuple[int | None, Any]:
    root = batch.root
    if root is None:
        return batch.base_offset, batch.error
    assert root.outcomes is not None
    assert batch.positions is not None
    offset, _, error = root.outcomes[batch.positions[0]]  # type: ignore[misc]  # it was reported
    return offset, error
