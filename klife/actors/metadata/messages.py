"""What the `MetadataActor` is asked."""

from __future__ import annotations

from dataclasses import dataclass

from klife.actors.metadata.snapshot import ClusterSnapshot
from klife.actors.runtime.post import ActorMessage


@dataclass(frozen=True, slots=True)
class GetCluster(ActorMessage[ClusterSnapshot]):
    """Asks for what is known of the cluster, once any broker has told of it."""
