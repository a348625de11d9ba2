"""`BatcherActor`: turns the records of one batcher into produce requests, and answers into outcomes.

The open batches are its inbox: callers append to them and wake it at most once per flush. It takes what is ready, one batch a
partition, into one request; up to `max_in_flight_requests` are unanswered at a time, and an answer wakes it to send the next. It
never polls. What it holds while it works stands in its batcher, so a successor finds requests that were never sent, and answers that
were never looked at.
"""

from __future__ import annotations

import random
from time import monotonic

from gevent import get_hub

from klife.actors.metadata.metadata import Metadata
from klife.actors.metadata.snapshot import BrokerInfo
from klife.actors.network.backoff import backoff
from klife.actors.network.call import CallFailed
from klife.actors.producer import uncertain as uncertain
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.held_up import Refused
from klife.actors.producer.policy import Action, rule_for
from klife.actors.producer.refusal import Refusal, fail_too_large, judge
from klife.actors.producer.request import InFlightRequest
from klife.actors.runtime.actor import GeventActor
from klife.errors import KlifeError, ProduceError
from klife.protocol.apis.produce import PartitionProduceResponse, ProduceResponse
from klife.protocol.error_codes import describe
from klife.protocol.produce_wire import PlainAnswer
from klife_supervision import ExitReason
from klife_supervision.logs import get_logger, traceback_of

log = get_logger("klife.producer")

_LAST_VERSION_BY_NAME = 12  # from 13 on, Produce names topics by id
_NEVER = float("inf")
_LEFT_OUT = Refused(None, "the broker answered without a word of this partition")


