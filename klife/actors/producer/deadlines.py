"""`Deadlines`: every batch of one producer that is not settled, and which of them are past their delivery
timeout.

They stand in the order of their deadlines. The timeout is the same for all, so that is the order they were
opened in; pieces of a batch stand where it stood, behind older batches of other partitions.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

from klife.actors.settings import NEVER

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.partition import Partition
    from klife.actors.producer.terms import Terms

OPEN_AT_MOST = 1.0  # seconds; see `next_look`
EXPIRED_A_TURN = 100  # batches; with thousands of partitions all at once would hold the hub


class Deadlines:
    """One producer's batches and their delivery timeout. Times are monotonic seconds."""

    __slots__ = ("pending", "due", "stood_still", "_terms", "_growing")

    def __init__(self, terms: Terms) -> None:
        self.pending: dict[Batch, Partition] = {}  # not settled, oldest first; always the same dict
        self.due: float = NEVER  # when its timer looks at the latest
        self.stood_still: float = 0.0  # seconds for which the hub had not run when the timer looked, if it was long
        self._terms = terms
        self._growing: list[Partition] = []  # each once; whose batch was opened since the last look, or is open still

    @property
    def oldest(self) -> float | None:
        """When the oldest that is not settled was produced. From any thread."""
        while True:
            try:
                return next((batch.created for batch in self.pending), None)
            except RuntimeError:  # the home thread has just changed it
                continue

    def watch(self, partition: Partition) -> None:
        """`partition` has opened a batch: see that it is not open for too long."""
        if not partition.growing:
            partition.growing = True
            self._growing.append(partition)

    def replace(self, batch: Batch, pieces: list[Batch]) -> None:
        """`batch` goes on in `pieces`, which take its place."""
        pending = self.pending
        order = list(pending)
        later = order[order.index(batch) + 1 :]
        fresh = dict.fromkeys(pieces, pending[batch])
        # Signal handlers run after a call, and may add to it, or raise: so nothing is missing after any.
        del pending[batch]
        pending.update(fresh)
        for each in later:  # to the end, one by one
            its_own = pending.get(each)
            if its_own is not None:
                del pending[each]
                pending[each] = its_own

    def expired(self, now: float, answers_may_come: bool) -> tuple[list[Batch], bool]:
        """What is past its delivery timeout, so much of it as a turn allows; and whether the next turn has to
        look for more.

        With `answers_may_come` what is in flight is left for the next turn: nobody has read yet what the
        sockets have.
        """
        timeout = self._terms.delivery_timeout
        late = list(takewhile(lambda batch: batch.created + timeout <= now, list(islice(self.pending, EXPIRED_A_TURN))))
        over = [batch for batch in late if not (answers_may_come and batch.in_flight)]
        return over, len(over) < len(late) or len(late) == EXPIRED_A_TURN

    def next_look(self, now: float) -> float | None:
        """When to look again, None when nothing is pending; close what has been open for too long.

        A batch's clock started at its first record. So that a record never pays for a much older one, a batch
        that could not be sent is closed after a second or two, and later records start a batch, and a clock,
        of their own.
        """
        lingers = self._terms.settings.linger  # which may well be longer than a second
        self._growing = [partition for partition in self._growing if not partition.close_if_older(now - lingers - OPEN_AT_MOST)]
        if not self.pending:
            return None
        due = next(iter(self.pending)).created + self._terms.delivery_timeout
        return min(due, now + OPEN_AT_MOST) if self._growing else due
