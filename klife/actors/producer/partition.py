"""`Partition`: the records of one partition on their way to its leader, and the numbers that make resending them safe.

A plain value. It outlives the actors that work on it: whoever drains it next finds everything here.

What it guards, in order of importance:

1. *Order.* Batches leave in the order they were opened. After a failure nothing newer leaves before the failed one has: a retry
   waits until everything in flight is back, then goes first, and alone: those sent behind it the first time may be in the log, and a
   broker remembers a producer's last five batches only. Pushed out by newer ones, a batch that has to be sent once more would look
   like one that was lost, and be written twice. Without idempotence only one batch is in flight, because the broker would not notice
   two that change places. The same holds for the first batch under an identity: a broker that knows nothing of a producer takes any
   number as its first, so the second batch, too, while it refuses the first one as too large. And for the first batch after a quiet
   time, because brokers forget quiet producers.
2. *Sequences.* A batch gets its identity (producer id, epoch) and base sequence when it is first sent and keeps them through every
   retry, on whatever leader; that is what makes a resend harmless. Sequences are per partition, not per request, and wrap at 2**31.
3. *Renumbering* (KIP-360). When a number is lost for good (`sequence_lost`: a batch ended without being written, or the broker lost
   track) the following batches can not be accepted under this epoch. They are renumbered from 0 under the next, once nothing is in
   flight, and only if no earlier attempt of a waiting batch may be in the log: such a batch is first resent under its old number,
   so that the broker's answer tells; see `uncertain`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from klife.actors.producer import uncertain
from klife.actors.producer.batch import Batch, Identity
from klife.actors.producer.uncertain import order

if TYPE_CHECKING:
    from klife.actors.producer.batch import Callback
    from klife.actors.producer.batcher import Batcher
    from klife.actors.producer.buffer_pool import Claim
    from klife.actors.producer.held_up import Refused
    from klife.actors.producer.places import Places
    from klife.actors.producer.producer import Producer
    from klife.actors.producer.route import TopicRoute

MAX_IN_FLIGHT = 5  # what brokers remember of a producer per partition; more could not be told from duplicates
REMEMBERED_SECONDS = 60.0  # a producer that was quiet for so long may be forgotten (producer.id.expiration.ms, by default a day)
_SEQUENCE_MASK = 0x7FFFFFFF
_NEVER = float("inf")


class Partition:
    """One partition of one producer."""

    __slots__ = (
        "producer",
        "route",
        "topic",
        "partition",
        "batcher",
        "open",
        "pending",
        "in_flight",
        "retry_at",
        "failures",
        "refused",
        "identity",
        "next_sequence",
        "sequence_lost",
        "accepted",
        "accepted_at",
        "accepted_number",
        "given_up",
        "has_append_time",
        "listed",
        "growing",
        "opened",
        "callback_backlog",
        "callbacks_running",
    )

    def __init__(self, route: TopicRoute, partition: int) -> None:
        self.producer: Producer = route.producer
        self.route = route
        self.topic = route.topic
        self.partition = partition
        self.batcher: Batcher | None = None  # None while the partition has no known leader
        self.open: Batch | None = None
        self.pending: list[Batch] = []  # closed batches, oldest first
        self.in_flight: list[Batch] = []
        self.retry_at = 0.0
        self.failures = 0  # in a row; the backoff grows with it
        self.refused: Refused | None = None  # how the last attempt failed, unless something was written or given up since
        self.identity: Identity | None = None
        self.next_sequence = 0
        self.sequence_lost = False
        self.accepted: Identity | None = None  # the last one under which the broker wrote something
        self.accepted_at = 0.0  # when the last batch that was written was opened
        self.accepted_number = 0  # the newest that was written under it
        self.given_up: tuple[Identity, tuple[int, int]] | None = None  # whose, and the order of, what `uncertain` can not ask for
        self.has_append_time = False  # whether the broker's clock gives the records their time (LogAppendTime), as far as known
        self.listed = False  # whether the batcher has it in its ready list
        self.growing = False  # whether the delivery clock looks at its open batch
        self.opened = 0  # batches so far: their order
        self.callback_backlog: list[Batch] = []
        self.callbacks_running = False

    # filling

    def begin(self, entry: tuple[Any, ...], size: int, claim: Claim | None, places: Places | None, at: int) -> Batch | None:
        """Close the open batch, if any, and open another, with `entry` for its first record; return it.

        Its `size` bytes are those of `claim`, which has them, or else taken from the pool. `places` are told, as number `at`. None
        where something that ran meanwhile has opened another, or has left no room: then nothing was done.

        Raises:
            ClientClosed: the client was stopped meanwhile. Nothing was queued.
        """
        if self.open is not None:
            self.close()
        producer = self.producer
        batch = Batch(self, monotonic(), producer.home, 0)
        batch.fields.extend(entry)
        batch.count = 1
        batch.size = size
        # From this look until it is the open batch there is no call: something that produces, too, might run in it.
        pool = producer.pool
        clock = producer.deadlines
        room = pool.room - size
        if producer.closed is not None:  # by what ran meanwhile, a partitioner perhaps: nobody would send it any more
            raise producer.closed_error()
        if self.open is not None or (room < 0 and claim is None):
            return None
        if claim is None:
            pool.room = room
        else:
            claim.granted = False
        self.opened = batch.number = self.opened + 1
        clock.pending[batch] = None
        self.open = batch
        if places is not None:
            places.batches[at] = batch
            places.indices[at] = 0
        batcher, hub_watch = self.batcher, producer.hub_watch
        try:
            if not self.growing or clock.due == _NEVER:  # what the clock asks too: mostly a call less
                clock.batch_opened(batch)
            if batch.created >= hub_watch.due:
                hub_watch.batch_opened(batch.created)
            if batcher is not None:
                batcher.batch_opened(self, batch)
            else:
                producer.routing.offer(self)  # it waits for a leader
        except BaseException:  # a signal handler's; nobody else would tell them
            clock.batch_opened(batch)
            producer.routing.offer(self)
            raise
        return batch

    def close(self) -> None:
        """No record joins the open batch any more."""
        batch = self.open
        assert batch is not None
        self.open = None
        self.pending.append(batch)
        if self.partition == self.route.sticky:
            self.route.stick_elsewhere()

    def close_if_older(self, opened_before: float) -> bool:
        """Close the open batch if it was opened before `opened_before`; return whether no batch is open (any more)."""
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

    def head(self, now: float, linger: float) -> Batch | None:
        """The batch that may leave now, or None. It is only looked at; `take` removes it."""
        pending = self.pending
        if pending and pending[0].is_set:
            self.drop_settled()
        if self.retry_at > now:
            return None
        if pending:
            batch = pending[0]
            if batch.number_refused:
                batch = uncertain.newest(self) or batch
        elif self.open is not None and now >= self.open.created + linger:
            batch = self.open
        else:
            return None
        if self.in_flight and (
            batch.attempts
            or self.in_flight[0].attempts
            or self.sequence_lost
            or self.accepted is not self.identity
            or self.in_flight[0].created > self.accepted_at + REMEMBERED_SECONDS
            or not self.producer.idempotent
            or len(self.in_flight) >= MAX_IN_FLIGHT
        ):
            return None
        if self.producer.idempotent:
            identity = self.identity
            settled = identity is not None and identity is self.producer.identity and not self.sequence_lost
            if not settled and not self._has_identity(batch):
                return None
        return batch

    def take_fresh(self, room: int) -> Batch | None:
        """The open batch, taken, if it is all there is and may leave at once; None sends the caller to `head`.

        What `head` and `take` come to for nearly every batch that leaves a healthy partition, in one call.
        """
        batch = self.open
        if batch is None or batch.size > room or self.pending or self.in_flight or self.retry_at or self.sequence_lost:
            return None
        if self.producer.idempotent:
            identity = self.identity
            if identity is None or identity is not self.producer.identity:
                return None
            batch.identity = identity
            batch.sequence = sequence = self.next_sequence
            self.next_sequence = (sequence + batch.count) & _SEQUENCE_MASK
        self.open = None
        if self.partition == self.route.sticky:
            self.route.stick_elsewhere()
        self.in_flight.append(batch)
        batch.in_flight = True
        return batch

    def due(self, now: float, linger: float) -> float | None:
        """When `head` may have something without anything else happening, or None when it waits for an answer or an identity."""
        if self.empty:
            return None
        if self.retry_at > now:
            return self.retry_at
        if not self.pending and self.open is not None and self.open.created + linger > now:
            return self.open.created + linger
        return None

    def take(self, batch: Batch) -> None:
        """Move `batch` (what `head` returned) in flight, with its number."""
        if batch is self.open:
            self.open = None
            if self.partition == self.route.sticky:
                self.route.stick_elsewhere()
        elif batch is self.pending[0]:
            del self.pending[0]
        else:
            self.pending.remove(batch)
        self.in_flight.append(batch)
        batch.in_flight = True
        if self.producer.idempotent and batch.identity is not self.identity:
            batch.identity = self.identity
            batch.sequence = self.next_sequence
            self.next_sequence = (self.next_sequence + batch.count) & _SEQUENCE_MASK
            batch.wire = None

    def _has_identity(self, batch: Batch) -> bool:
        """Make sure there is an identity to send `batch` under, renumbering if that is due; False when one must be fetched first."""
        producer = self.producer
        if self.in_flight:
            return True  # the numbers go on until all is back
        if batch.fate_unknown and batch.identity is self.identity and self.identity is not None:
            return True  # an earlier attempt may be in the log: only its old number can tell
        if self.sequence_lost and self.identity is producer.identity and self.identity is not None:
            producer.bump_epoch(self.identity)
        if self.identity is not producer.identity or self.sequence_lost:
            if producer.identity is None:
                producer.want_identity()
                return False
            self.identity = producer.identity
            self.next_sequence = 0
            self.sequence_lost = False
        return self.identity is not None

    # coming back

    def written(self, batch: Batch) -> None:
        """`batch` came back as delivered."""
        if batch.identity is not self.accepted or batch.number > self.accepted_number:
            self.accepted_number = batch.number
        self.accepted = batch.identity
        self.accepted_at = batch.created
        self.failures = 0
        self.refused = None
        self.retry_at = 0.0
        batch.in_flight = False
        in_flight = self.in_flight
        if in_flight and in_flight[0] is batch:
            del in_flight[0]
        else:
            self._landed(batch)
        if batch.attempts and self.pending:
            uncertain.settle_older(self, batch)

    def append_time(self, batch: Batch, append_time_ms: int) -> int:
        """What `batch`'s records have for a timestamp, since its answer says this; -1: each its own.

        An append time in the answer means that the topic has LogAppendTime, with one exception: asked to write what it has, a broker
        answers with that batch's largest timestamp, whoever set it (`UnifiedLog.append`). For a topic of CreateTime that is the time
        of one of the records, and not of the others.
        """
        if append_time_ms < 0:
            self.has_append_time = False
        elif not batch.attempts:
            self.has_append_time = True
        elif not self.has_append_time and append_time_ms == max(batch.fields[3::4]):
            return -1
        return append_time_ms

    def settled(self, batch: Batch) -> None:
        """`batch` came back with its final answer."""
        self._landed(batch)
        self.failures = 0
        self.refused = None

    def put_back(self, batch: Batch, retry_at: float) -> None:
        """`batch` came back to be sent again, not before `retry_at`; it takes its old place in the order."""
        self._landed(batch)
        self.retry_at = max(self.retry_at, retry_at)
        if not batch.is_set:
            self._insert(batch)

    def replace(self, batch: Batch, pieces: list[Batch], retry_at: float) -> None:
        """`batch` came back to be sent again in `pieces`."""
        self._landed(batch)
        self.retry_at = max(self.retry_at, retry_at)
        for piece in pieces:
            self._insert(piece)

    def _landed(self, batch: Batch) -> None:
        batch.in_flight = False
        if batch in self.in_flight:
            self.in_flight.remove(batch)

    def _insert(self, batch: Batch) -> None:
        mine = order(batch)
        place = next((place for place, other in enumerate(self.pending) if order(other) > mine), len(self.pending))
        self.pending.insert(place, batch)

    def call_when_settled(self, batch: Batch, index: int, callback: Callback) -> None:
        """Have `callback(result)` called off the I/O greenlets once `batch` is settled, after this partition's earlier callbacks."""
        self.producer.callbacks.add(batch, index, callback)
