"""`Producer`: everything one producer knows about its records, apart from the actors that move them.

A plain value, owned by the client and not by any actor, as an ETS table outlives the process that fills it.
Killing the producer's actors at any moment loses nothing: what they were doing stands here, and their
successors go on with it.

It owns the parts, of which none knows it: identity and terms, topics and batchers, deadlines, callbacks, and
the `Settlement`, which gives batches their outcomes. They say what happened; what follows is done here: what
was refused goes again, what is late is dropped, an epoch that was lost is bumped.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

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
from klife.actors.producer.settlement import Settlement
from klife.actors.producer.terms import Terms
from klife.actors.producer.topic import Topic
from klife.actors.producer.topic_partitions import WaitForPartitions
from klife.actors.runtime.loop_budget import LoopBudget, let_home_run
from klife.actors.settings import ProducerSettings
from klife.errors import ClientClosed, ProduceError

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.network.broker import Broker

_SETTLED = (Course.IN_LOG, Course.FAIL, Course.REJECT_SOME)  # so that nothing is in the way of later batches
_AT_REST = (Course.FORGET, Course.IN_LOG, Course.FAIL, Course.ASK_LIMIT)  # nothing of the batch goes again


class Producer:
    """The state of one producer."""

    def __init__(
        self,
        settings: ProducerSettings,
        pool: BufferPool,
        home: Any,
        max_block: float,
        broker_of: Callable[[int], Broker],
        wait_for_partitions: WaitForPartitions,
    ) -> None:
        """Its metadata: `broker_of(node_id)`, and what `TopicPartitions` asks by `wait_for_partitions`."""
        self.broker_of = broker_of
        self.settings = settings
        self.pool = pool
        self.budget: LoopBudget = LoopBudget(home.loop)
        self.judging: LoopBudget = LoopBudget(home.loop)  # of refused batches: apart, for else they might always find the turn over
        self.callbacks: Callbacks = Callbacks(pool, home, self.budget)
        self.terms: Terms = Terms(settings, home, max_block, self.callbacks.add)
        self.identities: Identities = Identities()
        self.batchers: Batchers = Batchers(self.terms, broker_of)
        self.routing: Routing = Routing(self.batchers, self._new_topic)
        self.deadlines: Deadlines = Deadlines(self.terms)
        self.deadline_timer: DeadlineTimer = DeadlineTimer(self.deadlines, self.terms, self.expire, self.wake)
        self.settlement: Settlement = _settlement(settings, pool, self.callbacks, self.deadlines)
        self.hub_watch: HubWatch = HubWatch()
        self._wait_for_partitions = wait_for_partitions
        self.requests = 0
        self.retries: int = 0

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
            self._wait_for_partitions,
        )

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

    def answered(self) -> None:
        """Requests came back, and what was in them is settled or goes again. For those who wait for that."""

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
            self.settlement.delivered(partition, batch, -1, -1)
        elif course is Course.FAIL:
            self.settlement.failed(partition, batch, refused_error(batch, refusal, decision.message))
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
            self._goes_again(partition, batch, decision.backs_off, refusal.rule.soon)
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
            self.settlement.rejected(piece, refused_error(piece, refusal, refusal.record_errors.get(index) or refusal.message))

    def unanswered(self, partition: Partition, batch: Batch, why: Refused, sent: bool) -> None:
        """`batch` came back without an answer; if it was `sent`, it may be in the log."""
        if sent:
            batch.fate_unknown = True
        partition.put_back(batch)
        partition.refused = why
        self._goes_again(partition, batch, True)

    def _goes_again(self, partition: Partition, batch: Batch, backs_off: bool, soon: bool = False) -> None:
        """Count a retry of the partition and let it wait (KIP-580), not long at first, if `soon`; `batch`, or its
        pieces, are back in it already.
        """
        batch.attempts += 1
        self.retries += 1
        if self.settings.observer is not None:
            self.settings.observer.retried(self.settings.name, batch, last_attempt(partition, self.settings.principal)[0])
        if backs_off:
            settings = self.settings
            partition.failures += 1
            wait = backoff(partition.failures, settings.retry_backoff, settings.retry_backoff_max, random.random(), soon=soon)
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
                self.settlement.finish(batch)
                continue
            error = timed_out(batch, partition, self.identities, self.deadlines.stood_still)
            if batch.identity is not None:
                partition.sequence_lost = True
            self.settlement.dropped(partition, batch, error)
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
        self.callbacks.close()

    def closed_error(self) -> ClientClosed:
        return self.terms.closed_error()

    def abandon(self, reason: str, *, lets_hub_run: bool = False) -> int:
        """Settle everything that is left as failed, or possibly persisted; return how many records that were.

        With `lets_hub_run`, where the caller may wait, what is answered meanwhile is none of them.
        """
        count = 0
        for batch, partition in list(self.deadlines.pending.items()):
            if lets_hub_run and self.budget.is_over():
                let_home_run(self.terms.home)
            if batch not in self.deadlines.pending:
                continue
            if batch.is_set:  # who gave it its outcome was interrupted
                self.settlement.finish(batch)
                continue
            unknown = batch.in_flight or batch.fate_unknown
            count += batch.count
            fate = "may be in the log: check before sending them again" if unknown else "were not written"
            why, code = last_attempt(partition, self.settings.principal)
            self.settlement.dropped(
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

    def fail_unsent(self, error_of: Callable[[str, int], ProduceError]) -> bool:
        """Settle as failed what was certainly not written and waits to be sent, because it never can be, so much
        of it as a turn allows; return whether to call it again, in another turn.
        """
        for batch, partition in list(self.deadlines.pending.items()):
            if not batch.in_flight and not batch.fate_unknown:
                self.settlement.dropped(partition, batch, error_of(batch.topic, batch.partition_id))
                if self.judging.is_over():
                    return True
        return False

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
        """Wait until `deadline` (monotonic seconds) for all that is pending now; return how many records are
        left. The caller sees to it that nothing lingers meanwhile (`skip_linger`).
        """
        if self.budget.is_over():  # thousands of greenlets may flush at once, and each looks at all that is pending
            let_home_run(self.terms.home)
        # Of a batch in pieces, the whole: a piece that is split once more is nobody's to settle.
        batches = list(dict.fromkeys([batch.root or batch for batch in list(self.deadlines.pending)]))
        for batch in batches:
            if not batch.wait(deadline - monotonic()):
                break
        return sum(batch.missing or batch.count for batch in batches if not batch.is_set)

    def wake(self) -> None:
        """Have the ProducerActor look."""
        self.batchers.wake()


def _settlement(settings: ProducerSettings, pool: BufferPool, callbacks: Callbacks, deadlines: Deadlines) -> Settlement:
    observer = settings.observer
    if observer is None or not observer.sees_outcomes:
        return Settlement(pool, callbacks, deadlines)
    from klife.actors.producer.observed_settlement import ObservedSettlement  # by clients whose hooks want to know

    return ObservedSettlement(pool, callbacks, deadlines, observer, settings.name)
