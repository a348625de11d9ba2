"""`ProducerActor`: one producer's control: its identity, and its partitions' way to their leaders.

It touches no record. Everything it decides is done on the `Producer`; when it dies, nothing is lost, and its
successor looks at everything once when it starts.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic
from typing import Any

from klife.actors.metadata.metadata import Metadata
from klife.actors.network.backoff import backoff
from klife.actors.network.call import Call
from klife.actors.principal import Principal
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.identity import Identity
from klife.actors.producer.messages import GetIdentity
from klife.actors.producer.producer import Producer
from klife.actors.runtime.actor import POSTPONED, GeventActor
from klife.actors.settings import NEVER
from klife.errors import ProduceError
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.error_codes import ErrorCode, describe, is_retriable
from klife.protocol.errors import UnsupportedVersion
from klife.protocol.primitives import INT32_MAX
from klife_supervision import ExitReason, SupervisionError
from klife_supervision.logs import Logger, get_logger

log: Logger = get_logger("klife.producer")

_LOOK_FOR_LEADERS_EVERY = 0.25
_ASK_AGAIN_WHEN_IDLE = 10.0  # seconds after a refusal that will hardly pass by itself, while no records want an id
_TOLD_AT = 3  # failures that may pass, before they are told: a cluster that has just started answers like this for a moment


class ProducerActor(GeventActor):
    """Runs one `Producer`. `start_batcher(batcher)` starts the actor of a batcher that has none, and may
    raise SupervisionError; `stop_batcher(batcher)` stops it.
    """

    may_wait_for_klife = False

    def __init__(
        self, producer: Producer, metadata: Metadata, start_batcher: Callable[[Batcher], None], stop_batcher: Callable[[Batcher], None]
    ) -> None:
        super().__init__()
        self.producer = producer
        self.metadata = metadata
        self._start_batcher = start_batcher
        self._stop_batcher = stop_batcher
        self._snapshot: object = None
        self._call: Call | None = None
        self._answer: Call | None = None
        self._look_at = 0.0  # when to ask for leaders again, while records want for one
        self._id_failures = 0
        self._id_asked_at = 0.0
        self._id_retry_at = 0.0
        self._id_refusal: str | None = None  # why there will be no id as things are: records fail with it, instead of waiting
        self._id_refused_with: int | None = None  # Kafka's code for it, if a broker gave one
        self._id_trouble: object = None  # the kind of the last failure
        self._id_same_trouble = 0  # failures of that kind in a row

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        producer = self.producer
        if not producer.idempotent:
            return "not idempotent"
        identity = producer.identity
        return f"id {identity.producer_id} epoch {identity.epoch}" if identity is not None else "no producer id yet"

    def on_start(self) -> None:
        self.producer.batchers.inbox = self.actor_inbox
        self.actor_inbox.wake()

    def on_exit(self, reason: ExitReason) -> None:
        if self.producer.batchers.inbox is self.actor_inbox:
            self.producer.batchers.inbox = None

    def on_receive(self, message: GetIdentity) -> Any:
        identity = self.producer.identity
        return identity if identity is not None else POSTPONED

    def on_wake(self) -> None:
        producer, metadata = self.producer, self.metadata
        now = monotonic()
        if self._snapshot is not metadata.snapshot:
            self._snapshot = metadata.snapshot
            producer.routing.apply(metadata.snapshot)
            self._forget_departed()
        # Asked again below: to start one waits, so only what was there before the wake-up counts here (`look_in_hub` of
        # transactions has looked at that, and nothing later), while the answer may leave records without a leader.
        retry = NEVER if producer.batchers.all_at_work() else self._start_batchers()
        due = self._get_identity(now)
        if not producer.batchers.all_at_work():
            due = min(due, retry, self._look_for_leaders(now))
        if due != NEVER:
            self.wake_after(due - now)

    def _look_for_leaders(self, now: float) -> float:
        """Ask the cluster, where records wait for a leader or for one that could not be reached; return when to
        look again.

        A dead broker stays the leader until the cluster has missed it; the next attempt to reach it may be
        seconds away. Each answer wakes us, so it takes a clock not to ask again at once.
        """
        batchers = self.producer.batchers
        if not batchers.has_leaderless() and not batchers.has_cut_off():
            return NEVER
        if now >= self._look_at:
            self._look_at = now + _LOOK_FOR_LEADERS_EVERY
            self.metadata.request_refresh()
        return self._look_at

    def _start_batchers(self) -> float:
        for batcher in self.producer.batchers.without_actors():
            try:
                self._start_batcher(batcher)
            except SupervisionError as error:  # the batchers' supervisor is being restarted; it starts them all when it is up
                log.debug("batcher_not_started", broker=batcher.node_id, error=str(error))
                return monotonic() + 0.1
        return NEVER

    def _forget_departed(self) -> None:
        """Let go of the batchers of brokers that left the cluster for good, unless a partition still waits
        for one of them.
        """
        batchers = self.producer.batchers.all
        for key, batcher in list(batchers.items()):
            if self.metadata.is_gone(batcher.node_id) and not batcher.calls and not self._leads(batcher):
                self._stop_batcher(batcher)
                if not self._leads(batcher):  # else it came back while we waited, and gets an actor again
                    del batchers[key]

    def _leads(self, batcher: Batcher) -> bool:
        topics = self.producer.routing.topics.values()
        return any(partition is not None and partition.served_by is batcher for topic in topics for partition in topic.partitions)

    # identity

    def _get_identity(self, now: float) -> float:
        """Make sure there is a producer id, or that one is on its way; return when to try again."""
        producer = self.producer
        if self._answer is not None:
            self._take_identity(now)
        if not producer.idempotent or producer.identity is not None or self._call is not None:
            return NEVER
        if self._id_refusal is not None and now < self._id_retry_at:
            self._fail_for_want_of_identity()
        idle = self._id_refusal is not None and not producer.deadlines.pending
        retry_at = max(self._id_retry_at, self._id_asked_at + _ASK_AGAIN_WHEN_IDLE) if idle else self._id_retry_at
        if now < retry_at:
            return retry_at
        broker = self.metadata.any_ready_broker(api_key=InitProducerIdRequest.API_KEY)
        if broker is None:
            self.metadata.request_refresh()  # which connects to somebody; we hear of it by the new snapshot
            return now + 0.1
        settings = producer.settings
        self._id_asked_at = now
        self._call = broker.call(
            # With no transactional id the timeout says nothing; Java's client sends the largest number too.
            InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=INT32_MAX),
            self._done,
            timeout=settings.request_timeout,
            client_id=settings.client_id,
        )
        if self._answer is not None:  # failed at once
            return now
        return NEVER

    def _done(self, call: Call) -> None:
        self._answer = call
        self.actor_inbox.wake()

    def _take_identity(self, now: float) -> None:
        call, self._answer, self._call = self._answer, None, None
        assert call is not None
        producer = self.producer
        response: InitProducerIdResponse | None = call.response
        code = response.error_code if response is not None else None
        if response is not None and code == 0:
            producer.identities.found(Identity(response.producer_id, response.producer_epoch))
            self._id_failures = self._id_same_trouble = 0
            self._id_refusal = self._id_trouble = None
            for partition in producer.deadlines.pending.values():
                if partition.served_by is not None:
                    producer.batchers.offer(partition)
            return
        self._id_failures += 1
        settings = producer.settings
        self._id_retry_at = now + backoff(self._id_failures, settings.retry_backoff, settings.retry_backoff_max, random.random())
        why = producer.identities.error = describe(code) if code is not None else str(call.error)
        passes = is_retriable(code) if code is not None else not isinstance(call.error, UnsupportedVersion)
        self._tell_trouble(type(call.error) if code is None else code, why, passes)
        self._id_refusal = None
        if not passes:
            self._id_refusal = _refusal(code, why, settings.principal)
            self._id_refused_with = code
            self._fail_for_want_of_identity()

    def _tell_trouble(self, trouble: object, why: str, passes: bool) -> None:
        """Log why there is no id: once for each reason, as long as it stays the same."""
        self._id_same_trouble = self._id_same_trouble + 1 if trouble == self._id_trouble else 1
        self._id_trouble = trouble
        tell = log.warning if self._id_same_trouble == (_TOLD_AT if passes else 1) else log.debug
        tell("no_producer_id", producer=self.producer.settings.name, error=why, attempt=self._id_failures)

    def _fail_for_want_of_identity(self) -> None:
        why, code, producer = self._id_refusal, self._id_refused_with, self.producer.settings.name
        if self.producer.fail_unsent(
            lambda topic, partition: ProduceError(
                f"records of {topic}-{partition} were not sent: the cluster gives producer {producer!r} no id: {why}",
                topic=topic,
                partition=partition,
                error_code=code,
            )
        ):
            self.actor_inbox.wake_when_idle()


def _refusal(code: int | None, why: str, principal: Principal) -> str:
    """Why there is no id, and what to do."""
    without = "set enable_idempotence=False, and a retry may write a record twice"
    if code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED:
        return f"{why}; grant {principal} IdempotentWrite on the cluster (or Write on a topic), or {without}"
    if code is None:
        return f"{why} Use brokers that do serve it (those of Kafka 2.8 in KRaft mode do not), or {without}"
    return f"{why}; the broker's log may say more, or {without}"
