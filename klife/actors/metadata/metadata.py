"""`Metadata`: what the client knows of the cluster, and how its parts ask for more.

A plain value that outlives the `MetadataActor` which fills it: the snapshot, a `Broker` for each broker and
purpose, which topics interest anybody, and who wants to hear of news.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic

from klife.actors.metadata.interest import TopicInterest
from klife.actors.metadata.snapshot import BrokerInfo, ClusterSnapshot, TopicInfo, with_leader, with_refusal
from klife.actors.metadata.user import MetadataUser
from klife.actors.network.broker import Broker
from klife.actors.network.call import Call
from klife.actors.network.purpose import BrokerKey, Purpose
from klife.actors.network.security import Security
from klife.actors.runtime.hub_pause import WORTH_TELLING, pause_told
from klife.actors.runtime.inbox import Inbox
from klife.actors.runtime.latch import Latch
from klife.actors.runtime.post import Post
from klife.actors.settings import ClientSettings
from klife.errors import BrokersUnreachable, KlifeError, ProduceError, UnknownTopic
from klife.protocol.apis.describe_configs import TOPIC_RESOURCE, DescribeConfigsRequest, DescribeConfigsResource, configured_int
from klife.protocol.error_codes import ErrorCode, describe
from klife.protocol.versions import Features

CHECK_ADDRESSES = (
    "check bootstrap_servers, and that the brokers' advertised.listeners can be reached from here, "
    "unless an address says better; client.doctor() looks at each."
)
# An impossible name, no permission: waiting changes nothing.
_HOPELESS = frozenset((ErrorCode.INVALID_TOPIC_EXCEPTION, ErrorCode.TOPIC_AUTHORIZATION_FAILED))


class Metadata:
    """Snapshot, brokers and interest. Used from the client's home thread only."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.snapshot: ClusterSnapshot = ClusterSnapshot()
        self.snapshots_seen: int = 0
        self.client_id: str = settings.client_id
        self.security: Security = Security(settings.connection)  # shared by all brokers
        # Bootstrap addresses are brokers whose id is not known yet; they get negative ids of our own.
        self.brokers: dict[BrokerKey, Broker] = {
            (-1 - index, Purpose.REQUESTS): Broker(-1 - index, host, port, settings.connection, self.client_id, security=self.security)
            for index, (host, port) in enumerate(settings.bootstrap)
        }
        self.interest: TopicInterest = TopicInterest(
            settings.prefetched_topics, settings.metadata_max_age, creates=settings.allow_auto_create_topics
        )
        self._unknown: dict[str, float] = {}  # topics that are believed not to exist, and until when
        self._users: list[MetadataUser] = []
        self._absent: dict[int, float] = {}  # brokers that the cluster does not list (any more), and since when
        self.refresh_wanted: bool = True
        self.inbox: Inbox | None = None  # the MetadataActor's, while it lives
        self.actor: Post = Post()  # where that is asked
        self._answered = Latch()
        self._closed: Callable[[str], KlifeError] | None = None
        self._features = Features()

    # who lives by it

    def register(self, user: MetadataUser) -> None:
        """Have `user` told of news, and asked what it needs."""
        self._users.append(user)

    def needs(self, topic: str) -> bool:
        """Whether any user needs `topic`."""
        return any(user.needs(topic) for user in self._users)

    def uses(self, node_id: int) -> bool:
        """Whether any user has work, or room for it, for a broker."""
        return any(user.uses(node_id) for user in self._users)

    # asking

    def request_refresh(self) -> None:
        """Have the metadata fetched anew, soon; any number of requests become one."""
        self.refresh_wanted = True
        if self.inbox is not None:
            self.inbox.wake()

    @contextmanager
    def awaiting(self, topics: Mapping[str, int], *, creates: bool) -> Iterator[None]:
        """While inside, have the cluster asked for these topics until it knows so many partitions of each.

        With `creates` the brokers may create what is missing, if they are set up to.
        """
        interest, begun = self.interest, dict(topics)
        for name, partitions in begun.items():
            interest.begin(name, creates=creates, partitions=partitions, now=monotonic())
        if self.inbox is not None:
            self.inbox.wake()
        try:
            yield
        finally:
            for name, partitions in begun.items():
                interest.end(name, creates=creates, partitions=partitions, topics=self.snapshot.topics, needed=self.needs)

    def topic(self, name: str, deadline: float, *, creates: bool, so: str = "") -> TopicInfo:
        """What is known of a topic; for one seen the first time, wait for the cluster to tell.

        `so` is what becomes of the caller's business if it is not known: a clause for the errors' texts.

        Raises:
            UnknownTopic: the cluster did not know it by `deadline` (monotonic seconds), or has said so for
                `unknown_topic_ms`, now or so long ago at most.
            BrokersUnreachable: no broker has answered by then.
            ProduceError: the cluster refuses to tell (no permission, an impossible name).
            ClientClosed: the client was stopped meanwhile.
        """
        if self._is_remembered_unknown(name):
            raise self._unknown_topic(name, "a moment ago, which is remembered for unknown_topic_ms", so)
        asked_since = self.snapshots_seen
        info = self.wait_for_partitions(name, 1, deadline, creates=creates, so=so)
        if info is not None:
            return info
        if self.snapshots_seen == asked_since:
            pause = pause_told(monotonic() - deadline - WORTH_TELLING)
            raise BrokersUnreachable(
                f"no broker answered within max_block_ms ({self.settings.max_block * 1000:g} ms), so topic {name!r} is not known: "
                f"{'; '.join([*self.troubles(), pause] if pause else self.troubles()).rstrip('.')}. "
                f"{_told(so, f'the client goes on trying: {CHECK_ADDRESSES}')}",
                topic=name,
                retriable=True,
            )
        raise self._unknown_topic(name, f"within {'unknown_topic_ms' if name in self._unknown else 'max_block_ms'}", so)

    def _unknown_topic(self, name: str, when: str, so: str) -> UnknownTopic:
        refusal = self.snapshot.topic_errors.get(name)
        advice = "create the topic, or correct its name."
        if not self.settings.allow_auto_create_topics:
            advice = f"{advice[:-1]}; allow_auto_create_topics is off."
        return UnknownTopic(
            f"topic {name!r} was not found {when}: "
            f"{describe(refusal) if refusal is not None else 'the cluster does not know it'}. {_told(so, advice)}",
            topic=name,
            error_code=refusal,
            retriable=True,
        )

    def _is_remembered_unknown(self, name: str) -> bool:
        until = self._unknown.get(name)
        if until is None:
            return False
        if name in self.snapshot.topics or monotonic() >= until:
            del self._unknown[name]
            return False
        return True

    def _remember_unknown(self, name: str) -> None:
        now = monotonic()
        self._unknown = {each: until for each, until in self._unknown.items() if until > now}
        self._unknown[name] = now + self.settings.unknown_topic

    def wait_for_partitions(
        self, name: str, count: int, deadline: float, *, creates: bool, answers: int = 0, so: str = ""
    ) -> TopicInfo | None:
        """Wait until the topic has `count` partitions; None when it has fewer at the `deadline`, still after
        so many `answers`, or once it is believed that there is no such topic.

        Raises as `topic`, but for UnknownTopic.
        """
        info = self.snapshot.topics.get(name)
        if info is not None and info.partition_count >= count:
            return info
        with self.awaiting({name: count}, creates=creates):
            misses = self.interest.misses(name)
            is_last_look = False
            while True:
                if self._closed is not None:
                    raise self._closed(so)
                if not self._answered.wait(deadline - monotonic()):
                    late = monotonic() - deadline
                    if late < WORTH_TELLING or is_last_look:
                        return None
                    is_last_look, deadline = True, monotonic() + WORTH_TELLING  # the hub was away: the answer may be there
                    continue
                info = self.snapshot.topics.get(name)
                if info is not None and info.partition_count >= count:
                    return info
                missed = self.interest.misses(name) - misses
                code = self.snapshot.topic_errors.get(name, 0)
                if missed and code in _HOPELESS:
                    who = self.settings.connection.principal
                    to_grant = f"; grant {who} Describe and Write on the topic (kafka-acls), or use another principal"
                    advice = to_grant if code == ErrorCode.TOPIC_AUTHORIZATION_FAILED else ""
                    raise ProduceError(
                        f"the cluster refuses topic {name!r}: {describe(code)}{advice}.{f' {so}.' if so else ''}",
                        topic=name,
                        error_code=code,
                    )
                if missed and missed == answers:
                    return None
                if self.interest.is_believed_missing(name, self.settings.unknown_topic):
                    self._remember_unknown(name)
                    return None

    def close(self, error: Callable[[str], KlifeError]) -> None:
        """Let nobody wait any longer: whoever asks for a topic that is not known gets what `error` makes."""
        self._closed = error
        self.actor.close(partial(error, ""))
        self._answered.set()

    # brokers

    def broker(self, node_id: int, purpose: Purpose = Purpose.REQUESTS) -> Broker:
        """A broker, for requests of this purpose; made on the spot for one that the snapshot does not list
        yet.
        """
        broker = self.brokers.get((node_id, purpose))
        if broker is None:
            listed = self.snapshot.brokers.get(node_id)
            broker = Broker(
                node_id,
                listed.host if listed is not None else None,
                listed.port if listed is not None else 0,
                self.settings.connection,
                self.client_id,
                purpose,
                self.security,
            )
            broker = self.brokers.setdefault(broker.key, broker)  # a signal handler may have needed it, too, while we made it
            if self.inbox is not None:
                self.inbox.wake()  # the MetadataActor has an actor started for it
        return broker

    def ordinary_brokers(self) -> Iterator[Broker]:
        """Those that may be asked anything, bootstrap addresses included: no request is held on to there."""
        return (broker for broker in self.brokers.values() if broker.answers_anything)

    def known_brokers(self) -> Iterator[Broker]:
        """The brokers by id, without those of the bootstrap list."""
        return (broker for broker in self.brokers.values() if broker.node_id >= 0)

    def is_gone(self, node_id: int) -> bool:
        """Whether the cluster has not listed a broker for `metadata_max_age`. One that restarts is absent,
        too, but not as long.
        """
        since = self._absent.get(node_id)
        return since is not None and monotonic() >= since + self.settings.metadata_max_age

    def any_ready_broker(
        self, *, bootstrap: bool = False, api_key: int | None = None, other_than: Broker | None = None
    ) -> Broker | None:
        """A broker that takes ordinary requests: one whose broker serves `api_key`, if any does; a broker's
        rather than a bootstrap address's; the least busy.
        """
        ready = [
            broker
            for broker in self.ordinary_brokers()
            if broker.is_ready and (broker.node_id < 0 or not bootstrap) and broker is not other_than
        ]
        able = [broker for broker in ready if api_key is None or api_key in broker.connection.ranges]
        return min(able or ready, key=lambda broker: (broker.node_id < 0, len(broker.calls)), default=None)

    @property
    def features(self) -> Features:
        """What the cluster has settled, as the broker told that knew it latest. They tell when they are
        connected to, and not again.
        """
        for broker in self.brokers.values():
            told = broker.connection.features
            if told.epoch > self._features.epoch:
                self._features = told
        return self._features

    def connected(self, broker: Broker) -> None:
        """A broker, or a bootstrap address, is connected. If no other is, whatever kept us from the others
        may be over, too. So they are tried at once: records wait for their leaders, and each of these would
        else sit out the backoff of a long absence.
        """
        others = [each for each in self.brokers.values() if each is not broker]
        if not any(each.is_connected for each in others):
            for each in others:
                each.another_connected()

    def troubles(self) -> list[str]:
        """Each address and what happened there last."""
        told = [broker.describe() for broker in self.brokers.values() if not broker.is_ready]
        if not self.snapshot.brokers:  # those that are connected have not said either who the brokers are
            told += [f"{each.address} is connected, and has not answered Metadata" for each in self.brokers.values() if each.is_ready]
        return told or ["no address was tried yet"]

    def topic_size_limit(self, topic: str, broker: Broker, then: Callable[[int | None], None]) -> None:
        """Call `then` with the topic's `max.message.bytes`, or with None when the cluster does not tell it.

        Asked each time: it is wanted only for an error message, and may have been changed since the last one.
        """

        def answered(call: Call) -> None:
            then(configured_int(call.response, "max.message.bytes") if call.response is not None else None)

        broker.call(
            DescribeConfigsRequest(
                resources=[
                    DescribeConfigsResource(resource_type=TOPIC_RESOURCE, resource_name=topic, configuration_keys=["max.message.bytes"])
                ]
            ),
            answered,
            timeout=2.0,
            client_id=self.client_id,
        )

    # news

    def publish(self, snapshot: ClusterSnapshot) -> None:
        """Swap the snapshot, follow the brokers' addresses, and tell who listens."""
        for broker in self.brokers.values():
            listed = snapshot.brokers.get(broker.node_id)
            if listed is not None:
                broker.set_address(listed.host, listed.port)
                if broker.node_id in self._absent:
                    broker.try_now()
        self.snapshot = snapshot
        for node_id in snapshot.brokers:
            self.broker(node_id)
        now = monotonic()
        self._absent = {
            broker.node_id: self._absent.get(broker.node_id, now)
            for broker in self.known_brokers()
            if broker.node_id not in snapshot.brokers
        }
        self.snapshots_seen += 1
        for user in self._users:
            user.metadata_changed()
        answered, self._answered = self._answered, Latch()
        answered.set()

    def leader_refused(self, topic: str, partition: int, node_id: int) -> None:
        """A broker refused records of a partition because it does not lead it."""
        self.snapshot = with_refusal(self.snapshot, topic, partition, node_id)

    def leader_hint(self, topic: str, topic_id: bytes, partition: int, leader: int, epoch: int, broker: BrokerInfo | None) -> None:
        """A broker told who leads a partition now (KIP-951)."""
        snapshot = with_leader(self.snapshot, topic, topic_id, partition, leader, epoch, broker)
        if snapshot is not self.snapshot:
            self.publish(snapshot)


def _told(so: str, advice: str) -> str:
    """What becomes of the caller's business, and what to do."""
    return f"{so}; {advice}" if so else advice[0].upper() + advice[1:]
