"""The part of the client's supervision tree that works for one producer: child specs only.

The batchers come after the actor that gives them work: if that one crashes, they are started anew with it.
"""

from __future__ import annotations

from klife.actors.dynamic_children import DynamicChildren, owner_spec
from klife.actors.metadata.metadata import Metadata
from klife.actors.producer.batcher import Batcher
from klife.actors.producer.batcher_actor import BatcherActor
from klife.actors.producer.producer import Producer
from klife.actors.producer.producer_actor import ProducerActor
from klife.actors.runtime.post import Post
from klife.actors.runtime.ref import GeventActorRef
from klife_supervision import ChildSpec


def producer_spec(
    producer: Producer, metadata: Metadata, post: Post, kind: type[ProducerActor] = ProducerActor, *, significant: bool = True
) -> ChildSpec:
    """The supervisor of one producer's actors, whose `ProducerActor`, of that `kind`, is asked at `post`."""
    batcher_actors = DynamicChildren(producer.batchers.all, lambda batcher: _batcher(producer, batcher, metadata))

    def start_producer() -> GeventActorRef[ProducerActor]:
        return kind.start(producer, metadata, batcher_actors.start_child, batcher_actors.stop_child)

    owner = ChildSpec(id="producer", start=lambda: post.start(start_producer))
    return owner_spec(f"producer {producer.settings.name}", owner, batcher_actors.spec("batchers"), significant=significant)


def _batcher(producer: Producer, batcher: Batcher, metadata: Metadata) -> ChildSpec:
    name = f"batcher {batcher.node_id}.{batcher.index}"
    return ChildSpec(id=name, start=lambda: BatcherActor.start(producer, batcher, metadata))
