"""`Routing`: the topics that one producer has records of, as the cluster's news finds them.

A topic has partitions, and a leader one or more batchers. What is queued stays where it is whatever the cluster does: a partition moves
with what it has to another batcher, or to none while it has no leader; a topic that is gone keeps what it has, until it is back or the
records expire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klife.actors.metadata.snapshot import NO_LEADER, ClusterSnapshot, TopicInfo
from klife.actors.producer.batcher import Batchers
from klife.actors.producer.route import TopicRoute
from klife.protocol.error_codes import ErrorCode
from klife.protocol.primitives import ZERO_UUID


class Routing:
    """One producer's topics. `new_topic(info, partitioner)` makes one."""

    def __init__(self, batchers: Batchers, new_topic: Callable[[TopicInfo, Any], TopicRoute]) -> None:
        self.routes: dict[str, TopicRoute] = {}
        self.batchers = batchers.all
        self._new_topic = new_topic
        self._absent: dict[str, TopicRoute] = {}  # topics that disappeared, with what is still queued for them

    def add_topic(self, info: TopicInfo, partitioner: Any) -> TopicRoute:
        """The topic, made when it is first produced to."""
        route = self._absent.get(info.name)
        if route is None:
            route = self._new_topic(info, partitioner)
        route = self.routes.setdefault(info.name, route)  # a signal handler may have needed it, too, while we made it
        self._absent.pop(info.name, None)
        _follow(route, info)
        return route

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Move partitions to their leaders' batchers, with everything that is queued; sequences and order stay as they are."""
        for name, route in list(self.routes.items()):
            info = snapshot.topics.get(name)
            if info is None:
                del self.routes[name]
                self._absent[name] = route
                _follow(route, _gone(route, snapshot.topic_errors.get(name, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)))
            elif info is not route.info:
                _follow(route, info)
        for name, route in list(self._absent.items()):
            info = snapshot.topics.get(name)
            if info is not None:
                self.add_topic(info, route.partitioner)

    def grew(self, route: TopicRoute, info: TopicInfo) -> None:
        """A caller learned that the topic has more partitions, before the ProducerActor has looked."""
        if self.routes.get(route.name) is route:
            _follow(route, info)

    def holds(self, topic: str) -> bool:
        """Whether records are queued for `topic`, or on their way and may come back."""
        route = self.routes.get(topic) or self._absent.get(topic)
        return route is not None and any(
            partition is not None and not (partition.empty and not partition.in_flight) for partition in route.partitions
        )


def _follow(route: TopicRoute, info: TopicInfo) -> None:
    before = route.info
    surely = ZERO_UUID not in (info.topic_id, before.topic_id)
    is_another = info.topic_id != before.topic_id if surely else info.generation != before.generation
    if is_another:
        for partition in route.partitions:
            if partition is not None:
                partition.log_is_new(surely)
    route.follow(info)


def _gone(route: TopicRoute, code: int) -> TopicInfo:
    """What is known of a topic for which the cluster answers `code`."""
    count, info = route.count, route.info
    # Should it come back without an id, it may be another: the generation of that one differs from this.
    return TopicInfo(
        info.name, info.topic_id, (NO_LEADER,) * count, (-1,) * count, generation=info.generation + 1, errors=(code,) * count
    )