class BatcherActor(GeventActor):
    """Drains one `Batcher`."""

    may_wait_for_klife = False

    def __init__(self, batcher: Batcher, metadata: Metadata) -> None:
        super().__init__()
        self.batcher = batcher
        self.producer = batcher.producer
        self.settings = batcher.producer.settings
        self.metadata = metadata
        self._hub_watch = batcher.producer.hub_watch
        self._timeout_ms = int(self.settings.request_timeout * 1000)

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return f"{len(self.batcher.calls)} in flight, {len(self.batcher.ready)} partitions ready"

    def on_start(self) -> None:
        batcher = self.batcher
        batcher.inbox = self.actor_inbox
        batcher.wake_at = _NEVER
        for in_flight_request in list(batcher.calls):
            if not in_flight_request.submitted or (in_flight_request.is_done and in_flight_request not in batcher.completed):
                self._take_over(in_flight_request)
        self.actor_inbox.wake()

    def _take_over(self, in_flight_request: InFlightRequest) -> None:
        """Our predecessor ended before it had sent this, or in the middle of the answer: what it left in flight goes again."""
        self.batcher.calls.discard(in_flight_request)
        for batch in in_flight_request.batches:
            if batch.in_flight:
                batch.fate_unknown = batch.fate_unknown or in_flight_request.submitted
                batch.attempts += in_flight_request.submitted
                batch.queue.put_back(batch, 0.0)
            self.producer.routing.offer(batch.queue)

    def on_exit(self, reason: ExitReason) -> None:
        if self.batcher.inbox is self.actor_inbox:
            self.batcher.inbox = None

    def on_wake(self) -> None:
        batcher, inbox = self.batcher, self.actor_inbox
        idle, inbox.idle = inbox.idle, False
        while batcher.completed:
            in_flight_request = batcher.completed.popleft()
            self._answered(in_flight_request)
            batcher.calls.discard(in_flight_request)  # not before: a successor takes over what it still finds here
        now = monotonic()
        self._hub_watch.hub_ran(now)
        batcher.promote(now)
        clock = self.producer.deadlines
        if now > clock.due and clock.catch_up(now):  # nothing leaves behind its time
            get_hub().loop.run_callback(inbox.wake_when_idle)
        elif batcher.ready and len(batcher.calls) < self.settings.max_in_flight:
            if not batcher.broker.is_ready:
                batcher.broker.when_ready(batcher.wake)
            elif not idle and not batcher.fills_a_request:
                inbox.wake_when_idle()  # those whom this answer woke, and answers that are there already, have more for the request
            elif self.producer.budget.is_over():
                inbox.wake_when_idle()  # other batchers have sent theirs: encoding more would hold the hub
            else:
                batches = batcher.drain(now)
                if batches:
                    self._send(batches)
                    if batcher.ready and len(batcher.calls) < self.settings.max_in_flight:
                        get_hub().loop.run_callback(inbox.wake_when_idle)  # behind those who were refused this turn
        due = batcher.next_due()
        if due != batcher.wake_at:
            batcher.wake_at = due
            if due != _NEVER:
                self.wake_after(due - monotonic())

    # sending

    def _send(self, batches: list[Batch]) -> None:
        batcher, settings = self.batcher, self.settings
        in_flight_request = InFlightRequest(batcher, batches)
        batcher.calls.add(in_flight_request)
        if not in_flight_request.pack(self._timeout_ms, self._not_encodable):
            batcher.calls.discard(in_flight_request)
            return
        try:
            self.producer.requests += 1
            batcher.broker.send(
                in_flight_request,
                timeout=settings.request_timeout,
                client_id=settings.client_id,
                max_version=None if in_flight_request.by_id else _LAST_VERSION_BY_NAME,
                expect_reply=settings.acks != 0,
            )
        except BaseException as error:  # a signal handler's exception too
            # Some of it may be on the wire: nothing can follow it there. The records go again on a new connection.
            batcher.broker.fail(f"a request could not be sent: {error}")
            in_flight_request.finish(CallFailed(f"the request could not be sent: {error}", sent=True))
            raise

    def _not_encodable(self, batch: Batch, error: Exception) -> None:
        log.error("batch_not_encodable", topic=batch.queue.topic, partition=batch.queue.partition, exception=traceback_of(error))
        self._give_up(batch, f"the records could not be encoded: {error}")

    # answers

    def _answered(self, in_flight_request: InFlightRequest) -> None:
        if in_flight_request.error is not None:
            self._unanswered(in_flight_request.batches, in_flight_request.error)
        elif in_flight_request.response is None:  # acks 0: handed to the socket is all we will ever know
            for batch in in_flight_request.batches:
                batch.queue.settled(batch)
                self.producer.settle(batch, None, -1, None)
        else:
            self._judge(in_flight_request, in_flight_request.response)
        in_flight_request.offer_what_is_left()

    def _unanswered(self, batches: list[Batch], error: KlifeError) -> None:
        if not isinstance(error, CallFailed):  # this broker can not be talked to like this, now or later
            for batch in batches:
                self._give_up(batch, str(error))
            return
        now = monotonic()
        refused = Refused(None, str(error))
        for batch in batches:
            if error.sent:
                batch.fate_unknown = True
            self._retry(batch, now, refused)
        self.metadata.request_refresh()

    def _judge(self, in_flight_request: InFlightRequest, response: PlainAnswer | ProduceResponse) -> None:
        by_topic = in_flight_request.by_topic
        if isinstance(response, PlainAnswer):
            in_flight_request.written(response)
        else:
            self._judge_each(by_topic, response)
        now = monotonic()
        for batches in by_topic.values():
            for batch in batches.values():  # the broker left it out of its answer
                batch.fate_unknown = True
                self._retry(batch, now, _LEFT_OUT)
            batches.clear()

    def _judge_each(self, by_topic: dict[str | bytes, dict[int, Batch]], response: ProduceResponse) -> None:
        for topic in response.responses:
            batches = by_topic.get(topic.name or topic.topic_id)  # an answer has one of them, as its version goes
            if batches is None:
                continue
            for answer in topic.partition_responses:
                batch = batches.pop(answer.index, None)
                if batch is None:
                    continue
                self._judge_one(batch, topic.topic_id, answer, response)

    def _judge_one(self, batch: Batch, topic_id: bytes, answer: PartitionProduceResponse, response: ProduceResponse) -> None:
        queue = batch.queue
        rule = rule_for(answer.error_code)
        if rule.action is Action.DELIVERED:
            self.producer.written(batch, answer.base_offset, answer.log_append_time_ms)
            return
        log.info(
            "partition_refused",
            topic=queue.topic,
            partition=queue.partition,
            error=describe(answer.error_code),
            action=rule.action.value,
        )
        refusal = Refusal(
            answer.error_code,
            rule,
            answer.error_message,
            {record.batch_index: record.batch_index_error_message for record in answer.record_errors},
            answer.base_offset >= 0,
        )
        if rule.action is Action.SPLIT and batch.count == 1:
            self._too_large(batch, refusal)
            return
        if rule.action is Action.REROUTE:
            self.metadata.leader_refused(queue.topic, answer.index, self.batcher.node_id)
            leader = answer.current_leader
            node = next((node for node in response.node_endpoints if node.node_id == leader.leader_id), None)
            self.metadata.leader_hint(
                queue.topic,
                topic_id,
                answer.index,
                leader.leader_id,
                leader.leader_epoch,
                BrokerInfo(node.node_id, node.host, node.port, node.rack) if node is not None else None,
            )
            self.metadata.request_refresh()
        expired = batch.is_set
        backs_off = judge(self.producer, batch, refusal)
        if rule.action is not Action.FAIL:
            # What is settled thereby is in nobody's way; nor are refused records in that of others.
            if (expired or not batch.is_set) and rule.action is not Action.REJECT_RECORDS:
                queue.refused = Refused(answer.error_code, answer.error_message)
            self._retry_at(batch, monotonic(), backs_off)

    def _too_large(self, batch: Batch, refusal: Refusal) -> None:
        """A single record is over the topic's limit. The broker does not say what that is, so ask before telling the caller."""
        queue = batch.queue
        queue.settled(batch)
        uncertain.give_up(queue, batch)
        self.metadata.topic_size_limit(
            queue.topic, self.batcher.broker, lambda limit: fail_too_large(self.producer, batch, refusal, limit)
        )

    def _retry(self, batch: Batch, now: float, refused: Refused) -> None:
        batch.queue.put_back(batch, 0.0)
        batch.queue.refused = refused
        self._retry_at(batch, now, True)

    def _retry_at(self, batch: Batch, now: float, backs_off: bool) -> None:
        """Count a retry of the partition and let it wait (KIP-580); `batch`, or its pieces, are back in the queue already."""
        queue = batch.queue
        batch.attempts += 1
        self.producer.retries += 1
        if backs_off:
            settings = self.settings
            queue.failures += 1
            queue.retry_at = now + backoff(queue.failures, settings.retry_backoff, settings.retry_backoff_max, random.random())

    def _give_up(self, batch: Batch, why: str) -> None:
        queue = batch.queue
        queue.settled(batch)
        uncertain.give_up(queue, batch)
        self.producer.settle(
            batch,
            None,
            -1,
            ProduceError(
                f"records of {queue.topic}-{queue.partition} "
                f"{'may be in the log, and can not be sent again' if batch.fate_unknown else 'were not written'}: {why}",
                topic=queue.topic,
                partition=queue.partition,
                possibly_persisted=batch.fate_unknown,
            ),
        )
        self.producer.routing.offer(queue)  # it may have more to send
