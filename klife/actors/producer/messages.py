"""What a `ProducerActor` is asked."""

from __future__ import annotations

from dataclasses import dataclass

from klife.actors.producer.identity import Identity
from klife.actors.runtime.post import Message


@dataclass(frozen=True, slots=True)
class GetIdentity(Message[Identity]):
    """Asks for the producer's id and epoch, once there are any. Not to be asked of one that is not
    idempotent.
    """
