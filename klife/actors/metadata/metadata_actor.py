"""`MetadataActor`: keeps the cluster's snapshot current.

A refresh is due by age, and when somebody asked for one (a leadership error, a connection lost). Requests for
a refresh coalesce: one is on its way at a time, and they keep a minimum distance. In between there are
questions about topics that are not known yet, at once and again while callers wait for them; which topics a
request names, and whether it may create them, says `interest`.

Whom to ask: any broker that is connected, the least busy one. If none is, the known brokers and the bootstrap
addresses are tried in turn, the next one as soon as one fails or a second passes, until one answers (KIP-899,
KIP-1102): so the client starts with the cluster down, and comes back when all the brokers it knew are gone
but the bootstrap list knows others. A connected one that has not answered for a second holds nobody up
either: what is due then is asked of another.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from klife.actors.metadata.interest import TopicQuestion
from klife.actors.metadata.messages import GetCluster
from klife.actors.metadata.metadata import Metadata
from klife.actors.metadata.snapshot import ClusterSnapshot, updated
from klife.actors.network.backoff import backoff
from klife.actors.network.broker import Broker
from klife.actors.network.call import Call
from klife.actors.runtime.actor import POSTPONED, GeventActor
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import NEVER
from klife.errors import KlifeError
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from klife.protocol.connection import State
from klife.protocol.error_codes import ErrorCode, describe
from klife.protocol.errors import DecodeError
from klife.protocol.metadata_wire import MetadataQuery, Undecoded
from klife_supervision import ExitReason, SupervisionError
from klife_supervision.logs import Logger, get_logger

log: Logger = get_logger("klife.metadata")

_MIN_INTERVAL = 0.05  # seconds between two refreshes
_TRY_NEXT_AFTER = 1.0


class MetadataActor(GeventActor):
    """Fills a `Metadata`. `start_connection(broker)` starts the actor of a broker that has none, and may
    raise SupervisionError; `stop_connection(broker)` stops it.
    """

    def __init__(
        self,
        metadata: Metadata,
        start_connection: Callable[[Broker], None],
        stop_connection: Callable[[Broker], None],
    ) -> None:
        super().__init__()
        self.metadata = metadata
        self._start_connection = start_connection
        self._stop_connection = stop_connection
        self._call: Call | None = None  # the newest without an answer
        self._called: Broker | None = None
        self._called_at = -NEVER
        self._answers: deque[tuple[TopicQuestion, Call]] = deque()
        self._asked = TopicQuestion((), creates=False, everything=True)  # what the answer that is looked at was asked
        self._answered_at = -NEVER
        self._refreshed_at = -NEVER
        self._silent: list[Broker] = []  # who was asked, and had not answered when another was asked as well
        self._failures = 0
        self._starting_over = False  # the brokers we know want us to ask the bootstrap list (KIP-1102)
        self._trying: list[Broker] = []  # whom to try next while nobody is connected
        self._tried: Broker | None = None
        self._connects_before = 0
        self._tried_at = -NEVER

    def on_start(self) -> None:
        self.metadata.inbox = self.actor_inbox
        self.actor_inbox.wake()

    def on_exit(self, reason: ExitReason) -> None:
        if self.metadata.inbox is self.actor_inbox:
            self.metadata.inbox = None

    def on_receive(self, message: GetCluster) -> Any:
        snapshot = self.metadata.snapshot
        return snapshot if snapshot.brokers else POSTPONED

    def on_wake(self) -> None:
        now = monotonic()
        while self._answers:
            self._take_answer(now)
        if not self._start_connections():
            self.wake_after(0.1)
            return
        metadata = self.metadata
        refresh_at, question_at = self._refresh_due(), metadata.interest.due(metadata.snapshot.topics)
        due = max(min(refresh_at, question_at), self._not_before())
        if self._call is not None:
            # A cluster that is only slow must not be asked ever more often.
            due = max(due, self._called_at + _TRY_NEXT_AFTER * 2 ** len(self._silent))
        if now < due:
            self.wake_after(due - now)
            return
        silent = self._called if self._call is not None else None
        broker = metadata.any_ready_broker(bootstrap=self._starting_over, other_than=silent)
        if broker is not None:
            if silent is not None:
                self._silent.append(silent)
            self._ask(broker, now, refreshes=refresh_at <= question_at)
            return
        others = [each for each in metadata.ordinary_brokers() if each is not silent and (each.node_id < 0 or not self._starting_over)]
        if others:
            self._try_someone(now, others)
        else:
            self.wake_after(_TRY_NEXT_AFTER)

    def _start_connections(self) -> bool:
        """Have an actor started for each broker that is new; False when their supervisor is being restarted
        just now.
        """
        for broker in list(self.metadata.brokers.values()):
            if not broker.has_actor:
                try:
                    self._start_connection(broker)
                except SupervisionError as error:  # when it is up, it starts them all itself
                    log.debug("connection_not_started", broker=broker.told_id, error=str(error))
                    return False
        return True

    def _refresh_due(self) -> float:
        return self._refreshed_at + (_MIN_INTERVAL if self.metadata.refresh_wanted else self.metadata.settings.metadata_max_age)

    def _not_before(self) -> float:
        """After a failure, whatever is due waits."""
        if not self._failures:
            return -NEVER
        return self._answered_at + backoff(self._failures, _MIN_INTERVAL, 1.0, random.random())

    def _ask(self, broker: Broker, now: float, *, refreshes: bool) -> None:
        metadata = self.metadata
        self._trying = []
        self._called, self._called_at = broker, now
        interest = metadata.interest
        asked = interest.refresh() if refreshes else interest.question(metadata.snapshot.topics, metadata.needs, now)
        if refreshes:
            metadata.refresh_wanted = False
        request = MetadataQuery(
            MetadataRequest(
                topics=[MetadataRequestTopic(name=name) for name in asked.names],
                allow_auto_topic_creation=asked.creates,
            )
        )
        self._call = broker.call(
            request,
            partial(self._done, asked),
            timeout=metadata.settings.connection.request_timeout,
            client_id=metadata.client_id,
        )
        self.wake_after(_TRY_NEXT_AFTER)

    def _done(self, asked: TopicQuestion, call: Call) -> None:
        self._answers.append((asked, call))
        self.actor_inbox.wake()

    def _take_answer(self, now: float) -> None:
        self._asked, call = self._answers.popleft()
        if call is self._call:
            self._call = None
        metadata = self.metadata
        error: KlifeError | DecodeError | None = call.error
        if error is None:
            try:
                response, snapshot = self._read(call.response)
            except DecodeError as not_understood:
                error = not_understood
        if error is not None:
            log.warning("metadata_refresh_failed", error=str(error))
            metadata.refresh_wanted = True
            self._answered_at = now
            self._failures += 1
            return
        self._answered_at = now
        if response.error_code == ErrorCode.REBOOTSTRAP_REQUIRED:
            log.warning("rebootstrap_required")
            metadata.refresh_wanted = True
            self._starting_over = True
            self._failures += 1  # so that bootstrap addresses that say the same are not asked without a pause
            for broker in metadata.known_brokers():
                broker.fail("the cluster asks its clients to start over from the bootstrap list (KIP-1102)")
            return
        self._give_up_silent()
        self._failures = 0
        self._starting_over = False
        if self._asked.everything:
            self._refreshed_at = now
        # Before it is published, and those who wait are woken: they look at both.
        missing = metadata.interest.answered(self._asked, snapshot.topics, metadata.needs, now, snapshot.topic_errors)
        first = not metadata.snapshot.brokers
        metadata.publish(snapshot)
        if first and snapshot.brokers:
            log.info("client_connected", cluster_id=snapshot.cluster_id, brokers=len(snapshot.brokers))
        self._tell_missing(missing)
        self._release_bootstrap()
        self._forget_departed()

    def _give_up_silent(self) -> None:
        """Another has answered; a bootstrap address that has not is of no use to others who asked there (for
        a producer id) either.
        """
        silent, self._silent = self._silent, []
        for broker in silent:
            if broker.node_id < 0 and broker.calls:
                broker.fail("it has not answered Metadata, and another address has")

    def _read(self, answer: MetadataResponse | Undecoded) -> tuple[MetadataResponse, ClusterSnapshot]:
        """The answer, and what is known with it. Read in a thread if it is large, so that the hub goes on
        meanwhile.
        """
        if not isinstance(answer, Undecoded):
            return answer, self._known_with(answer)
        response, before, snapshot = call_in_thread(self._read_in_thread, answer)
        if before is not self.metadata.snapshot:  # a broker told of a new leader meanwhile
            snapshot = self._known_with(response)
        return response, snapshot

    def _read_in_thread(self, answer: Undecoded) -> tuple[MetadataResponse, ClusterSnapshot, ClusterSnapshot]:
        before = self.metadata.snapshot
        response = answer.decode()
        return response, before, self._after(before, response)

    def _known_with(self, response: MetadataResponse) -> ClusterSnapshot:
        return self._after(self.metadata.snapshot, response)

    def _after(self, before: ClusterSnapshot, response: MetadataResponse) -> ClusterSnapshot:
        return updated(before, response, None if self._asked.everything else self._asked.names)

    def _tell_missing(self, topics: list[str]) -> None:
        for topic in topics:
            log.warning(
                "topic_not_found",
                topic=topic,
                error=describe(self.metadata.snapshot.topic_errors.get(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)),
                hint="it is in this client's topics; create it, or correct its name",
            )

    def _release_bootstrap(self) -> None:
        """Close bootstrap connections once the brokers are known by id: one connection a broker."""
        if not self.metadata.snapshot.brokers:
            return
        for broker in self.metadata.brokers.values():
            if broker.node_id < 0 and broker.is_ready:
                broker.release()

    def _forget_departed(self) -> None:
        """Let go of brokers that left the cluster for good, once no user of the metadata has work for them."""
        metadata = self.metadata
        for broker in list(metadata.known_brokers()):
            if metadata.is_gone(broker.node_id) and not metadata.uses(broker.node_id) and not broker.calls:
                self._stop_connection(broker)
                if not metadata.uses(broker.node_id):  # else it came back while we waited, and gets an actor again
                    del metadata.brokers[broker.key]

    def _try_someone(self, now: float, candidates: list[Broker]) -> None:
        tried = self._tried
        failed = tried is not None and tried.connects > self._connects_before and tried.connection.state is State.DISCONNECTED
        if failed or now >= self._tried_at + _TRY_NEXT_AFTER or not any(broker.waiting for broker in self.metadata.ordinary_brokers()):
            if not self._trying:  # brokers before bootstrap addresses, and those last met in trouble last
                self._trying = sorted(candidates, key=lambda broker: (broker.node_id < 0, broker.last_error is not None))
            tried = self._tried = self._trying.pop(0)
            self._connects_before = tried.connects
            tried.when_ready(self.actor_inbox.wake)
            self._tried_at = now
        self.wake_after(max(self._tried_at + _TRY_NEXT_AFTER - now, 0.01))
