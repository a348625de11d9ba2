"""`Producers`: the part of a client that produces: its producers by name, the memory they share, and the way
from a topic to its producer.

Their actors move the records; what is here is asked by callers, once for each topic, and by the engine, of
which it is a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import is_finalizing
from typing import Any

from klife.actors.closed import NOT_QUEUED
from klife.actors.engine import Engine
from klife.actors.metadata.snapshot import TopicInfo
from klife.actors.producer import letting_go
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.messages import GetIdentity
from klife.actors.producer.partitioners import resolve
from klife.actors.producer.producer import Producer
from klife.actors.producer.producer_tree import producer_spec
from klife.actors.producer.status import producer_status
from klife.actors.producer.topic import Topic
from klife.actors.producer.validation import checked_topic
from klife.actors.runtime.post import Post
from klife.errors import ClientClosed, InvalidRecordType, InvalidRecordValue
from klife.words import kind_of
from klife_supervision import ChildSpec


class Producers:
    """All producers of one client. Promises as `Part` says."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        self.engine = engine
        self.pool: BufferPool = BufferPool(settings.max_buffered_bytes, block=settings.block_on_full)
        self.serializers: dict[str, Any] = _serializers(settings.topic_serializers)
        self.topics: dict[str, Topic] = {}  # of topics produced to, by each topic's own producer
        self.plain_topics: dict[str, Topic] = {}  # those without serializers: the hot path's one look-up
        self.by_name: dict[str, Producer] = {
            each.name: Producer(each, self.pool, engine.hub, settings.max_block, engine.metadata.broker, self._wait_for_partitions)
            for each in settings.producers
        }
        self._posts = {name: Post() for name in self.by_name}  # where their ProducerActors are asked
        self._partitioner = resolve(settings.default_partitioner)
        self._topic_partitioners = {topic: resolve(spec) for topic, spec in settings.topic_partitioners.items()}
        self.pool.on_pressure = self.skip_linger
        for producer in self.by_name.values():
            producer.hub_watch.on_other_hub = engine.home_ended

    # producing

    def topic(self, called: Any, chosen: str | None, deadline: float) -> Topic:
        """The topic that is `called` so, waiting for metadata where it is seen the first time.

        Raises:
            InvalidRecordType, InvalidRecordValue: no such producer, or no such name for a topic.
            UnknownTopic, ProduceError: the cluster does not know it by `deadline`, or refuses it.
            ClientClosed: the client takes no more records.
        """
        engine = self.engine
        if engine.exiting is not None and is_finalizing():
            raise ClientClosed(
                f"client {engine.name!r} takes no more records: the interpreter is being torn down, and no greenlet can send them. "
                "Nothing was queued; produce before that, in an atexit function at the latest."
            )
        name = checked_topic(called)
        producer = self.named(chosen or engine.settings.topic_producers.get(name) or engine.settings.default_producer)
        if producer.closed is not None:
            raise producer.closed_error()
        routing = producer.routing
        topic = routing.topics.get(name)
        if topic is None:
            info = engine.metadata.topic(name, deadline, creates=True, so=NOT_QUEUED)
            if producer.closed is not None:  # stopped while we waited
                raise producer.closed_error()
            topic = routing.topics.get(name) or routing.add_topic(info, self.partitioner_of(name))
        if chosen is None and engine.exiting is None:
            self.topics[name] = topic
            if name not in self.serializers:
                self.plain_topics[name] = topic
        return topic

    def partitioner_of(self, topic: str) -> Any:
        """The partitioner of records of `topic` that have none of their own."""
        return self._topic_partitioners.get(topic, self._partitioner)

    def named(self, name: Any) -> Producer:
        """The producer that a caller asks for.

        Raises:
            InvalidRecordType, InvalidRecordValue: there is none of that name.
        """
        if not isinstance(name, str):
            raise InvalidRecordType(f"producer is {kind_of(name)}; expected the name of one of this client's producers")
        producer = self.by_name.get(name)
        if producer is None:
            names = ", ".join(map(repr, self.by_name)) or "none: its feature is disabled"
            raise InvalidRecordValue(f"there is no producer {name!r} in this client; it has {names}")
        return producer

    def _wait_for_partitions(self, topic: str, count: int, deadline: float, answers: int) -> TopicInfo | None:
        return self.engine.metadata.wait_for_partitions(topic, count, deadline, creates=True, answers=answers, so=NOT_QUEUED)

    # what it is to metadata and tree

    def needs(self, topic: str) -> bool:
        return any(producer.routing.holds(topic) for producer in self.by_name.values())

    def uses(self, node_id: int) -> bool:
        return any(node_id == batcher.node_id for producer in self.by_name.values() for batcher in producer.batchers.all.values())

    def metadata_changed(self) -> None:
        topics = self.engine.metadata.snapshot.topics
        for known in (self.topics, self.plain_topics):
            for name in [name for name in known if name not in topics]:
                del known[name]
        for producer in self.by_name.values():
            producer.wake()

    def children(self) -> list[ChildSpec]:
        return [producer_spec(producer, self.engine.metadata, self._posts[name]) for name, producer in self.by_name.items()]

    # being ready

    def wait_ready(self, deadline: float) -> None:
        for producer in filter(_wants_identity, self.by_name.values()):
            self._posts[producer.settings.name].ask(GetIdentity(), deadline)

    def troubles(self) -> list[str]:
        return [
            f"producer {producer.settings.name!r} has no producer id: {producer.identities.error}"
            for producer in self.by_name.values()
            if _wants_identity(producer) and producer.identities.error is not None
        ]

    # the end

    def process_exits(self) -> None:
        self._forget_topics()  # so that every record takes the long way, which looks at that

    def close(self, reason: str) -> None:
        self._forget_topics()
        for producer in self.by_name.values():
            producer.close(reason)
        for post in self._posts.values():
            post.close(self.engine.closed_error)

    def skip_linger(self, by: int) -> None:
        for producer in self.by_name.values():
            producer.skip_linger(by)

    def flush(self, deadline: float) -> int:
        return sum(producer.flush(deadline) for producer in self.by_name.values())

    @property
    def longest_wait(self) -> float:
        return max((producer.settings.delivery_timeout for producer in self.by_name.values()), default=0.0)

    @property
    def calls_back_here(self) -> bool:
        return any(producer.callbacks.is_running_in_this_greenlet for producer in self.by_name.values())

    def wait_for_callbacks(self, deadline: float) -> bool:
        # Those there are now; later records have more, perhaps for ever.
        unfinished = [(producer.callbacks, producer.callbacks.unfinished()) for producer in self.by_name.values()]
        return all(callbacks.wait_for(batches, deadline) for callbacks, batches in unfinished)

    def abandon(self, why: str, *, lets_hub_run: bool = False) -> int:
        return sum(producer.abandon(why, lets_hub_run=lets_hub_run) for producer in self.by_name.values())

    def orphan(self) -> None:
        for producer in self.by_name.values():
            letting_go.orphan(producer)

    def disown(self, why: str) -> None:
        self._forget_topics()
        for producer in self.by_name.values():
            letting_go.disown(producer, why)

    def _forget_topics(self) -> None:
        self.plain_topics.clear()
        self.topics.clear()

    # the books

    def status(self) -> dict[str, Any]:
        return {
            "producers": tuple(map(producer_status, self.by_name.values())),
            "buffered_bytes": self.pool.used,
            "max_buffered_bytes": self.pool.limit,
            "waiting_for_buffer": self.pool.waiting,
        }

    @property
    def delivered(self) -> int:
        return sum(producer.settlement.delivered_records for producer in self.by_name.values())

    @property
    def failed(self) -> int:
        return sum(producer.settlement.failed_records for producer in self.by_name.values())

    @property
    def unsettled(self) -> int:
        return sum(producer.unsettled for producer in self.by_name.values())

    @property
    def oldest_unsettled(self) -> float | None:
        return min((oldest for producer in self.by_name.values() if (oldest := producer.deadlines.oldest) is not None), default=None)

    @property
    def has_something_to_end(self) -> bool:
        return False


def _serializers(by_topic: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    if not by_topic:
        return {}
    from klife.actors.producer.serializers import TopicSerializers  # by clients that have some

    return {topic: TopicSerializers(topic, key, value) for topic, (key, value) in by_topic.items()}


def _wants_identity(producer: Producer) -> bool:
    return producer.idempotent and producer.identity is None
