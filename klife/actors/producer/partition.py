"""`Partition`: the records of one partition on their way to its leader, and the sequences that make resending
them safe.

A plain value. It outlives the actors that work on it: whoever drains it next finds everything here. It says
what may leave, and what follows from an answer; it gives no batch its outcome, wakes nobody, and changes
nothing but itself and its batches.

What it guards, in order of importance:

1. *Order.* Batches leave in the order they were opened. After a failure nothing newer leaves before the
   failed one has: a retry waits until everything in flight is back, then goes first, and alone: those sent
   behind it the first time may be in the log, and a broker remembers a producer's last five batches only.
   Pushed out by newer ones, a batch that has to be sent once more would look like one that was lost, and be
   written twice. Without idempotence only one batch is in flight, because the broker would not notice two
   that change places. The same holds for the first batch under an identity: a broker that knows nothing of a
   producer takes any sequence as its first, so the second batch, too, while it refuses the first one as too
   large. And for the first batch after a quiet time, because brokers forget quiet producers.
2. *Sequences.* A batch gets its identity (producer id, epoch) and base sequence when it is first sent and
   keeps them through every retry, on whatever leader; that is what makes a resend harmless. Sequences are per
   partition, not per request, and wrap at 2**31.
3. *Renumbering* (KIP-360). When a sequence is lost for good (`sequence_lost`: a batch ended without being
   written, or the broker lost track) the following batches can not be accepted under this epoch. They are
   renumbered from 0 under the next, once nothing is in flight, and only if no earlier attempt of a waiting
   batch may be in the log: such a batch is first resent under its old sequence, so that the broker's answer
   tells; see `known_log`. A partition can only wish for the next epoch (`take`): it is all partitions', and
   the producer's to bump.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from klife import cython_shim as cython
from klife.actors.producer.batch import Batch
from klife.actors.producer.known_log import KnownLog
from klife.protocol.primitives import INT32_MAX, ZERO_UUID

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.producer.identity import Identity
    from klife.actors.producer.terms import Terms

_SEQUENCE_MASK = cython.declare("long long", INT32_MAX)  # Kafka's sequences wrap at 2**31
MAX_IN_FLIGHT = 5  # what brokers remember of a producer per partition; more could not be told from duplicates
REMEMBERED_SECONDS = 60.0  # a producer that was quiet for so long may be forgotten (producer.id.expiration.ms, by default a day)


class Refused(NamedTuple):
    """How an attempt failed: with Kafka's code and perhaps the broker's words, or (None) with what became of
    the connection.
    """

    code: int | None
    words: str | None


class Partition:
    """One partition of one producer."""

    __slots__ = (
        "topic",
        "partition_id",
        "topic_id",
        "leader_error",
        "served_by",
        "open",
        "pending",
        "in_flight",
        "retry_at",
        "failures",
        "refused",
        "identity",
        "next_sequence",
        "sequence_lost",
        "log",
        "listed",
        "growing",
        "opened",
        "_idempotent",
    )

    def __init__(self, topic: str, partition_id: int, terms: Terms) -> None:
        self.topic: str = topic
        self.partition_id: int = partition_id
        self.topic_id: bytes = ZERO_UUID  # as the cluster last told
        self.leader_error: int = 0  # Kafka's code with which the cluster names no leader
        # The `Batcher` that has it, set and used by those above: here it is only kept. None while the
        # partition has no known leader.
        self.served_by: Any = None
        self.open: Batch | None = None
        self.pending: list[Batch] = []  # closed batches, oldest first
        self.in_flight: list[Batch] = []
        self.retry_at: float = 0.0
        self.failures: int = 0  # in a row; the backoff grows with it
        self.refused: Refused | None = None  # how the last attempt failed, unless something was written or given up since
        self.identity: Identity | None = None
        self.next_sequence: int = 0
        self.sequence_lost: bool = False
        self.log: KnownLog = KnownLog()
        self.listed: bool = False  # whether the batcher has it in its ready list
        self.growing: bool = False  # whether `Deadlines` looks at its open batch
        self.opened: int = 0  # batches so far: the ordinal of the newest
        self._idempotent = terms.idempotent

    # filling

    def close(self) -> None:
        """No record joins the open batch any more, if there is one: another thread may have been first."""
        batch = self.open
        if batch is None:
            return
        self.open = None
        self.pending.append(batch)

    def close_if_older(self, opened_before: float) -> bool:
        """Close the open batch if it was opened before `opened_before`; return whether no batch is open (any
        more).
        """
        if self.open is not None and self.open.created <= opened_before:
            self.close()
        self.growing = self.open is not None
        return not self.growing

    # draining

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.open is None and not self.pending

    def drop_settled(self) -> None:
        """Forget batches at the front whose delivery timeout passed while they waited."""
        while self.pending and self.pending[0].is_set:
            del self.pending[0]

    @cython.locals(batch="Batch")
    def head(self, now: float, linger: float) -> Batch | None:
        """The batch whose turn it is, or None; it stays where it is until `take`."""
        pending = self.pending
        if pending and pending[0].is_set:
            self.drop_settled()
        if self.retry_at > now:
            return None
        if pending:
            batch = pending[0]
            if batch.sequence_refused:
                batch = self.newest_uncertain() or batch
        elif self.open is not None and now >= self.open.created + linger:
            batch = self.open
        else:
            return None
        if self.in_flight and (
            batch.attempts
            or self.in_flight[0].attempts
            or self.sequence_lost
            or self.log.accepted is not self.identity
            or self.in_flight[0].created > self.log.accepted_at + REMEMBERED_SECONDS
            or not self._idempotent
            or len(self.in_flight) >= MAX_IN_FLIGHT
        ):
            return None
        return batch

    def take_fresh(self, room: int, identity: Identity | None) -> Batch | None:
        """The open batch, taken under `identity`, if it is all there is and may leave at once; None sends the
        caller to `head`.

        What `head` and `take` come to for nearly every batch that leaves a healthy partition, in one call.
        """
        batch = self.open
        if batch is None or batch.size > room or self.pending or self.in_flight or self.retry_at or self.sequence_lost:
            return None
        if self._idempotent:
            if identity is None or identity is not self.identity:
                return None
            batch.identity = identity
            batch.sequence = sequence = self.next_sequence
            self.next_sequence = (sequence + batch.count) & _SEQUENCE_MASK
        self.open = None
        self.in_flight.append(batch)
        batch.in_flight = True
        return batch

    def due(self, now: float, linger: float) -> float | None:
        """When `head` may have something without anything else happening, or None when it waits for an
        answer.
        """
        if self.empty:
            return None
        if self.retry_at > now:
            return self.retry_at
        if not self.pending and self.open is not None and self.open.created + linger > now:
            return self.open.created + linger
        return None

    def take(self, batch: Batch, identity: Identity | None) -> bool:
        """Move `batch` (what `head` returned) in flight, with its sequence, now that `identity` is the
        producer's. Where that is new to this partition, sequences begin anew under it.

        False is a wish, and nothing was done: the batch needs another identity, because sequences were lost
        under this one, or because there is none; or it needs to be admitted by this one.
        """
        if self._idempotent:
            in_order = identity is not None and identity is self.identity and not self.sequence_lost
            if not in_order and not self._has_sequence(batch, identity):
                return False
        self.in_flight.append(batch)  # first: it stands somewhere at each moment
        batch.in_flight = True
        if batch is self.open:
            self.open = None
        elif batch is self.pending[0]:
            del self.pending[0]
        else:
            self.pending.remove(batch)
        if self._idempotent and batch.identity is not self.identity:
            batch.identity = self.identity
            batch.sequence = self.next_sequence
            self.next_sequence = (self.next_sequence + batch.count) & _SEQUENCE_MASK
            batch.wire = None
        return True

    def _has_sequence(self, batch: Batch, identity: Identity | None) -> bool:
        """Whether `batch` has, or will be given, a sequence that the broker can accept; renumber if that is
        due.
        """
        if self.in_flight:
            return True  # the sequences go on until all is back
        if batch.fate_unknown and batch.identity is self.identity and self.identity is not None:
            return True  # an earlier attempt may be in the log: only its old sequence can tell
        if identity is None or (self.sequence_lost and identity is self.identity) or not identity.admits(self):
            return False
        if not identity.continues(self.identity):
            self.next_sequence = 0
        self.identity = identity
        self.sequence_lost = False
        return True

    # coming back

    @cython.locals(log="KnownLog", in_flight=list)
    def written(self, batch: Batch) -> list[Batch] | None:
        """`batch` came back as delivered. Returns the older ones, if any, that are thereby known to be in the
        log, too.
        """
        log = self.log
        if batch.identity is not log.accepted or batch.ordinal > log.accepted_ordinal:
            log.accepted_ordinal = batch.ordinal
        log.accepted = batch.identity
        log.accepted_at = batch.created
        self.failures = 0
        self.refused = None
        self.retry_at = 0.0
        batch.in_flight = False
        in_flight = self.in_flight
        if in_flight and in_flight[0] is batch:
            del in_flight[0]
        else:
            self._landed(batch)
        return self._older_than(batch) if batch.attempts and self.pending else None

    def _older_than(self, batch: Batch) -> list[Batch]:
        """The log has `batch`, so it has those that were sent before it under its identity; where, the broker
        forgot.

        There are such only when it was asked for out of turn: a batch that is sent again is the oldest
        otherwise.
        """
        mine = batch.order()
        return [each for each in self.pending if each.identity is batch.identity and each.order() < mine]

    def came_back(self, batch: Batch) -> None:
        """`batch` came back with its final answer."""
        self._landed(batch)
        self.failures = 0
        self.refused = None

    def gave_up(self, batch: Batch) -> None:
        """`batch` came back refused for good: its sequence is lost."""
        self.came_back(batch)
        if batch.identity is not None:
            self.sequence_lost = True  # later batches were numbered behind this one
            self.log.gave_up(batch)

    def holds(self, batch: Batch) -> bool:
        """Whether `batch` stands among those that wait to be sent."""
        return batch is self.open or batch in self.pending

    def put_back(self, batch: Batch) -> None:
        """`batch` came back to be sent again; it takes its old place in the order. Nothing is done if it has
        it.
        """
        if not batch.is_set and batch.outcomes is None and not self.holds(batch):
            self._insert(batch)
        self._landed(batch)  # last: who is interrupted before finds it in flight

    def replace(self, batch: Batch, pieces: list[Batch]) -> None:
        """`batch` came back to be sent again in `pieces`."""
        self._landed(batch)
        for piece in pieces:
            self._insert(piece)

    def _landed(self, batch: Batch) -> None:
        if batch in self.in_flight:
            self.in_flight.remove(batch)
        batch.in_flight = False

    def _insert(self, batch: Batch) -> None:
        mine = batch.order()
        place = next((place for place, other in enumerate(self.pending) if other.order() > mine), len(self.pending))
        self.pending.insert(place, batch)

    # what may be in the log

    def is_next(self, batch: Batch) -> bool:
        """Whether no earlier batch of the partition is still to be written; if one is, this batch's sequence
        just came too early.

        What is sent again goes alone, and is the oldest or asked for out of turn; so this is asked of first
        attempts only.
        """
        mine = batch.order()
        return not any(
            other is not batch and not other.is_set and other.identity is batch.identity and other.order() < mine
            for other in (*self.in_flight, *self.pending)
        )

    def newest_uncertain(self) -> Batch | None:
        """The newest waiting batch that may be in the log under its sequence, and whose sequence was not
        refused yet.
        """
        for batch in reversed(self.pending):
            if batch.fate_unknown and batch.identity is self.identity and not batch.sequence_refused and not batch.is_set:
                return batch
        return None

    def all_missing(self) -> None:
        """Of the batches whose sequences were refused none is in the log: they go under new ones."""
        for batch in self.pending:
            if batch.sequence_refused:
                batch.sequence_refused = batch.fate_unknown = False
        self.sequence_lost = True

    def log_is_new(self, surely: bool) -> None:
        """The topic was deleted and made anew, `surely` or as far as can be told without topic ids."""
        if surely:
            self.log.is_new()
        else:
            self.log.may_be_new(self.identity, self.opened)
        for batch in self.pending:
            batch.sequence_refused = False
