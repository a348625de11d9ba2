"""`BatcherActor`: turns the records of one batcher into produce requests, and answers into outcomes.

The open batches are its inbox: callers append to them and wake it at most once per flush. It takes what is
ready, one batch a partition, into one request; up to `max_in_flight_requests` are unanswered at a time, and
an answer wakes it to send the next. It never polls. What it holds while it works stands in its batcher, so a
successor finds requests that were never sent, and answers that were never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from time import monotonic

from gevent import get_hub

from klife.actors.metadata.metadata import Metadata
from klife.actors.metadata.snapshot import BrokerInfo
from klife.actors.network.call import CallFailed
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.compressed_ahead import compress_ahead
from klife.actors.producer.partition import Partition, Refused
from klife.actors.producer.policy import Action, rule_for
from klife.actors.producer.producer import Producer
from klife.actors.producer.refusal import Course, Refusal, too_large_error
from klife.actors.producer.request import InFlightRequest
from klife.actors.runtime.actor import GeventActor
from klife.actors.settings import NEVER, ProducerSettings
from klife.errors import KlifeError, ProduceError
from klife.protocol.apis.produce import PartitionProduceResponse, ProduceResponse
from klife.protocol.error_codes import describe
from klife.protocol.produce_wire import PlainAnswer
from klife.words import counted
from klife_supervision import ExitReason
from klife_supervision.logs import Logger, get_logger, traceback_of

log: Logger = get_logger("klife.producer")

_LAST_VERSION_BY_NAME = 12  # from 13 on, Produce names topics by id
_LEFT_OUT = Refused(None, "the broker answered without a word of this partition")


class BatcherStep(Enum):
    """What a batcher does next, now that it is awake."""

    WAIT = "wait"  # for a caller, or an answer: either wakes it
    CONNECT = "connect"  # the broker wakes it when it takes requests
    GATHER = "gather"  # wait until the loop is idle: others have more for the request
    SEND = "send"
    JUDGE_FIRST = "judge first"  # what is late may have been answered: nothing leaves before the sockets were read


_WAIT, _CONNECT, _GATHER, _SEND, _JUDGE_FIRST = BatcherStep  # looking a member up in its class takes a while


def next_step(late: bool, ready: bool, room: bool, connected: bool, complete: bool, budget_is_over: Callable[[], bool]) -> BatcherStep:
    """What follows from a few facts: whether batches in flight are `late`, after a hub that did not run;
    partitions are `ready`; there is `room` for another request in flight; the broker is `connected`; the
    request is `complete`: the loop was idle, so that nobody has more for it, or what is ready is worth a
    request as it is; and whether other batchers have used up this turn of the loop, so that to encode more
    would hold the hub. The last is asked only by who would send: to ask begins the budget.
    """
    if late:
        return _JUDGE_FIRST
    if not ready or not room:
        return _WAIT
    if not connected:
        return _CONNECT
    return _SEND if complete and not budget_is_over() else _GATHER


class BatcherActor(GeventActor):
    """Drains one `Batcher`."""

    may_wait_for_klife = False

    def __init__(self, producer: Producer, batcher: Batcher, metadata: Metadata) -> None:
        super().__init__()
        self.producer = producer
        self.batcher = batcher
        self.settings: ProducerSettings = producer.settings
        self.metadata = metadata
        self._timeout_ms = int(self.settings.request_timeout * 1000)

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return f"{len(self.batcher.calls)} in flight, {counted(len(self.batcher.ready), 'partition')} ready"

    @property
    def looks_in_hub(self) -> bool:
        return not self.settings.codec and self.settings.observer is None  # else it may have to wait while something is compressed

    def on_start(self) -> None:
        batcher = self.batcher
        batcher.inbox = self.actor_inbox
        batcher.wake_at = NEVER
        left: set[Batch] = set()
        for in_flight_request in list(batcher.calls):
            if not in_flight_request.submitted or (in_flight_request.is_done and in_flight_request not in batcher.completed):
                self._take_over(in_flight_request)
                left.update(batch.root or batch for _, batch in in_flight_request.batches)
        self._take_strays(left)
        self.actor_inbox.wake()
        if self.settings.transactional_id is not None:
            self.producer.wake()

    def _take_over(self, in_flight_request: InFlightRequest) -> None:
        """Our predecessor ended before it had sent this, or in the middle of the answer: what it left in
        flight goes again, and what has its outcome is finished.
        """
        producer = self.producer
        for partition, batch in in_flight_request.batches:
            if batch.is_set:
                producer.settlement.finish(batch)
            elif batch in producer.deadlines.pending and not partition.holds(batch):
                batch.outcomes = None  # it was about to be taken apart
                batch.fate_unknown = batch.fate_unknown or in_flight_request.submitted
                batch.attempts += in_flight_request.submitted
                partition.put_back(batch)
            producer.batchers.offer(partition)
        self.batcher.calls.discard(in_flight_request)  # last, for our successor's sake

    def _take_strays(self, left: set[Batch]) -> None:
        """An exception of a signal handler may have ended our predecessor between any two calls: what stands
        in no request, and waits nowhere, waits again (pieces, too, of what was `left` in requests), and each
        partition with something to send is on the ready list.
        """
        batchers, pending, ready = self.producer.batchers, self.producer.deadlines.pending, set(self.batcher.ready)
        called = {batch for batcher in batchers.all.values() for each in batcher.calls for _, batch in each.batches}
        for batch, partition in list(pending.items()):
            if batch.is_set:
                self.producer.settlement.finish(batch)
            elif batch.root in left and batch not in called:
                partition.put_back(batch)
        for partition in set(pending.values()):
            for batch in list(partition.in_flight):
                if batch not in called:
                    partition.put_back(batch)
            if partition.served_by is self.batcher:
                partition.listed = partition in ready
            batchers.offer(partition)

    def on_exit(self, reason: ExitReason) -> None:
        if self.batcher.inbox is self.actor_inbox:
            self.batcher.inbox = None

    def on_wake(self) -> None:
        batcher, inbox, producer = self.batcher, self.actor_inbox, self.producer
        idle, inbox.idle = inbox.idle, False
        busy, inbox.busy = inbox.busy, False
        if batcher.completed:
            while batcher.completed:
                in_flight_request = batcher.completed.popleft()
                if not producer.settlement.written(in_flight_request) and not self._answered(in_flight_request):
                    self._goes_on_later(in_flight_request)
                    return
                producer.batchers.offer_again(in_flight_request.batches)
                batcher.calls.discard(in_flight_request)  # not before: a successor takes over what it still finds here
            producer.answered()
        if not batcher.ready and not producer.batchers.held_up and batcher.next_due() == NEVER:
            batcher.wake_at = NEVER
            return
        now = monotonic()
        batcher.promote(now)
        room = batcher.max_in_flight - len(batcher.calls)
        step = next_step(
            now > producer.deadlines.due and producer.catch_up(now),
            bool(batcher.ready),
            room > 0,
            batcher.broker.is_ready,
            batcher.is_complete(idle, busy, now),
            producer.budget.is_over,
        )
        if step is _SEND:
            batches = self._drain(now)
            batcher.request_leaves(now, len(batches))
            room -= self._send(batches)
            if batcher.ready and room > 0:
                get_hub().loop.run_callback(inbox.wake_when_idle)  # behind those who were refused this turn
            elif batcher.ready and self.settings.codec:
                compress_ahead(batcher, self.settings, producer.budget)
        elif step is _WAIT:
            if room > 0 and producer.batchers.held_up:
                producer.batchers.broker_is_free()
        elif step is _GATHER:
            if idle:  # others have used up this turn of the loop
                inbox.wake_when_idle()
            else:
                batcher.gather()
        elif step is _CONNECT:
            batcher.broker.when_ready(batcher.wake)
            if self.settings.transactional_id is not None:
                producer.wake()  # others wait for us to be admitted first
        elif step is _JUDGE_FIRST:
            get_hub().loop.run_callback(inbox.wake_when_idle)
        due = batcher.next_due()
        if due != batcher.wake_at:
            batcher.wake_at = due
            if due != NEVER:
                self.wake_after(due - monotonic())

    # sending

    def _drain(self, now: float) -> list[tuple[Partition, Batch]]:
        """The batches of the next request: those that may leave, or, if none may as things are, those that may
        now that the producer has been told so.
        """
        batcher, producer = self.batcher, self.producer
        identity = producer.identities.current
        batches, stuck = batcher.drain(now, identity)
        if stuck:
            inbox = self.actor_inbox
            woken = inbox.woken
            producer.begin_anew(stuck, identity)
            inbox.woken = woken  # what it offered to us is looked at here
            if batcher.ready and not batches:
                identity = producer.identities.current
                batches, stuck = batcher.drain(now, identity)
                if stuck:
                    producer.begin_anew(stuck, identity)
        return batches

    def _send(self, batches: list[tuple[Partition, Batch]]) -> bool:
        """Send a request with `batches`; return whether there is one."""
        if not batches:
            return False
        batcher, settings = self.batcher, self.settings
        if settings.transactional_id is not None and not batcher.calls:  # else requests might change places
            batcher.broker = self.producer.broker_of(batcher.node_id)
        in_flight_request = InFlightRequest(batcher, batches)
        batcher.calls.add(in_flight_request)
        if not in_flight_request.pack(self.producer.budget, self._timeout_ms, self._not_encodable):
            batcher.calls.discard(in_flight_request)
            return False
        try:
            # Not before it may be on the wire, and not where nobody would say that it ended: a successor
            # takes it over until then.
            in_flight_request.submitted = True
            self.producer.requests += 1
            versions = self.producer.terms.produce_versions
            batcher.broker.send(
                in_flight_request,
                timeout=settings.request_timeout,
                client_id=settings.client_id,
                min_version=versions[0],
                max_version=versions[1] if in_flight_request.by_id else min(versions[1], _LAST_VERSION_BY_NAME),
                expect_reply=settings.acks != 0,
            )
        except BaseException as error:  # a signal handler's exception too
            # Some of it may be on the wire: nothing can follow it there. The records go again on a new
            # connection.
            batcher.broker.fail(f"a request could not be sent: {error}")
            in_flight_request.finish(CallFailed(f"the request could not be sent: {error}", sent=True))
            raise
        return True

    def _not_encodable(self, partition: Partition, batch: Batch, error: Exception) -> None:
        log.error("batch_not_encodable", topic=batch.topic, partition=batch.partition_id, exception=traceback_of(error))
        self._give_up(partition, batch, f"the records could not be encoded: {error}")

    # answers

    def _answered(self, in_flight_request: InFlightRequest) -> bool:
        """Do what follows for each batch of it. False when that has taken its share of the turn, and batches may
        be left.
        """
        if in_flight_request.error is not None:
            return self._unanswered(in_flight_request, in_flight_request.error)
        if in_flight_request.response is not None:
            return self._judge(in_flight_request, in_flight_request.response)
        for partition, batch in in_flight_request.batches:  # acks 0: handed to the socket is all we will ever know
            self.producer.settlement.delivered(partition, batch, -1, -1)
        return True

    def _goes_on_later(self, in_flight_request: InFlightRequest) -> None:
        """The rest of it is judged in the loop's next turn. What was judged is not its own any more: it may be
        in another request by then.
        """
        batches, in_flight_request.batches = in_flight_request.batches, in_flight_request.left()
        self.batcher.completed.appendleft(in_flight_request)
        self.producer.batchers.offer_again(batches)
        self.actor_inbox.wake_when_idle()

    def _unanswered(self, in_flight_request: InFlightRequest, error: KlifeError) -> bool:
        if isinstance(error, CallFailed):
            why, sent = Refused(None, str(error)), error.sent
            self.metadata.request_refresh()
            return self._each_left(in_flight_request, lambda partition, batch: self.producer.unanswered(partition, batch, why, sent))
        # This broker can not be talked to like this, now or later.
        return self._each_left(in_flight_request, lambda partition, batch: self._give_up(partition, batch, str(error)))

    def _each_left(self, in_flight_request: InFlightRequest, do: Callable[[Partition, Batch], None]) -> bool:
        """Of what nobody has judged, as `_answered` does."""
        for batches in in_flight_request.by_topic.values():
            while batches:
                _, (partition, batch) = batches.popitem()
                do(partition, batch)
                if self.producer.judging.is_over():
                    return False
        return True

    def _judge(self, in_flight_request: InFlightRequest, response: PlainAnswer | ProduceResponse) -> bool:
        if not isinstance(response, PlainAnswer) and not self._judge_each(in_flight_request.by_topic, response):
            return False
        # What the broker left out of its answer.
        return self._each_left(in_flight_request, lambda partition, batch: self.producer.unanswered(partition, batch, _LEFT_OUT, True))

    def _judge_each(self, by_topic: dict[str | bytes, dict[int, tuple[Partition, Batch]]], response: ProduceResponse) -> bool:
        for topic in response.responses:
            batches = by_topic.get(topic.name or topic.topic_id)  # an answer has one of them, as its version goes
            if not batches:
                continue
            for answer in topic.partition_responses:
                both = batches.pop(answer.index, None)
                if both is not None:
                    self._judge_one(*both, topic.topic_id, answer, response)
                    if self.producer.judging.is_over():
                        return False
        return True

    def _judge_one(
        self, partition: Partition, batch: Batch, topic_id: bytes, answer: PartitionProduceResponse, response: ProduceResponse
    ) -> None:
        rule = rule_for(answer.error_code, self.settings.transactional_id is not None)
        if rule.action is Action.DELIVERED:
            self.producer.settlement.delivered(partition, batch, answer.base_offset, answer.log_append_time_ms)
            return
        log.debug(
            "partition_refused",
            topic=batch.topic,
            partition=batch.partition_id,
            error=describe(answer.error_code),
            action=rule.action.value,
        )
        if rule.action is Action.REROUTE:
            self._leader_refused(batch.topic, topic_id, answer, response)
        refusal = Refusal(
            answer.error_code,
            rule,
            answer.error_message,
            {record.batch_index: record.batch_index_error_message for record in answer.record_errors},
            answer.base_offset >= 0,
        )
        if self.producer.refused(partition, batch, refusal).course is Course.ASK_LIMIT:
            # The broker does not say what the topic's limit is, so ask before telling the caller.
            self.metadata.topic_size_limit(
                batch.topic,
                self.batcher.broker,
                lambda limit: self._too_large(partition, batch, refusal, limit),
            )

    def _too_large(self, partition: Partition, batch: Batch, refusal: Refusal, limit: int | None) -> None:
        self.producer.settlement.dropped(partition, batch, too_large_error(batch, refusal, limit))
        self.producer.answered()

    def _leader_refused(self, topic: str, topic_id: bytes, answer: PartitionProduceResponse, response: ProduceResponse) -> None:
        """This broker says that it does not lead the partition, and perhaps who does."""
        self.metadata.leader_refused(topic, answer.index, self.batcher.node_id)
        leader = answer.current_leader
        node = next((node for node in response.node_endpoints if node.node_id == leader.leader_id), None)
        self.metadata.leader_hint(
            topic,
            topic_id,
            answer.index,
            leader.leader_id,
            leader.leader_epoch,
            BrokerInfo(node.node_id, node.host, node.port, node.rack) if node is not None else None,
        )
        self.metadata.request_refresh()

    def _give_up(self, partition: Partition, batch: Batch, why: str) -> None:
        self.producer.settlement.failed(
            partition,
            batch,
            ProduceError(
                f"records of {batch.topic}-{batch.partition_id} "
                f"{'may be in the log, and can not be sent again' if batch.fate_unknown else 'were not written'}: {why}",
                topic=batch.topic,
                partition=batch.partition_id,
                possibly_persisted=batch.fate_unknown,
            ),
        )
        self.producer.batchers.offer(partition)  # it may have more to send
        self.producer.answered()
