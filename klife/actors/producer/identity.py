"""`Identity`: a producer id and epoch; and `Identities`: which one a producer has, and what makes it another.

Batches have their sequences under an identity. A partition is given the current one and may wish for another;
only the `Producer`, which has these, bumps the epoch or discards the id, for all partitions. It wakes nobody.

In a transaction the identity is one of its own, though id and epoch may be those of the one before, and
admits partitions one by one: those that the transaction has, or is about to have by their first batch.
"""

from __future__ import annotations

from typing import Any

_MAX_EPOCH = 32767


class Identity:
    """A producer id and epoch. Compared by identity: two epochs of one id are two objects."""

    __slots__ = ("producer_id", "epoch", "admitted")

    def __init__(self, producer_id: int, epoch: int, admitted: set[Any] | None = None) -> None:
        self.producer_id: int = producer_id
        self.epoch: int = epoch
        self.admitted: set[Any] | None = admitted  # partitions, where not all are

    def admits(self, partition: object) -> bool:
        """Whether the partition may be written to under it."""
        return self.admitted is None or partition in self.admitted

    def continues(self, before: Identity | None) -> bool:
        """Whether a partition's sequences go on where they were under `before`: for the broker it is the
        same one.
        """
        return self.admitted is not None and before is not None and (before.producer_id, before.epoch) == (self.producer_id, self.epoch)

    def __repr__(self) -> str:
        return f"Identity({self.producer_id}, {self.epoch})"


class Identities:
    """What one producer sends under now, if it has it."""

    __slots__ = ("current", "error")

    def __init__(self) -> None:
        self.current: Identity | None = None  # without one nothing new is sent; the ProducerActor fetches it
        self.error: str | None = None  # why there is none yet

    def found(self, identity: Identity) -> None:
        """The cluster gave us this one."""
        self.current = identity
        self.error = None

    def bump(self, lost: Identity) -> None:
        """The next epoch after `lost` (KIP-360), or none when the epochs are used up: then a new id is
        needed.
        """
        if self.current is not lost:
            return
        if lost.epoch < _MAX_EPOCH:
            self.current = Identity(lost.producer_id, lost.epoch + 1)
        else:
            self.discard(lost)

    def discard(self, refused: Identity | None) -> None:
        """The broker refuses this id: a new one is needed."""
        if refused is not None and self.current is not None and self.current.producer_id == refused.producer_id:
            self.current = None
