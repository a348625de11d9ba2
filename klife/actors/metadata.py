"""`MetadataActor`: keeps the cluster's snapshot current.

A refresh is due by age, when somebody asked for one (a leadership error, a connection lost, a topic not known yet), and again soon
while callers wait for a topic. Requests for a refresh coalesce: one is on its way at a time, and they keep a minimum distance.

Whom to ask: any broker that is connected, the least busy one. If none is, the known brokers and the bootstrap addresses are tried in
turn, the next one as soon as one fails or a second passes, until one answers (KIP-899, KIP-1102): so the client starts with the
cluster down, and comes back when all the brokers it knew are gone but the bootstrap list knows others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from time import monotonic

from gevent import get_hub

from klife.actors.backoff import backoff
from klife.actors.channel import BrokerChannel, Call
from klife.actors.cluster import Cluster
from klife.actors.metadata_snapshot import ClusterSnapshot, updated
from klife.actors.runtime.actor import GeventActor
from klife.errors import KlifeError
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from klife.protocol.connection import State
from klife.protocol.errors import DecodeError
from klife.protocol.metadata_wire import MetadataQuery, Undecoded
from klife_supervision import ExitReason, SupervisionError
from klife_supervision.logs import get_logger

log = get_logger("klife.metadata")

_MIN_INTERVAL = 0.05  # seconds between two refreshes
_URGENT_INTERVAL = 0.2  # while somebody waits for a topic
_TRY_NEXT_AFTER = 1.0
_REBOOTSTRAP_REQUIRED = 129  # KIP-1102


class MetadataActor(GeventActor):
    """Fills a `Cluster`. `start_connection(channel)` starts the actor of a channel that has none, and may raise SupervisionError;
    `stop_connection(channel)` stops it."""

    may_wait_for_klife = False

    def __init__(
        self,
        cluster: Cluster,
        start_connection: Callable[[BrokerChannel], None],
        stop_connection: Callable[[BrokerChannel], None],
    ) -> None:
        super().__init__()
        self.cluster = cluster
        self._start_connection = start_connection
        self._stop_connection = stop_connection
        self._call: Call | None = None
        self._answer: Call | None = None
        self._asked: tuple[str, ...] = ()
        self._answered_at = float("-inf")
        self._failures = 0
        self._starting_over = False  # the brokers we know want us to ask the bootstrap list (KIP-1102)
        self._trying: list[BrokerChannel] = []  # whom to try next while nobody is connected
        self._tried: BrokerChannel | None = None
        self._connects_before = 0
        self._tried_at = float("-inf")

    def on_start(self) -> None:
        self.cluster.inbox = self.actor_inbox
        self.actor_inbox.wake()

    def on_exit(self, reason: ExitReason) -> None:
        if self.cluster.inbox is self.actor_inbox:
            self.cluster.inbox = None

    def on_wake(self) -> None:
        now = monotonic()
        if self._answer is not None:
            self._take_answer(now)
        if not self._start_connections():
            self.wake_after(0.1)
            return
        due = self._due()
        if self._call is None and now >= due:
            self._refresh(now)
        elif self._call is None:
            self.wake_after(due - now)

    def _start_connections(self) -> bool:
        """Have an actor started for each broker that is new; False when their supervisor is being restarted just now."""
        for channel in list(self.cluster.channels.values()):
            if not channel.has_actor:
                try:
                    self._start_connection(channel)
                except SupervisionError as error:  # when it is up, it starts them all itself
                    log.info("connection_not_started", broker=channel.node_id, error=str(error))
                    return False
        return True

    def _due(self) -> float:
        cluster = self.cluster
        if self._failures:
            return self._answered_at + backoff(self._failures, _MIN_INTERVAL, 1.0, random.random())
        if cluster.urgent:
            return self._answered_at + _URGENT_INTERVAL
        if cluster.refresh_wanted or any(name not in cluster.snapshot.topics for name in cluster.interest):
            return self._answered_at + (_MIN_INTERVAL if cluster.refresh_wanted else 1.0)
        return self._answered_at + cluster.settings.metadata_max_age

    def _refresh(self, now: float) -> None:
        cluster = self.cluster
        channel = cluster.any_ready_channel(bootstrap=self._starting_over)
        if channel is None:
            self._try_someone(now)
            return
        self._trying = []
        cluster.refresh_wanted = False
        self._asked = tuple(cluster.interest)
        request = MetadataQuery(
            MetadataRequest(
                topics=[MetadataRequestTopic(name=name) for name in self._asked],
                # Whether a topic comes to be by producing to it is the brokers' setting, as for the Java producer. But only while
                # somebody wants to: looking again after a topic that was deleted must not bring it back.
                allow_auto_topic_creation=cluster.urgent > 0,
            )
        )
        self._call = channel.call(request, self._done, timeout=cluster.settings.connection.request_timeout, client_id=cluster.client_id)
        if self._answer is not None:  # it failed at once
            self.actor_inbox.wake()

    def _done(self, call: Call) -> None:
        self._answer = call
        self.actor_inbox.wake()

    def _take_answer(self, now: float) -> None:
        call, self._answer, self._call = self._answer, None, None
        assert call is not None
        cluster = self.cluster
        error: KlifeError | DecodeError | None = call.error
        if error is None:
            try:
                response, snapshot = self._read(call.response)
            except DecodeError as not_understood:
                error = not_understood
        if error is not None:
            log.warning("metadata_refresh_failed", error=str(error))
            cluster.refresh_wanted = True
            self._answered_at = now
            self._failures += 1
            return
        self._answered_at = now
        if response.error_code == _REBOOTSTRAP_REQUIRED:
            log.warning("rebootstrap_required")
            cluster.refresh_wanted = True
            self._starting_over = True
            self._failures += 1  # so that bootstrap addresses that say the same are not asked without a pause
            for channel in cluster.broker_channels():
                channel.fail("the cluster asks its clients to start over from the bootstrap list (KIP-1102)")
            return
        self._failures = 0
        self._starting_over = False
        cluster.publish(snapshot)
        cluster.forget_vanished()
        self._release_bootstrap()
        self._forget_departed()

    def _read(self, answer: MetadataResponse | Undecoded) -> tuple[MetadataResponse, ClusterSnapshot]:
        """The answer, and what is known with it. Read in a thread if it is large, so that the hub goes on meanwhile."""
        if not isinstance(answer, Undecoded):
            return answer, self._known_with(answer)
        response, before, snapshot = get_hub().threadpool.apply(self._read_in_thread, (answer,))
        if before is not self.cluster.snapshot:  # a broker told of a new leader meanwhile
            snapshot = self._known_with(response)
        return response, snapshot

    def _read_in_thread(self, answer: Undecoded) -> tuple[MetadataResponse, ClusterSnapshot, ClusterSnapshot]:
        before = self.cluster.snapshot
        response = answer.decode()
        return response, before, updated(before, response, self._covered())

    def _known_with(self, response: MetadataResponse) -> ClusterSnapshot:
        return updated(self.cluster.snapshot, response, self._covered())

    def _covered(self) -> Sequence[str] | None:
        return self._asked if self.cluster.interest else None

    def _release_bootstrap(self) -> None:
        """Close bootstrap connections once the brokers are known by id: one connection a broker."""
        if not self.cluster.snapshot.brokers:
            return
        for channel in self.cluster.channels.values():
            if channel.node_id < 0 and channel.is_ready:
                channel.release()

    def _forget_departed(self) -> None:
        """Let go of brokers that left the cluster for good, once no producer has a lane for them."""
        cluster = self.cluster
        for channel in list(cluster.broker_channels()):
            if cluster.is_gone(channel.node_id) and not cluster.uses(channel.node_id) and not channel.calls:
                self._stop_connection(channel)
                if not cluster.uses(channel.node_id):  # else it came back while we waited, and gets an actor again
                    del cluster.channels[channel.node_id]

    def _try_someone(self, now: float) -> None:
        tried = self._tried
        failed = tried is not None and tried.connects > self._connects_before and tried.connection.state is State.DISCONNECTED
        if failed or now >= self._tried_at + _TRY_NEXT_AFTER or not any(channel.waiting for channel in self.cluster.channels.values()):
            if not self._trying:  # brokers before bootstrap addresses, and those last met in trouble last
                self._trying = sorted(
                    (channel for channel in self.cluster.channels.values() if channel.node_id < 0 or not self._starting_over),
                    key=lambda channel: (channel.node_id < 0, channel.last_error is not None),
                )
            tried = self._tried = self._trying.pop(0)
            self._connects_before = tried.connects
            tried.when_ready(self.actor_inbox.wake)
            self._tried_at = now
        self.wake_after(max(self._tried_at + _TRY_NEXT_AFTER - now, 0.01))
