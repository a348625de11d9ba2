"""`Routing`: the topics that one producer has records of, and the way from each of their partitions to its leader.

A topic has a route, a partition a queue, and a leader one or more batchers. What is queued stays where it is whatever the cluster does:
a partition moves with its queue to another batcher, or to none while it has no leader; a topic that is gone keeps what it has, until it
is back or the records expire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from klife.actors.metadata.snapshot import NO_LEADER, ClusterSnapshot, TopicInfo
from klife.actors.producer import uncertain as uncertain
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.partition import Partition
from klife.actors.producer.route import TopicRoute
from klife.protocol.error_codes import ErrorCode
from klife.protocol.primitives import ZERO_UUID

if TYPE_CHECKING:
    from klife.actors.network.broker import Broker
    from klife.actors.producer.producer import Producer


class Routing:
    """One producer's routes, by topic, and batchers, by the leader's node id and their number."""

    def __init__(self, producer: Producer, broker_of: Callable[[int], Broker]) -> None:
        self.routes: dict[str, TopicRoute] = {}
        self.batchers: dict[tuple[int, int], Batcher] = {}
        self._producer = producer
        self._broker_of = broker_of
        self._placed: dict[int, int] = {}  # by node id, how many partitions were placed there so far
        self._leaderless: dict[Partition, None] = {}  # with something to send, as far as known
        self._absent: dict[str, TopicRoute] = {}  # routes of topics that disappeared, with what is still queued for them

    def add_topic(self, info: TopicInfo, partitioner: Any) -> TopicRoute:
        """The route of a topic, made when it is first produced to."""
        route = self._absent.get(info.name)
        if route is None:
            route = TopicRoute(self._producer, info, partitioner)
        route = self.routes.setdefault(info.name, route)  # a signal handler may have needed it, too, while we made it
        self._absent.pop(info.name, None)
        self._follow(route, info)
        return route

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Move partitions to their leaders' batchers, with everything that is queued; numbers and order stay as they are."""
        for topic, route in list(self.routes.items()):
            info = snapshot.topics.get(topic)
            if info is None:
                del self.routes[topic]
                self._absent[topic] = route
                self._follow(route, _gone(route, snapshot.topic_errors.get(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)))
            elif info is not route.info:
                self._follow(route, info)
        for topic, route in list(self._absent.items()):
            info = snapshot.topics.get(topic)
            if info is not None:
                self.add_topic(info, route.partitioner)

    def grew(self, route: TopicRoute, info: TopicInfo) -> None:
        """A caller learned that the topic has more partitions, before the ProducerActor has looked."""
        if self.routes.get(route.topic) is route:
            self._follow(route, info)

    def _follow(self, route: TopicRoute, info: TopicInfo) -> None:
        before = route.info
        if ZERO_UUID in (info.topic_id, before.topic_id):
            is_another, noted = info.generation != before.generation, uncertain.log_may_be_new
        else:
            is_another, noted = info.topic_id != before.topic_id, uncertain.log_is_new
        if is_another:
            for queue in route.queues:
                if queue is not None:
                    noted(queue)
        route.follow(info)
        if info.partition_count > route.count:
            route.queues.extend([None] * (info.partition_count - route.count))
        route.count = info.partition_count
        for queue in route.queues:
            if queue is not None:
                self.place(queue)
        # A topic made anew with fewer partitions: what was queued beyond them expires. Should there be more again, they must not begin
        # with numbers that were used: a broker would take new records for those it has.
        for queue in route.queues[route.count :]:
            if queue is not None and queue.identity is not None:
                self._producer.bump_epoch(queue.identity)
        del route.queues[route.count :]
        if route.sticky >= route.count or info.leaders[route.sticky] == NO_LEADER:
            route.stick_elsewhere()

    def place(self, queue: Partition) -> None:
        """Put `queue` on a batcher of its partition's leader, the same while that leads, or on none while there is no leader."""
        leaders = queue.route.info.leaders
        leader = leaders[queue.partition] if queue.partition < len(leaders) else NO_LEADER
        if leader == (NO_LEADER if queue.batcher is None else queue.batcher.node_id):
            return
        batcher = None if leader == NO_LEADER else self._batcher(leader)
        queue.batcher = batcher
        queue.listed = False
        queue.retry_at = 0.0  # the backoff was for the old leader
        self.offer(queue)

    def _batcher(self, node_id: int) -> Batcher:
        # In turn, of all topics: partitions' numbers know nothing of who else is there, as leaders go by turns, too.
        placed = self._placed.get(node_id, 0)
        self._placed[node_id] = placed + 1
        index = placed % self._producer.settings.batchers_count
        batcher = self.batchers.get((node_id, index))
        if batcher is None:
            batcher = self.batchers.setdefault((node_id, index), Batcher(self._producer, node_id, index, self._broker_of(node_id)))
            self._producer.wake()  # the ProducerActor starts its batcher
        return batcher

    def offer(self, queue: Partition) -> None:
        """`queue` may have something to send again: on its batcher, or, while it has no leader, once it has one."""
        if queue.empty:
            return
        if queue.batcher is not None:
            queue.batcher.offer(queue)
        else:
            self._leaderless[queue] = None
            self._producer.wake()

    def holds(self, topic: str) -> bool:
        """Whether records are queued for `topic`, or on their way and may come back."""
        route = self.routes.get(topic) or self._absent.get(topic)
        return route is not None and any(queue is not None and not (queue.empty and not queue.in_flight) for queue in route.queues)

    def has_leaderless(self) -> bool:
        """Whether records wait for a partition to have a leader."""
        for queue in list(self._leaderless):
            queue.drop_settled()
            if queue.batcher is not None or queue.empty:
                del self._leaderless[queue]
        return bool(self._leaderless)


def _gone(route: TopicRoute, code: int) -> TopicInfo:
    """What is known of a topic for which the cluster answers `code`."""
    count, info = route.count, route.info
    # Should it come back without an id, it may be another: the generation of that one differs from this.
    return TopicInfo(
        info.name, info.topic_id, (NO_LEADER,) * count, (-1,) * count, generation=info.generation + 1, errors=(code,) * count
    )
