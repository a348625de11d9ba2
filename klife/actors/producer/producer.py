"""`Producer`: everything one producer knows about its records, apart from the actors that move them.

A plain value, owned by the client and not by any actor, as an ETS table outlives the process that fills it.
Killing the producer's actors at any moment loses nothing: what they were doing stands here, and their
successors go on with it.

It owns the parts, of which none knows it: identity and terms, topics and batchers, deadlines, callbacks. They
say what happened; what follows is done here, and only here is a batch given its outcome: `delivered`,
`failed`, or `dropped` for want of time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife import cython_shim as cython
from klife.actors.network.backoff import backoff
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batchers
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.callbacks import Callbacks
from klife.actors.producer.deadline_timer import DeadlineTimer
from klife.actors.producer.deadlines import Deadlines
from klife.actors.producer.held_up import last_attempt, timed_out
from klife.actors.producer.hub_watch import HubWatch
from klife.actors.producer.identity import Identities, Identity
from klife.actors.producer.partition import Partition, Refused
from klife.actors.producer.refusal import Course, Decision, Refusal, judge, refused_error
from klife.actors.producer.routing import Routing
from klife.actors.producer.terms import Terms
from klife.actors.producer.topic import Topic
from klife.actors.runtime.loop_budget import LoopBudget
from klife.actors.settings import ProducerSettings
from klife.errors import ClientClosed, ProduceError
from klife.protocol.produce_wire import PlainAnswer

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.network.broker import Broker
    from klife.actors.producer.request import InFlightRequest

_SETTLED = (Course.IN_LOG, Course.FAIL, Course.REJECT_SOME)  # so that nothing is in the way of later batches
_AT_REST = (Course.FORGET, Course.IN_LOG, Course.FAIL, Course.ASK_LIMIT)  # nothing of the batch goes again


class Producer:
    """The state of one producer."""

    def __init__(
        self, settings: ProducerSettings, pool: BufferPool, home: Any, max_block: float, broker_of: Callable[[int], Broker]
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.terms = Terms(settings, home, max_block)
        self.identities = Identities()
        self.batchers = Batchers(self.terms, broker_of)
        self.routing = Routing(self.batchers, self._new_topic)
        self.deadlines = Deadlines(self.terms)
        self.deadline_timer = DeadlineTimer(self.deadlines, self.terms, self.expire, self.wake)
        self.hub_watch = HubWatch()
        self.budget = LoopBudget(home.loop)
        self.callbacks = Callbacks(pool, home, self.budget)
        self.terms.call_when_settled = self.callbacks.add
        # Waits for a partition that may just have been added (topic, partition id, deadline, whether a
        # partitioner chose it).
        self.await_partition: Callable[[Topic, int, float, bool], None] | None = None
        self.delivered_records = 0
        self.failed_records = 0
        self.requests = 0
        self.retries = 0

    def _new_topic(self, info: TopicInfo, partitioner: Any) -> Topic:
        return Topic(
            info,
            partitioner,
            self.terms,
            self.pool,
            self.hub_watch,
            self.batchers,
            self.deadlines,
            self.deadline_timer,
            self._await_partition,
        )

    def _await_partition(self, topic: Topic, partition_id: int, deadline: float, chosen: bool) -> None:
        if self.await_partition is not None:
            self.await_partition(topic, partition_id, deadline, chosen)

    @property
    def idempotent(self) -> bool:
        return self.terms.idempotent

    @property
    def identity(self) -> Identity | None:
        """What it sends under now, if it has it."""
        return self.identities.current

    def begin_anew(self, partitions: list[Partition], identity: Identity | None) -> None:
        """`partitions` have something to send and can not go on under `identity`, which was the current one:
        they lost sequences under it, or there was none. They are sent under the next.
        """
        if identity is not None:
            self.identities.bump(identity)
        if self.identities.current is None:
            self.wake()  # the ProducerActor fetches one, and offers what waits for it
            return
        for partition in partitions:
            self.batchers.offer(partition)

    # outcomes

    @cython.locals(batches=dict, both=tuple, partition="Partition", batch="Batch")
    def written(self, request: InFlightRequest, answer: PlainAnswer) -> None:
        """The broker has written all that `answer` names."""
        for key, partitions in answer.topics:
            batches = request.by_topic.get(key)
            if batches is None:
                continue
            for partition_id, base_offset, append_time_ms in partitions:
                both = batches.pop(partition_id, None)
                if both is not None:
                    partition, batch = both
                    self.delivered(partition, batch, base_offset, append_time_ms)

    def delivered(self, partition: Partition, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        """`batch` came back written, at `base_offset` if that is known (else -1). Once for nearly every
        batch, so in few calls.
        """
        older = partition.written(batch)
        if append_time_ms >= 0 or partition.log.has_append_time:
            append_time_ms = partition.log.append_time(batch, append_time_ms)
        if older is not None or batch.root is not None or batch.is_set:
            self._end_in_log(older, batch, base_offset, append_time_ms)
            if older is not None:
                partition.drop_settled()
            return
        # What `_end` comes to for a whole batch that nobody has ended.
        self.delivered_records += batch.count
        batch.wire = None
        if base_offset >= 0:
            batch.base_offset = base_offset
        if append_time_ms >= 0:
            batch.append_time_ms = append_time_ms
        batch.is_set = True  # as `set` does, first of all; a call less for each batch that nobody waits for yet
        if batch._greenlets or batch._locks:
            batch.set()
        if batch.callbacks is not None:
            self.callbacks.batch_settled(batch)
        elif self.pool.waiters:
            self.pool.give_back(batch)
        else:
            self.pool.room += batch.size
        self.deadlines.pending.pop(batch, None)  # last: what is interrupted before is found there, and finished

    def _end_in_log(self, older: list[Batch] | None, batch: Batch, base_offset: int, append_time_ms: int) -> None:
        for each in older or ():
            self._end(each, None, -1, None)
        self._end(batch, base_offset if base_offset >= 0 else None, append_time_ms, None)

    def failed(self, partition: Partition, batch: Batch, error: ProduceError) -> None:
        """`batch` came back refused for good."""
        partition.gave_up(batch)
        self._end(batch, None, -1, error)

    def dropped(self, partition: Partition, batch: Batch, error: ProduceError) -> None:
        """`batch` is not waited for any longer, wherever it stands; its partition forgets it, as nobody else
        may look for long.
        """
        if batch is partition.open:
            partition.close()
        self._end(batch, None, -1, error)
        partition.drop_settled()

    def _end(self, batch: Batch, base_offset: int | None, append_time_ms: int, error: ProduceError | None) -> None:
        """Give `batch` its outcome, once; whoever waits is woken, its callbacks run, its bytes come free."""
        if batch.is_set:
            self.finish(batch)
            return
        root = batch.root
        if root is not None:
            batch.report(base_offset, append_time_ms, error)
        # From here until it is set there is no call, in which a signal handler might raise: it counts once,
        # and has an outcome.
        if error is None:
            self.delivered_records += batch.count
        else:
            self.failed_records += batch.count
        batch.wire = None
        if root is None:
            batch.base_offset = base_offset
            batch.append_time_ms = append_time_ms
            batch.error = error
        else:
            root.missing -= batch.count
        batch.is_set = True
        self.finish(batch)

    @cython.locals(whole="Batch")
    def finish(self, batch: Batch) -> None:
        """Do what is left to do for `batch`, which has its outcome; nothing if that is done already.

        It is pending until then: an exception of a signal handler may end this anywhere, and whoever calls it
        again goes on.
        """
        if batch not in self.deadlines.pending:
            return
        whole = batch.root or batch  # nobody waits on a piece; its root is what callers hold
        if batch.root is None or whole.missing == 0:
            whole.set()
            if whole.callbacks is None:
                self.pool.give_back(whole)
            else:
                self.callbacks.settled_again(whole)
        self.deadlines.pending.pop(batch, None)

    # what goes again

    def refused(self, partition: Partition, batch: Batch, refusal: Refusal) -> Decision:
        """`batch` came back refused: do what `judge` decides. The caller is left to ask for the limit, if
        that is the decision.
        """
        decision = judge(partition, batch, refusal)
        course = decision.course
        batch.fate_unknown = decision.fate_unknown
        if decision.new_id:
            self.identities.discard(batch.identity)
            self.wake()
        if course is Course.FORGET:
            partition.came_back(batch)
        elif course is Course.IN_LOG:
            self.delivered(partition, batch, -1, -1)
        elif course is Course.FAIL:
            self.failed(partition, batch, refused_error(batch, refusal, decision.message))
        elif course is Course.ASK_LIMIT:
            partition.gave_up(batch)
        elif course is Course.SPLIT:
            halves = batch.halves()
            self.deadlines.replace(batch, halves)
            partition.replace(batch, halves)
        elif course is Course.REJECT_SOME:
            self._reject(partition, batch, refusal, decision)
        else:
            if course is Course.RENUMBER:
                partition.sequence_lost = True
            elif course is not Course.RETRY:
                batch.sequence_refused = True
            partition.put_back(batch)
            if course is Course.RENUMBER_ALL:
                partition.all_missing()
        if course not in _SETTLED:
            partition.refused = Refused(refusal.code, refusal.message)
        if course not in _AT_REST:
            self._goes_again(partition, batch, decision.backs_off)
        return decision

    def _reject(self, partition: Partition, batch: Batch, refusal: Refusal, decision: Decision) -> None:
        """Fail the guilty records, and send the others."""
        bad = {index: batch.piece([index]) for index in decision.guilty}
        rest = [index for index in range(batch.count) if index not in bad]
        good = [batch.piece(rest)] if rest else []
        self.deadlines.replace(batch, [*bad.values(), *good])
        partition.replace(batch, good)
        if batch.identity is not None:
            partition.sequence_lost = True
        for index, piece in bad.items():
            self._end(piece, None, -1, refused_error(piece, refusal, refusal.record_errors.get(index) or refusal.message))

    def unanswered(self, partition: Partition, batch: Batch, why: Refused, sent: bool) -> None:
        """`batch` came back without an answer; if it was `sent`, it may be in the log."""
        if sent:
            batch.fate_unknown = True
        partition.put_back(batch)
        partition.refused = why
        self._goes_again(partition, batch, True)

    def _goes_again(self, partition: Partition, batch: Batch, backs_off: bool) -> None:
        """Count a retry of the partition and let it wait (KIP-580); `batch`, or its pieces, are back in it
        already.
        """
        batch.attempts += 1
        self.retries += 1
        if backs_off:
            settings = self.settings
            partition.failures += 1
            wait = backoff(partition.failures, settings.retry_backoff, settings.retry_backoff_max, random.random())
            partition.retry_at = monotonic() + wait

    # time

    def expire(self, now: float, answers_may_come: bool = False) -> bool:
        """Drop what is past its delivery timeout, so much of it as a turn allows; return whether to call it
        again, in another turn.

        With `answers_may_come` what is in flight is left for the next turn.
        """
        over, more = self.deadlines.expired(now, answers_may_come)
        for batch in over:
            partition = self.deadlines.pending.get(batch)
            if partition is None:  # something that ran meanwhile has ended it
                continue
            if batch.is_set:  # and was interrupted
                self.finish(batch)
                continue
            error = timed_out(batch, partition, self.identities, self.deadlines.stood_still)
            if batch.identity is not None:
                partition.sequence_lost = True
            self.dropped(partition, batch, error)
        return more

    def catch_up(self, now: float) -> bool:
        """The hub stood still, it seems: drop what was not sent in time. Return whether to call it again, in
        another turn.
        """
        self.deadline_timer.hub_runs(now)
        return self.expire(now, answers_may_come=True)

    # the end

    @property
    def closed(self) -> str | None:
        """Why no records are taken any more."""
        return self.terms.closed

    def close(self, reason: str) -> None:
        """Take no more records; `reason` ends the error that `produce` raises from now on."""
        self.terms.close(reason)

    def closed_error(self) -> ClientClosed:
        return self.terms.closed_error()

    def abandon(self, reason: str) -> int:
        """Settle everything that is left as failed, or possibly persisted; return how many records that were."""
        count = 0
        for batch, partition in list(self.deadlines.pending.items()):
            if batch.is_set:  # who gave it its outcome was interrupted
                self.finish(batch)
                continue
            unknown = batch.in_flight or batch.fate_unknown
            count += batch.count
            fate = "may be in the log: check before sending them again" if unknown else "were not written"
            why, code = last_attempt(partition)
            self.dropped(
                partition,
                batch,
                ProduceError(
                    f"{reason}; records of {batch.topic}-{batch.partition_id} {fate}" + (f" ({why})" if why else ""),
                    topic=batch.topic,
                    partition=batch.partition_id,
                    error_code=code,
                    retriable=True,
                    possibly_persisted=unknown,
                ),
            )
        return count

    def fail_unsent(self, error_of: Callable[[str, int], ProduceError]) -> None:
        """Settle as failed what was certainly not written and waits to be sent, because it never can be."""
        for batch, partition in list(self.deadlines.pending.items()):
            if not batch.in_flight and not batch.fate_unknown:
                self.dropped(partition, batch, error_of(batch.topic, batch.partition_id))

    @property
    def unsettled(self) -> int:
        """Records without an outcome."""
        return sum(batch.count for batch in list(self.deadlines.pending))

    def skip_linger(self, by: int) -> None:
        """One more (1) or one less (-1) who waits for records to leave: a flush, or callers for buffer space.
        Nothing lingers then.
        """
        self.terms.skip_linger(by)
        if by > 0:
            for batcher in list(self.batchers.all.values()):
                batcher.wake()

    def flush(self, deadline: float) -> int:
        """Send without linger and wait, until `deadline` (monotonic seconds), for all that is pending now;
        return what is left.
        """
        # Of a batch in pieces, the whole: a piece that is split once more is nobody's to settle.
        batches = list(dict.fromkeys([batch.root or batch for batch in list(self.deadlines.pending)]))
        self.skip_linger(1)
        try:
            for batch in batches:
                if not batch.wait(deadline - monotonic()):
                    break
        finally:
            self.skip_linger(-1)
        return sum(batch.missing or batch.count for batch in batches if not batch.is_set)

    def wake(self) -> None:
        """Have the ProducerActor look."""
        self.batchers.wake()
