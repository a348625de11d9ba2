"""What a `ProducerActor` is asked."""

from __future__ import annotations

from dataclasses import dataclass

from klife.actors.producer.identity import Identity
from klife.actors.runtime.post import ActorMessage


@dataclass(frozen=True, slots=True)
class GetIdentity(ActorMessage[Identity]):
    """Asks for the producer's id and epoch, once there are any. Not to be asked of one that is not
    idempotent.
    """
