"""`Cluster`: what the client knows of the cluster, and how its parts ask for more.

A plain value that outlives the `MetadataActor` which fills it: the snapshot, a channel for each broker, which topics interest
anybody, and who wants to hear of news.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from klife.actors.channel import BrokerChannel, Call
from klife.actors.metadata_snapshot import BrokerInfo, ClusterSnapshot, TopicInfo, with_leader
from klife.actors.runtime.hub_pause import WORTH_TELLING, pause_told
from klife.actors.runtime.inbox import Inbox
from klife.actors.runtime.latch import Latch
from klife.actors.settings import ClientSettings
from klife.errors import BrokersUnreachable, KlifeError, ProduceError, UnknownTopic
from klife.protocol.apis.describe_configs import TOPIC_RESOURCE, DescribeConfigsRequest, DescribeConfigsResource, configured_int
from klife.protocol.error_codes import describe

CHECK_ADDRESSES = "check bootstrap_servers, and that the brokers' advertised.listeners can be reached from here."
_HOPELESS = frozenset((17, 29))  # an impossible name, no permission: waiting changes nothing


class Cluster:
    """Snapshot, channels and interest. Used from the client's home thread only."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.snapshot = ClusterSnapshot()
        self.snapshots_seen = 0
        self.client_id = settings.client_id
        # Bootstrap addresses are brokers whose id is not known yet; they get negative ids of our own.
        self.channels: dict[int, BrokerChannel] = {
            -1 - index: BrokerChannel(-1 - index, host, port, settings.connection, self.client_id)
            for index, (host, port) in enumerate(settings.bootstrap)
        }
        self.interest: dict[str, None] = dict.fromkeys(settings.prefetched_topics)
        self.needs: Callable[[str], bool] = lambda _topic: False  # whether records are queued for a topic
        self.uses: Callable[[int], bool] = lambda _node_id: False  # whether a producer has records, or room for them, for a broker
        self._absent: dict[int, float] = {}  # brokers that the cluster does not list (any more), and since when
        self._awaited: Counter[str] = Counter()  # topics by the callers that wait for them
        self._passing: set[str] = set()  # of these, what `ask_for` added and nobody has waited for yet
        self.refresh_wanted = True
        self.urgent = 0  # callers waiting for a topic that is not known yet
        self.inbox: Inbox | None = None  # the MetadataActor's, while it lives
        self.on_change: list[Callable[[], None]] = []
        self._answered = Latch()
        self._closed: Callable[[], KlifeError] | None = None

    # asking

    def request_refresh(self) -> None:
        """Have the metadata fetched anew, soon; any number of requests become one."""
        self.refresh_wanted = True
        if self.inbox is not None:
            self.inbox.wake()

    def ask_for(self, names: Iterable[str]) -> None:
        """Have the next refresh tell of topics that a caller is about to wait for one after the other."""
        new = [name for name in names if name not in self.interest]
        if new:
            self.interest.update(dict.fromkeys(new))
            self._passing.update(new)
            self.request_refresh()

    def topic(self, name: str, deadline: float) -> TopicInfo:
        """What is known of a topic; for one seen the first time, wait for the cluster to tell.

        Raises:
            UnknownTopic: the cluster did not know it by `deadline` (monotonic seconds).
            BrokersUnreachable: no broker has answered by then.
            ProduceError: the cluster refuses to tell (no permission, an impossible name).
            ClientClosed: the client was stopped meanwhile.
        """
        info = self.snapshot.topics.get(name)
        if info is not None and info.partition_count:
            return info
        known_before = name in self.interest and name not in self._passing
        self._passing.discard(name)
        self.interest[name] = None
        self.urgent += 1
        self._awaited[name] += 1
        asked_since = self.snapshots_seen
        paused = 0.0
        try:
            while True:
                if self._closed is not None:
                    raise self._closed()
                self.request_refresh()
                if not self._answered.wait(deadline - monotonic()):
                    late = monotonic() - deadline
                    if late < WORTH_TELLING or paused:
                        break
                    paused, deadline = late, monotonic() + WORTH_TELLING  # the hub was away: the answer may be there
                    continue
                info = self.snapshot.topics.get(name)
                if info is not None and info.partition_count:
                    return info
                code = self.snapshot.topic_errors.get(name, 0)
                if code in _HOPELESS and self.snapshots_seen > asked_since:
                    raise ProduceError(
                        f"the cluster refuses topic {name!r}: {describe(code)}. The record was not queued.",
                        topic=name,
                        error_code=code,
                    )
        except BaseException:
            self._forget(name, known_before)
            raise
        finally:
            self.urgent -= 1
            self._awaited[name] -= 1
        self._forget(name, known_before)
        if self.snapshots_seen == asked_since:
            told = [*self.troubles(), pause_told(paused)] if paused else self.troubles()
            raise BrokersUnreachable(
                f"no broker answered within max_block_ms ({self.settings.max_block * 1000:g} ms), so topic {name!r} is not known: "
                f"{'; '.join(told)}. Nothing was queued, and the client goes on trying: {CHECK_ADDRESSES}",
                topic=name,
                retriable=True,
            )
        refusal = self.snapshot.topic_errors.get(name)
        raise UnknownTopic(
            f"topic {name!r} was not found within max_block_ms: "
            f"{describe(refusal) if refusal is not None else 'the cluster does not know it'}. Nothing was queued; "
            "create the topic, or correct its name.",
            topic=name,
            error_code=refusal,
            retriable=True,
        )

    def close(self, error: Callable[[], KlifeError]) -> None:
        """Let nobody wait any longer: whoever asks for a topic that is not known gets what `error` makes."""
        self._closed = error
        self._answered.set()

    def wait_for_answer(self, timeout: float) -> bool:
        """Wait for the next answer of the cluster, whatever it says; return whether one came."""
        return self._answered.wait(timeout)

    def forget_vanished(self) -> None:
        """Ask no more for topics that do not exist, unless they are configured, waited for, or have records queued."""
        for name in [name for name in self.interest if name not in self.snapshot.topics]:
            if name not in self.settings.prefetched_topics and not self._awaited[name] and not self.needs(name):
                del self.interest[name]

    def _forget(self, name: str, known_before: bool) -> None:
        if not known_before and name not in self.snapshot.topics:
            self.interest.pop(name, None)

    # channels

    def channel(self, node_id: int) -> BrokerChannel:
        """The channel of a broker; made on the spot for one that the snapshot does not list yet."""
        channel = self.channels.get(node_id)
        if channel is None:
            broker = self.snapshot.brokers.get(node_id)
            channel = BrokerChannel(
                node_id,
                broker.host if broker is not None else None,
                broker.port if broker is not None else 0,
                self.settings.connection,
                self.client_id,
            )
            self.channels[node_id] = channel
            if self.inbox is not None:
                self.inbox.wake()  # the MetadataActor has an actor started for it
        return channel

    def broker_channels(self) -> Iterator[BrokerChannel]:
        """Channels of brokers by id, without those of the bootstrap list."""
        return (channel for channel in self.channels.values() if channel.node_id >= 0)

    def is_gone(self, node_id: int) -> bool:
        """Whether the cluster has not listed a broker for `metadata_max_age`. One that restarts is absent, too, but not as long."""
        since = self._absent.get(node_id)
        return since is not None and monotonic() >= since + self.settings.metadata_max_age

    def any_ready_channel(self, *, bootstrap: bool = False) -> BrokerChannel | None:
        """A channel that takes requests, a broker's rather than a bootstrap address's, the least busy first."""
        ready = [channel for channel in self.channels.values() if channel.is_ready and (channel.node_id < 0 or not bootstrap)]
        return min(ready, key=lambda channel: (channel.node_id < 0, len(channel.calls)), default=None)

    def troubles(self) -> list[str]:
        """Each address and what happened there last."""
        told = [channel.describe() for channel in self.channels.values() if not channel.is_ready]
        if not self.snapshot.brokers:  # those that are connected have not said either who the brokers are
            told += [f"{each.address} is connected, and has not answered Metadata" for each in self.channels.values() if each.is_ready]
        return told or ["no address was tried yet"]

    def topic_size_limit(self, topic: str, channel: BrokerChannel, then: Callable[[int | None], None]) -> None:
        """Call `then` with the topic's `max.message.bytes`, or with None when the cluster does not tell it.

        Asked each time: it is wanted only for an error message, and may have been changed since the last one.
        """

        def answered(call: Call) -> None:
            then(configured_int(call.response, "max.message.bytes") if call.response is not None else None)

        channel.call(
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
        for broker in snapshot.brokers.values():
            channel = self.channels.get(broker.node_id)
            if channel is not None:
                channel.set_address(broker.host, broker.port)
        self.snapshot = snapshot
        for broker in snapshot.brokers.values():
            self.channel(broker.node_id)
        now = monotonic()
        self._absent = {
            channel.node_id: self._absent.get(channel.node_id, now)
            for channel in self.broker_channels()
            if channel.node_id not in snapshot.brokers
        }
        self.snapshots_seen += 1
        for listener in self.on_change:
            listener()
        answered, self._answered = self._answered, Latch()
        answered.set()

    def leader_hint(self, topic: str, topic_id: bytes, partition: int, leader: int, epoch: int, broker: BrokerInfo | None) -> None:
        """A broker told who leads a partition now (KIP-951)."""
        snapshot = with_leader(self.snapshot, topic, topic_id, partition, leader, epoch, broker)
        if snapshot is not self.snapshot:
            self.publish(snapshot)
