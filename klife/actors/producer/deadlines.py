"""`Deadlines`: every batch of one producer that is not settled, and the end of those whose delivery timeout has passed.

They stand in the order of their deadlines. The timeout is the same for all, so that is the order they were opened in; pieces of a
batch stand where it stood, behind older batches of other partitions.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

from gevent import get_hub

from klife.actors.producer.deadline_timer import DeadlineTimer
from klife.actors.producer.held_up import held_up_by, what_to_do
from klife.errors import DeliveryTimeout

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.partition import Partition
    from klife.actors.producer.producer import Producer

_OPEN_AT_MOST = 1.0  # seconds; see `expire`
EXPIRED_A_TURN = 100  # batches; with thousands of partitions all at once would hold the hub
_NEVER = float("inf")


class Deadlines:
    """One producer's batches and their delivery timeout. Its `DeadlineTimer` looks at it."""

    def __init__(self, producer: Producer) -> None:
        self.pending: dict[Batch, None] = {}  # not settled, oldest first
        self.due = _NEVER  # when its timer looks at the latest
        self.stood_still = 0.0  # seconds for which the hub had not run when the timer looked, if it was long
        self._producer = producer
        self._timer = DeadlineTimer(producer, get_hub().loop)
        self._growing: list[Partition] = []  # each once; whose batch was opened since the last look, or is open still

    def batch_opened(self, batch: Batch) -> None:
        """`batch`, which is pending already, is open: from its first record on its time runs."""
        queue = batch.queue
        if not queue.growing:
            queue.growing = True
            self._growing.append(queue)
        if batch.created + _OPEN_AT_MOST < self.due:
            self._timer.look_by(batch.created + _OPEN_AT_MOST)
            self._producer.wake()

    def replace(self, batch: Batch, pieces: list[Batch]) -> None:
        """`batch` goes on in `pieces`, which take its place."""
        order = list(self.pending)
        place = order.index(batch)
        order[place : place + 1] = pieces
        self.pending = dict.fromkeys(order)

    def stop(self) -> None:
        """Look no more."""
        self._timer.stop()

    @property
    def ran_at(self) -> float:
        """When the hub is known to have run last (monotonic seconds), while anything is pending. From any thread."""
        return self._timer.ran_at

    def catch_up(self, now: float) -> bool:
        """The hub stood still, it seems: settle what was not sent in time. Return whether to call it again, in another turn."""
        self._timer.hub_runs(now)
        return self.expire(now, answers_may_come=True) == now

    def expire(self, now: float, answers_may_come: bool = False) -> float | None:
        """Settle what is past its delivery timeout, so much of it as a turn allows; return when to look again, None when nothing is
        pending.

        With `answers_may_come` what is in flight is left for the next turn: nobody has read yet what the sockets have.

        A batch's clock started at its first record. So that a record never pays for a much older one, a batch that could not be sent
        is closed after a second or two, and later records start a batch, and a clock, of their own.
        """
        settings = self._producer.settings
        timeout = settings.delivery_timeout
        late = list(takewhile(lambda batch: batch.created + timeout <= now, list(islice(self.pending, EXPIRED_A_TURN))))
        spared = 0
        for batch in late:
            if answers_may_come and batch.in_flight:
                spared += 1
            else:
                self._expire_batch(batch)
        if spared or len(late) == EXPIRED_A_TURN:
            return now  # these, and perhaps more, have the next turn
        lingers = settings.linger  # which may well be longer than a second
        self._growing = [queue for queue in self._growing if not queue.close_if_older(now - lingers - _OPEN_AT_MOST)]
        if not self.pending:
            return None
        due = next(iter(self.pending)).created + timeout
        return min(due, now + _OPEN_AT_MOST) if self._growing else due

    def _expire_batch(self, batch: Batch) -> None:
        queue = batch.queue
        unknown = batch.in_flight or batch.fate_unknown
        timeout_ms = self._producer.settings.delivery_timeout * 1000
        waited = f"not delivered within delivery_timeout_ms ({timeout_ms:g} ms)"
        why, code = held_up_by(batch)
        why = self._stood_still() or why
        error = DeliveryTimeout(
            f"records of {queue.topic}-{queue.partition} were {waited}: {why}. {what_to_do(unknown)}",
            topic=queue.topic,
            partition=queue.partition,
            error_code=code,
            retriable=True,
            possibly_persisted=unknown,
        )
        if batch.identity is not None:
            queue.sequence_lost = True
        self._producer.fail(batch, error)

    def _stood_still(self) -> str | None:
        if self.stood_still < self._producer.settings.delivery_timeout / 2:
            return None
        return (
            f"the gevent hub of the thread that started the client had not run for {self.stood_still:.0f} s, and without it nothing is "
            "sent or read; keep that thread in gevent (gevent.sleep, Event, joinall), also at a prompt, and out of blocking calls"
        )
