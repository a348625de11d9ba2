"""`Batcher`: the partitions of one broker that one batcher serves, and which of them have something to send.
`Batchers`: all of one producer's, and the partitions that no broker leads.

Plain values between the callers, who put partitions on a batcher, and its actor, who drains it. Work is
proportional to the partitions that have records now, never to those that exist: a partition is on the ready
list only while it has something, and one that lingers or backs off waits in a heap by its time. One that
waits for an answer is on neither; the answer puts it back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife import cython_shim as cython
from klife.actors.metadata.snapshot import NO_LEADER
from klife.actors.settings import NEVER

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.network.broker import Broker
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.identity import Identity
    from klife.actors.producer.partition import Partition
    from klife.actors.producer.terms import Terms
    from klife.actors.runtime.inbox import Inbox

# Bytes. The cost of sending so many is that of the bytes, not of the request; and in a batch of so many, not of the batch.
_WORTH_A_REQUEST = cython.declare(cython.Py_ssize_t, 65_536)
_WORTH_A_BATCH = cython.declare(cython.Py_ssize_t, 4_096)
_GROWS_AT_MOST = cython.declare(cython.double, 0.01)  # seconds
# Seconds. Records that come so soon behind a request, before its answer, would have been in it, had it waited for the
# loop to be idle.
_COMPANY = cython.declare(cython.double, 0.00025)
_LEAST_PATIENCE = cython.declare(cython.Py_ssize_t, 16)
_MOST_PATIENCE = cython.declare(cython.Py_ssize_t, 1024)


class Batcher:
    """State of the batcher `index` of broker `node_id`."""

    __slots__ = (
        "terms",
        "node_id",
        "index",
        "broker",
        "ready",
        "calls",
        "completed",
        "inbox",
        "max_in_flight",
        "has_actor",
        "wake_at",
        "gathers",
        "ahead",
        "_patience",
        "_left_alone_at",
        "_later",
        "_ticket",
        "_seen",
    )

    def __init__(self, terms: Terms, node_id: int, index: int, broker: Broker) -> None:
        self.terms: Terms = terms
        self.node_id: int = node_id
        self.index: int = index
        self.max_in_flight: int = terms.max_in_flight
        self.broker: Broker = broker
        self.ready: deque[Partition] = deque()
        self.calls: set[Any] = set()  # produce requests without an answer
        self.completed: deque[Any] = deque()  # answered ones the batcher has not looked at yet
        self.inbox: Inbox | None = None  # the actor's, while it lives; a new one looks at everything when it starts
        self.has_actor: bool = False  # whether its supervisor was told to run one
        self.wake_at: float = NEVER  # when the actor wakes by itself
        self.gathers: int = _LEAST_PATIENCE  # so many requests wait for the loop to be idle, before one is tried that does not
        self.ahead: list[Batch] = []  # those that were given to be compressed ahead, and may not be sent yet
        self._patience: int = _LEAST_PATIENCE
        self._left_alone_at: float = 0.0  # when the newest such one left, if nothing came right behind it
        self._later: list[tuple[float, int, Partition]] = []
        self._seen = 0  # bytes that were ready at the last look, while they grow
        self._ticket = 0  # makes heap entries of the same time comparable

    @property
    def is_full(self) -> bool:
        """Whether an answer has to come before another request may leave."""
        return len(self.calls) >= self.max_in_flight

    @property
    def is_cut_off(self) -> bool:
        """Whether records wait for a broker that could not be reached."""
        if self.broker.last_error is None or self.broker.is_ready:
            return False
        later = (partition for _, _, partition in self._later)
        return any(partition.served_by is self and not partition.empty for partition in chain(list(self.ready), later))

    def wake(self) -> None:
        """Have the actor look, after the greenlets that are ready now."""
        if self.inbox is not None:
            self.inbox.wake()

    @cython.locals(inbox="Inbox", terms="Terms")
    def batch_opened(self, partition: Partition, batch: Batch) -> None:
        """`partition` has a new batch: it may leave now, or after its linger; or once the partition is admitted,
        when it is offered again.
        """
        terms = self.terms
        if terms.awaits_admission is not None and terms.awaits_admission(partition):
            return
        linger = terms.linger
        if linger and not partition.pending:
            self._offer_at(partition, batch.created + linger)
            return
        if not partition.listed:
            partition.listed = True
            self.ready.append(partition)
        if self.calls and batch.created - self._left_alone_at < _COMPANY:
            self._has_company()
        inbox = self.inbox
        if inbox is not None and not inbox.gathering and len(self.calls) < self.max_in_flight:
            self.gather()

    @cython.locals(inbox="Inbox")
    def gather(self) -> None:
        """Have the actor send when others have had the chance to say what they have for its request: when the
        loop is idle, or, where of late nobody had anything by then, after the greenlets that are ready now.
        """
        inbox = self.inbox
        if inbox is None:
            return
        if self.gathers > 0:
            inbox.wake_when_idle()
        else:
            inbox.wake_after_ready()

    def request_leaves(self, now: float, batches: int) -> None:
        """A request of so many is sent at `now`."""
        if self.gathers > 0:
            self.gathers -= 1
            self._left_alone_at = 0.0
        elif batches > 1:  # several who produce at once
            self._has_company()
        else:
            if self._left_alone_at and self._patience > _LEAST_PATIENCE:  # nothing came right behind the last one
                self._patience -= 1
            self._left_alone_at = now

    def _has_company(self) -> None:
        """A request left too soon, or may have: the next ones wait again, the more of them the more often that happens."""
        self._left_alone_at = 0.0
        self._patience = min(2 * self._patience, _MOST_PATIENCE)
        self.gathers = self._patience

    def offer(self, partition: Partition) -> None:
        """`partition` may have something to send."""
        if not partition.listed:
            partition.listed = True
            self.ready.append(partition)
        if len(self.calls) < self.max_in_flight:  # else the next answer wakes the actor anyway
            self.wake()

    def _wait_until(self, partition: Partition, due: float) -> None:
        self._ticket += 1
        heappush(self._later, (due, self._ticket, partition))

    def _offer_at(self, partition: Partition, due: float) -> None:
        self._wait_until(partition, due)
        if due < self.wake_at:
            self.wake()

    @cython.locals(partition="Partition", first="Batch", terms="Terms", size=cython.Py_ssize_t, seen=cython.Py_ssize_t)
    def is_complete(self, waited: bool, busy: bool, now: float) -> bool:
        """Whether what is ready may leave as a request: it has `waited` for company until the loop was idle,
        or a millisecond on a `busy` one; or it has waited long enough anyway, for its linger; or it is worth a
        request, as far as the first partition tells.

        The cost of many small batches is theirs, however few records they have. So on a busy loop these wait
        as long as each millisecond brings a sixteenth more, there is room in the request, and the first is not
        ten milliseconds old.
        """
        ready = self.ready
        if (waited and not busy) or (ready and self.terms.linger):
            return True
        if not ready:
            return False
        partition = ready[0]
        if partition.pending:
            return True
        first = partition.open
        if first is None:
            return waited
        if first.size * len(ready) < _WORTH_A_REQUEST:
            return waited
        terms = self.terms
        if first.size >= _WORTH_A_BATCH or now >= first.created + _GROWS_AT_MOST or terms.skipping_linger:
            return True
        size = 0
        for partition in list(ready):
            if partition.open is not None:
                size += partition.open.size
        if size >= terms.batch_size_bytes or not waited:
            return size >= terms.batch_size_bytes
        seen, self._seen = self._seen, size
        return size <= seen + (seen >> 4)

    @cython.locals(partition="Partition")
    def promote(self, now: float) -> None:
        """Move to the ready list what has lingered or backed off long enough (everything, when somebody waits
        for it).
        """
        later = self._later
        while later and (later[0][0] <= now or self.terms.skipping_linger):
            partition = heappop(later)[2]
            if partition.served_by is self and not partition.listed and not partition.empty:
                partition.listed = True
                self.ready.append(partition)

    def next_due(self) -> float:
        """When `promote` will have something; infinity when nothing waits for a time."""
        return self._later[0][0] if self._later else NEVER

    @cython.locals(partition="Partition", linger=cython.double)
    def _one_may_leave(self, now: float, linger: float) -> bool:
        """Whether there is a request anyway, though batches linger."""
        for partition in list(self.ready):  # noqa: SIM110 - C has no types in a comprehension
            if partition.served_by is self and partition.head(now, linger) is not None:
                return True
        return False

    @cython.locals(partition="Partition")
    def _end_linger(self, now: float) -> None:
        """What waits for company has it; in the heap is left what backs off."""
        later, self._later = self._later, []  # what is put there meanwhile stays
        for each in later:
            partition = each[2]
            if partition.retry_at > now:
                heappush(self._later, each)
            elif partition.served_by is self and not partition.listed and not partition.empty:
                partition.listed = True
                self.ready.append(partition)

    @cython.locals(partition="Partition", batch="Batch", fresh="Batch", batches=list, stuck=list, taken=set)
    @cython.locals(limit=cython.Py_ssize_t, total=cython.Py_ssize_t, linger=cython.double)
    def drain(self, now: float, identity: Identity | None) -> tuple[list[tuple[Partition, Batch]], list[Partition]]:
        """Take the batches of the next request in flight, each with its partition: at most one a partition
        (as Kafka demands), and `batch_size_bytes` in all. `identity` is the producer's now.

        Partitions take turns: one that has more goes to the end of the ready list. A batch larger than the
        limit travels alone. Where one has lingered long enough, those that linger travel along.

        Returned, too, are the partitions that have something to send and need another identity first: they
        are ready no longer, and to be offered again under that.
        """
        limit, linger = self.terms.batch_size_bytes, self.terms.linger
        ready = self.ready
        if linger and self._one_may_leave(now, linger):
            self._end_linger(now)
            linger = 0.0
        self._seen = 0
        batches: list[tuple[Partition, Batch]] = []
        stuck: list[Partition] = []
        taken: set[Partition] = set()
        total = 0
        for _ in range(len(ready)):
            partition = ready.popleft()
            if partition.served_by is not self:  # its leader moved; the new batcher has it
                continue
            if partition in taken:
                ready.append(partition)
                continue
            fresh = partition.take_fresh(limit - total, identity) if not linger else None
            if fresh is not None:
                partition.listed = False
                batches.append((partition, fresh))
                total += fresh.size
                continue
            batch = partition.head(now, linger)
            if batch is None:
                partition.listed = False
                due = partition.due(now, linger)
                if due is not None:
                    self._wait_until(partition, due)
                continue
            if batches and total + batch.size > limit:
                ready.appendleft(partition)
                break
            if not partition.take(batch, identity):
                partition.listed = False
                stuck.append(partition)
                continue
            taken.add(partition)
            batches.append((partition, batch))
            total += batch.size
            if partition.empty:
                partition.listed = False
            else:
                ready.append(partition)
        return batches, stuck


class Batchers:
    """The batchers of one producer, by their broker's node id and their index; and who waits for a leader."""

    __slots__ = ("all", "inbox", "held_up", "_terms", "_broker_of", "_placed", "_leaderless")

    def __init__(self, terms: Terms, broker_of: Callable[[int], Broker]) -> None:
        self.all: dict[tuple[int, int], Batcher] = {}
        self.inbox: Inbox | None = None  # the ProducerActor's, while it lives: it starts batchers' actors, and looks for leaders
        self.held_up: set[Any] = set()  # topics whose keyless records wait, and would not with another broker
        self._terms = terms
        self._broker_of = broker_of
        self._placed: dict[int, int] = {}  # by node id, how many partitions were placed there so far
        self._leaderless: dict[Partition, None] = {}  # with something to send, as far as known

    def broker_is_free(self) -> None:
        """One has answered all it was asked, and nothing waits for it: what comes may as well go there."""
        held_up, self.held_up = self.held_up, set()
        for topic in held_up:
            topic.unstick()

    def wake(self) -> None:
        """Have the ProducerActor look."""
        if self.inbox is not None:
            self.inbox.wake()

    def place(self, partition: Partition, leader: int) -> None:
        """Put `partition` on a batcher of its `leader`, the same while that leads, or on none while there is
        no leader.
        """
        batcher = partition.served_by
        if leader == (NO_LEADER if batcher is None else batcher.node_id):
            return
        partition.served_by = None if leader == NO_LEADER else self._batcher_of(leader)
        partition.listed = False
        partition.retry_at = 0.0  # the backoff was for the old leader
        self.offer(partition)

    def _batcher_of(self, node_id: int) -> Batcher:
        # In turn, of all topics: partitions' numbers know nothing of who else is there, as leaders go by
        # turns, too.
        placed = self._placed.get(node_id, 0)
        self._placed[node_id] = placed + 1
        index = placed % self._terms.settings.batchers_count
        batcher = self.all.get((node_id, index))
        if batcher is None:
            batcher = self.all.setdefault((node_id, index), Batcher(self._terms, node_id, index, self._broker_of(node_id)))
            self.wake()  # the ProducerActor starts its actor
        return batcher

    @cython.locals(batcher="Batcher")
    def without_actors(self) -> list[Batcher]:
        """Those whose actors are still to be started."""
        found = []
        for batcher in self.all.values():
            if not batcher.has_actor:
                found.append(batcher)  # noqa: PERF401 - C has no types in a comprehension
        return found

    @cython.locals(batcher="Batcher")
    def all_at_work(self) -> bool:
        """Whether each has an actor, and no records wait for a leader, or for a broker that could not be reached:
        mostly so, and asked in one call.
        """
        if self._leaderless:
            return False
        for batcher in self.all.values():
            if not batcher.has_actor:
                return False
            if batcher.broker.last_error is not None and batcher.is_cut_off:
                return False
        return True

    @cython.locals(batcher="Batcher")
    def has_cut_off(self) -> bool:
        """Whether records wait for a broker that could not be reached."""
        for batcher in self.all.values():  # noqa: SIM110 - as above
            if batcher.is_cut_off:
                return True
        return False

    @cython.locals(batcher="Batcher")
    def offer(self, partition: Partition) -> None:
        """`partition` may have something to send again: on its batcher, or, while it has no leader, once it
        has one.
        """
        if partition.empty:
            return
        batcher = partition.served_by
        if batcher is not None:
            batcher.offer(partition)
        else:
            self._leaderless[partition] = None
            self.wake()

    @cython.locals(both=tuple, partition="Partition", linger=cython.double)
    def offer_again(self, batches: list[tuple[Partition, Batch]]) -> None:
        """The partitions of `batches`, which came back, may have more to send."""
        linger = self._terms.linger
        for both in batches:
            partition = both[0]
            if partition.pending:
                self.offer(partition)
            elif partition.open is not None and (not linger or partition.open.created + linger <= monotonic()):
                self.offer(partition)  # else it lingers, and its batcher knows until when

    def has_leaderless(self) -> bool:
        """Whether records wait for a partition to have a leader."""
        for partition in list(self._leaderless):
            partition.drop_settled()
            if partition.served_by is not None or partition.empty:
                del self._leaderless[partition]
        return bool(self._leaderless)
