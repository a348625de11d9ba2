"""`KnownLog`: what a partition's log is known to have, from the broker's answers so far.

A batch whose fate is unknown is sent again under its old sequence, and the broker's answer tells: delivered,
and if it was there before, it is not written again. Only "out of order" is not clear. The batch may be
missing, with one before it; or it is there, and forgotten: a broker that was shut down and started again
remembers a producer's last batch and no other. A broker that has a batch has all that were sent before it
under the same identity, so the newer ones tell:

- one that was delivered: then this one is in the log, too;
- those whose fate is unknown as well are asked for in the same way, out of turn, newest first
  (`Partition.newest_uncertain`). If one is there, all before it are. If none is, they are all missing, and go
  under new sequences;
- one that was refused for good, its fate unknown, can not be asked for: then this one stays possibly
  persisted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.identity import Identity


class KnownLog:
    """One partition's log, as far as answers told. `Partition` writes what is written for each batch."""

    __slots__ = ("accepted", "accepted_at", "accepted_ordinal", "given_up", "has_append_time")

    def __init__(self) -> None:
        self.accepted: Identity | None = None  # the last one under which the broker wrote something
        self.accepted_at: float = 0.0  # when the last batch that was written was opened
        self.accepted_ordinal: int = 0  # of the newest batch that was written under it
        # Whose, and the order of, the newest batch that failed with its fate unknown: older ones can no
        # longer be verified.
        self.given_up: tuple[Identity, tuple[int, int]] | None = None
        self.has_append_time: bool = False  # whether the broker's clock gives the records their time (LogAppendTime), as far as known

    def has(self, batch: Batch) -> bool:
        """Whether the broker must have `batch`, because it confirmed a newer one under the same identity."""
        return self.accepted is not None and self.accepted is batch.identity and self.accepted_ordinal > batch.ordinal

    def can_tell(self, batch: Batch) -> bool:
        """Whether a refusal of its sequence means that `batch` is not in the log, once all newer uncertain
        ones were asked for.
        """
        given_up = self.given_up
        return given_up is None or given_up[0] is not batch.identity or given_up[1] < batch.order()

    def gave_up(self, batch: Batch) -> None:
        """`batch` is refused for good: if it may be in the log, nobody can ask for it any more."""
        if batch.identity is not None and batch.fate_unknown and self.can_tell(batch):
            self.given_up = batch.identity, batch.order()

    def is_new(self) -> None:
        """The topic was deleted and made anew: nothing that is known of the old log holds for this one."""
        self.accepted = None

    def may_be_new(self, identity: Identity | None, newest: int) -> None:
        """The topic may have been deleted and made anew, and no topic id tells.

        What was confirmed before says nothing then, of one log or of the other; so the fate of what was sent
        by now (under `identity`, up to the ordinal `newest`) can no longer be found out by the sequences of
        newer batches.
        """
        self.is_new()
        if identity is not None:
            self.given_up = identity, (newest, sys.maxsize)

    def append_time(self, batch: Batch, append_time_ms: int) -> int:
        """What `batch`'s records have for a timestamp, since its answer says this; -1: each its own.

        An append time in the answer means that the topic has LogAppendTime, with one exception: asked to
        write what it has, a broker answers with that batch's largest timestamp, whoever set it
        (`UnifiedLog.append`). For a topic of CreateTime that is the time of one of the records, and not of
        the others.
        """
        if append_time_ms < 0:
            self.has_append_time = False
        elif not batch.attempts:
            self.has_append_time = True
        elif not self.has_append_time and append_time_ms == max(batch.fields[3::4]):
            return -1
        return append_time_ms
