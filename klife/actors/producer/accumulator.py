"""`Accumulator`: everything one producer knows about its records, apart from the actors that move them.

A plain value, owned by the client and not by any actor, as an ETS table outlives the process that fills it. Killing the producer's
actors at any moment loses nothing: what they were doing stands here, and their successors go on with it.

It keeps the queues and lanes, the identity (producer id and epoch), and the *clock*: every batch that is not settled, in the order
of their deadlines (the delivery timeout is the same for all, so that is the order they were opened in).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from zlib import crc32

from gevent import get_hub

from klife.actors.metadata_snapshot import NO_LEADER, ClusterSnapshot, TopicInfo
from klife.actors.producer import doubts
from klife.actors.producer.batch import Batch, Identity
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.callbacks import Callbacks
from klife.actors.producer.lane import Lane
from klife.actors.producer.partition_queue import PartitionQueue
from klife.actors.producer.route import TopicRoute
from klife.actors.runtime.latch import Latch
from klife.actors.runtime.turn import Turn
from klife.actors.settings import HUB_RUNS_EVERY_MS, ProducerSettings
from klife.errors import ClientClosed, DeliveryTimeout, ProduceError
from klife_supervision.breathe import let_hub_run

if TYPE_CHECKING:
    from klife.actors.channel import BrokerChannel
    from klife.actors.runtime.inbox import Inbox

_MAX_EPOCH = 32767
_OPEN_AT_MOST = 1.0  # seconds; see `expire`
EXPIRED_A_TURN = 100  # batches; with thousands of partitions all at once would hold the hub
_NEVER = float("inf")


class Accumulator:
    """The state of one producer."""

    def __init__(
        self, settings: ProducerSettings, pool: BufferPool, home: int, max_block: float, channel_of: Callable[[int], BrokerChannel]
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.home = home
        self.max_block = max_block
        self.idempotent = settings.idempotent
        self.routes: dict[str, TopicRoute] = {}
        self.lanes: dict[tuple[int, int], Lane] = {}
        self.turn = Turn(get_hub().loop)
        self.callbacks = Callbacks(pool, home, self.turn)
        self.pending: dict[Batch, None] = {}  # not settled, oldest first
        self.linger = settings.linger  # seconds an open batch waits for company; none while somebody waits for it to leave
        self.identity: Identity | None = None
        self.identity_known = Latch(home)  # set while there is one
        self.identity_error: str | None = None  # why there is none yet
        self.inbox: Inbox | None = None  # the ProducerActor's, while it lives
        self.clock_due = _NEVER  # when the ProducerActor looks at the clock next
        self.hurried = 0  # how many wait for records to leave
        self._loop = get_hub().loop
        self._hub_marked = False
        self.hub_looked_ms = 0  # when it was last seen whether the hub is due; wall clock, because a record's time is at hand
        self._hub_due_ms = 0  # when a caller in a tight loop lets the hub run
        self._growing: list[PartitionQueue] = []  # each once; whose batch was opened since the clock last looked, or is open still
        self.closed: str | None = None
        self.delivered = 0
        self.failed = 0
        self.requests = 0
        self.retries = 0
        self._channel_of = channel_of
        self._leaderless: dict[PartitionQueue, None] = {}  # with something to send, as far as known
        self._absent: dict[str, TopicRoute] = {}  # routes of topics that disappeared, with what is still queued for them

    # topics and leaders

    def add_topic(self, info: TopicInfo, partitioner: Any) -> TopicRoute:
        """The route of a topic, made when it is first produced to."""
        route = self._absent.pop(info.name, None)
        if route is None:
            route = TopicRoute(self, info, partitioner)
        self.routes[info.name] = route
        self._follow(route, info)
        return route

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Move partitions to their leaders' lanes, with everything that is queued; numbers and order stay as they are."""
        for topic, route in list(self.routes.items()):
            info = snapshot.topics.get(topic)
            if info is None:
                del self.routes[topic]
                self._absent[topic] = route
                self._follow(route, TopicInfo(topic, route.info.topic_id, (NO_LEADER,) * route.count, (-1,) * route.count))
            elif info is not route.info:
                self._follow(route, info)
        for topic, route in list(self._absent.items()):
            info = snapshot.topics.get(topic)
            if info is not None:
                self.add_topic(info, route.partitioner)

    def _follow(self, route: TopicRoute, info: TopicInfo) -> None:
        if info.topic_id != route.info.topic_id:
            for queue in route.queues:
                if queue is not None:
                    doubts.log_is_new(queue)
        route.info = info
        if info.partition_count > route.count:
            route.queues.extend([None] * (info.partition_count - route.count))
        route.count = info.partition_count
        for queue in route.queues:
            if queue is not None:
                self.place(queue)
        # A topic made anew with fewer partitions: what was queued beyond them expires. Should there be more again, they must not begin
        # with numbers that were used: a broker would take new records for those it has.
        for queue in route.queues[route.count :]:
            if queue is not None and queue.identity is not None:
                self.bump_epoch(queue.identity)
        del route.queues[route.count :]
        if route.sticky >= route.count:
            route.stick_elsewhere()

    def place(self, queue: PartitionQueue) -> None:
        """Put `queue` on the lane of its partition's leader, or on none while there is no leader."""
        leaders = queue.route.info.leaders
        leader = leaders[queue.partition] if queue.partition < len(leaders) else NO_LEADER
        lane = None if leader == NO_LEADER else self._lane(leader, queue)
        if lane is queue.lane:
            return
        queue.lane = lane
        queue.listed = False
        queue.retry_at = 0.0  # the backoff was for the old leader
        self.offer(queue)

    def _lane(self, node_id: int, queue: PartitionQueue) -> Lane:
        index = (crc32(queue.topic.encode()) + queue.partition) % self.settings.batchers_count
        lane = self.lanes.get((node_id, index))
        if lane is None:
            lane = self.lanes[node_id, index] = Lane(self, node_id, index, self._channel_of(node_id))
            self.wake()  # the ProducerActor starts its batcher
        return lane

    def offer(self, queue: PartitionQueue) -> None:
        """`queue` may have something to send again: on its lane, or, while it has no leader, once it has one."""
        if queue.empty:
            return
        if queue.lane is not None:
            queue.lane.offer(queue)
        else:
            self._leaderless[queue] = None
            self.wake()

    def holds(self, topic: str) -> bool:
        """Whether records are queued for `topic`."""
        route = self.routes.get(topic) or self._absent.get(topic)
        return route is not None and any(queue is not None and not queue.empty for queue in route.queues)

    def has_leaderless(self) -> bool:
        """Whether records wait for a partition to have a leader."""
        for queue in list(self._leaderless):
            queue.drop_settled()
            if queue.lane is not None or queue.empty:
                del self._leaderless[queue]
        return bool(self._leaderless)

    def look_at_hub(self, now_ms: int) -> None:
        """A millisecond has begun in which records are produced: let the hub run if it is due."""
        self.hub_looked_ms = now_ms
        if not 0 <= self._hub_due_ms - now_ms <= HUB_RUNS_EVERY_MS:  # it is due, or the wall clock was set back
            self._hub_overdue(now_ms)

    def _hub_overdue(self, now_ms: int) -> None:
        """Nobody has noticed the hub running for some milliseconds: find out whether it does, and if not, let it.

        A greenlet that produces in a tight loop would otherwise keep everybody waiting, its own records included, until the buffer
        is full. One that merely comes after a quiet time only leaves a mark for the hub to wipe out. It yields before its record is
        queued: what is thrown into it meanwhile (a kill, a timeout) must mean that nothing was.
        """
        if self._hub_marked:
            self.hub_ran(time())  # at once, so that those who produce during this turn do not ask for another
            let_hub_run()
            self.hub_ran(time())
            if self.closed is not None:
                raise self.closed_error()
        else:
            self._hub_marked = True
            self._loop.run_callback(self._wipe_mark)
            self._hub_due_ms = now_ms + HUB_RUNS_EVERY_MS

    def _wipe_mark(self) -> None:
        self._hub_marked = False

    def hub_ran(self, now: float) -> None:
        """The hub ran at `now` (wall-clock seconds), so no caller needs to let it for some milliseconds."""
        self._hub_marked = False
        self._hub_due_ms = int(now * 1000) + HUB_RUNS_EVERY_MS

    # identity

    def want_identity(self) -> None:
        """A batch can not be sent for want of a producer id; the ProducerActor fetches one."""
        self.wake()

    def bump_epoch(self, lost: Identity) -> None:
        """The next epoch after `lost` (KIP-360), or none when the epochs are used up: then a new id is fetched."""
        if self.identity is not lost:
            return
        if lost.epoch < _MAX_EPOCH:
            self.identity = Identity(lost.producer_id, lost.epoch + 1)
        else:
            self.discard_identity(lost)

    def discard_identity(self, refused: Identity | None) -> None:
        """The broker refuses this id: a new one is fetched."""
        if refused is not None and self.identity is not None and self.identity.producer_id == refused.producer_id:
            self.identity = None
            self.identity_known = Latch(self.home)
            self.wake()

    # the clock

    def batch_opened(self, batch: Batch) -> None:
        self.pending[batch] = None
        queue = batch.queue
        if not queue.growing:
            queue.growing = True
            self._growing.append(queue)
        if queue.lane is None:
            self._leaderless[queue] = None
            self.wake()
        elif batch.created + _OPEN_AT_MOST < self.clock_due:
            self.wake()

    def expire(self, now: float) -> float | None:
        """Settle what is past its delivery timeout, so much of it as a turn allows; return when to look again, None when nothing is
        pending.

        A batch's clock started at its first record. So that a record never pays for a much older one, a batch that could not be sent
        is closed after a second or two, and later records start a batch, and a clock, of their own.
        """
        timeout = self.settings.delivery_timeout
        late = list(takewhile(lambda batch: batch.created + timeout <= now, islice(self.pending, EXPIRED_A_TURN)))
        for batch in late:
            self._expire_batch(batch)
        if len(late) == EXPIRED_A_TURN:
            return now  # perhaps there are more: they have the next turn
        lingers = self.settings.linger  # which may well be longer than a second
        self._growing = [queue for queue in self._growing if not queue.close_if_older(now - lingers - _OPEN_AT_MOST)]
        if not self.pending:
            return None
        due = next(iter(self.pending)).created + timeout
        return min(due, now + _OPEN_AT_MOST) if self._growing else due

    def _expire_batch(self, batch: Batch) -> None:
        queue = batch.queue
        unknown = batch.in_flight or batch.fate_unknown
        waited = f"not delivered within delivery_timeout_ms ({self.settings.delivery_timeout * 1000:g} ms)"
        why = self._held_up_by(batch)
        error = DeliveryTimeout(
            f"records of {queue.topic}-{queue.partition} were {waited}: {why}. "
            + (
                "They may be in the log: check before sending them again."
                if unknown
                else "They were not written, and may be sent again."
            ),
            topic=queue.topic,
            partition=queue.partition,
            retriable=True,
            possibly_persisted=unknown,
        )
        if batch is queue.open:
            queue.close()
        if batch.identity is not None:
            queue.sequence_lost = True
        self.settle(batch, None, -1, error)

    def _held_up_by(self, batch: Batch) -> str:
        queue = batch.queue
        if batch.in_flight:
            return "the broker has not answered yet"
        if queue.lane is None:
            return "the partition has no leader"
        if self.idempotent and self.identity is None:
            return f"no producer id could be had ({self.identity_error or 'no broker answered'})"
        if not queue.lane.channel.is_ready:
            return f"broker {queue.lane.node_id} can not be reached ({queue.lane.channel.describe()})"
        return f"broker {queue.lane.node_id} had {len(queue.lane.calls)} requests to answer first, {batch.attempts} attempts were made"

    # outcomes

    def settle(self, batch: Batch, base_offset: int | None, append_time_ms: int, error: ProduceError | None) -> None:
        """Give `batch` its outcome, once; whoever waits is woken, its callbacks run, its bytes come free."""
        self.pending.pop(batch, None)
        if batch.is_set:
            return
        if error is None:
            self.delivered += len(batch.records)
        else:
            self.failed += len(batch.records)
        batch.wire = None
        root = batch.root
        if root is None:
            batch.base_offset, batch.append_time_ms, batch.error = base_offset, append_time_ms, error
            self._complete(batch)
            return
        batch.set()  # a piece nobody waits on; its root is what callers hold
        if batch.report(base_offset, append_time_ms, error):
            self._complete(root)

    def written(self, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        """The broker has written `batch`: it leaves its queue and is settled. Once for nearly every batch, so in few calls."""
        batch.queue.written(batch)
        if batch.root is not None or batch.is_set:
            self.settle(batch, base_offset if base_offset >= 0 else None, append_time_ms, None)
            return
        self.pending.pop(batch, None)
        self.delivered += len(batch.records)
        batch.wire = None
        if base_offset >= 0:
            batch.base_offset = base_offset
        if append_time_ms >= 0:
            batch.append_time_ms = append_time_ms
        batch.set()
        if batch.callbacks is None:
            self.pool.give(batch.size)
        else:
            self.callbacks.batch_settled(batch)

    def split(self, batch: Batch, pieces: list[Batch]) -> None:
        """`batch` goes on in `pieces`; they take its place on the clock, behind older batches of other partitions."""
        for piece in pieces:
            piece.size = sum(len(key or b"") + len(value or b"") for key, value, _, _ in piece.records)
        clock = list(self.pending)
        place = clock.index(batch)
        clock[place : place + 1] = pieces
        self.pending = dict.fromkeys(clock)

    def _complete(self, batch: Batch) -> None:
        batch.set()
        if batch.callbacks is None:
            self.pool.give(batch.size)
        else:
            self.callbacks.batch_settled(batch)

    # the end

    def close(self, reason: str) -> None:
        """Take no more records; `reason` ends the error that `produce` raises from now on."""
        if self.closed is None:
            self.closed = reason

    def closed_error(self) -> ClientClosed:
        return ClientClosed(f"the client takes no more records: {self.closed}. Nothing was queued; start a new client.")

    def abandon(self, reason: str) -> int:
        """Settle everything that is left as failed, or possibly persisted; return how many records that were."""
        count = 0
        for batch in list(self.pending):
            queue = batch.queue
            unknown = batch.in_flight or batch.fate_unknown
            if batch is queue.open:
                queue.close()
            count += len(batch.records)
            fate = "may be in the log: check before sending them again" if unknown else "were not written"
            self.settle(
                batch,
                None,
                -1,
                ProduceError(
                    f"{reason}; records of {queue.topic}-{queue.partition} {fate}",
                    topic=queue.topic,
                    partition=queue.partition,
                    retriable=True,
                    possibly_persisted=unknown,
                ),
            )
        return count

    def fail_unsent(self, error_of: Callable[[str, int], ProduceError]) -> None:
        """Settle as failed what was never sent, because it never can be."""
        for batch in list(self.pending):
            queue = batch.queue
            if not batch.in_flight and not batch.attempts:
                if batch is queue.open:
                    queue.close()
                self.settle(batch, None, -1, error_of(queue.topic, queue.partition))

    @property
    def unsettled(self) -> int:
        """Records without an outcome."""
        return sum(len(batch.records) for batch in self.pending)

    def hurry(self, by: int) -> None:
        """One more (1) or one less (-1) who waits for records to leave: a flush, or callers for buffer space. Nothing lingers then."""
        self.hurried += by
        self.linger = 0.0 if self.hurried else self.settings.linger
        if by > 0:
            for lane in self.lanes.values():
                lane.wake()

    def flush(self, deadline: float) -> int:
        """Send without linger and wait, until `deadline` (monotonic seconds), for all that is pending now; return what is left."""
        # Of a batch in pieces, the whole: a piece that is split once more is nobody's to settle.
        batches = list(dict.fromkeys([batch.root or batch for batch in self.pending]))
        self.hurry(1)
        try:
            for batch in batches:
                if not batch.wait(deadline - monotonic()):
                    break
        finally:
            self.hurry(-1)
        return sum(batch.missing or len(batch.records) for batch in batches if not batch.is_set)

    def wake(self) -> None:
        """Have the ProducerActor look."""
        if self.inbox is not None:
            self.inbox.wake()
