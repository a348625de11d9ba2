"""What may be in a log although no answer said so, and how that is found out. Pure bookkeeping on a `Partition`.

A batch whose fate is unknown is sent again under its old number, and the broker's answer tells: delivered, and if it was there before,
it is not written again. Only "out of order" is not clear. The batch may be missing, with one before it; or it is there, and
forgotten: a broker that was shut down and started again remembers a producer's last batch and no other. A broker that has a batch
has all that were numbered before it, so the newer ones tell:

- one that was delivered: then this one is in the log, too;
- those whose fate is unknown as well are asked for in the same way, out of turn, newest first. If one is there, all before it are. If
  none is, they are all missing, and go under new numbers;
- one that was refused for good, its fate unknown, can not be asked for: then this one stays possibly persisted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.partition import Partition


def order(batch: Batch) -> tuple[int, int]:
    """Where a batch, or a piece of one, stands among those of its partition."""
    return batch.number, batch.positions[0] if batch.positions else 0


def newest(queue: Partition) -> Batch | None:
    """The newest waiting batch that may be in the log under its number, and whose number was not refused yet."""
    for batch in reversed(queue.pending):
        if batch.fate_unknown and batch.identity is queue.identity and not batch.number_refused and not batch.is_set:
            return batch
    return None


def is_in_log(queue: Partition, batch: Batch) -> bool:
    """Whether the broker must have `batch`, because it confirmed a newer one under the same identity."""
    return queue.accepted is not None and queue.accepted is batch.identity and queue.accepted_number > batch.number


def can_tell(queue: Partition, batch: Batch) -> bool:
    """Whether a refusal of its number means that `batch` is not in the log, once all newer ones in doubt were asked for."""
    given_up = queue.given_up
    return given_up is None or given_up[0] is not batch.identity or given_up[1] < order(batch)


def give_up(queue: Partition, batch: Batch) -> None:
    """`batch` is refused for good. Its number is lost; if it may be in the log, nobody can ask for it any more."""
    if batch.identity is None:
        return
    queue.sequence_lost = True  # later batches were numbered behind this one
    if batch.fate_unknown and can_tell(queue, batch):
        queue.given_up = batch.identity, order(batch)


def all_missing(queue: Partition) -> None:
    """Of the batches whose numbers were refused none is in the log: they go under new ones."""
    for batch in queue.pending:
        if batch.number_refused:
            batch.number_refused = batch.fate_unknown = False
    queue.sequence_lost = True


def settle_older(queue: Partition, batch: Batch) -> None:
    """The log has `batch`, so it has those that were numbered before it; where, the broker forgot.

    There are such only when it was asked for out of turn: a batch that is sent again is the oldest otherwise.
    """
    older = [each for each in queue.pending if each.identity is batch.identity and order(each) < order(batch)]
    for each in older:
        queue.pending.remove(each)
        queue.producer.settle(each, None, -1, None)


def log_is_new(queue: Partition) -> None:
    """The topic was deleted and made anew: nothing that is known of the old log holds for this one."""
    queue.accepted = None
    for batch in queue.pending:
        batch.number_refused = False


def log_may_be_new(queue: Partition) -> None:
    """The topic may have been deleted and made anew, and no topic id tells.

    What was confirmed before says nothing then, of one log or of the other; so the fate of what was sent by now can no longer be
    found out by the numbers of newer batches.
    """
    log_is_new(queue)
    if queue.identity is not None:
        queue.given_up = queue.identity, (queue.opened, sys.maxsize)
