"""`MetadataUser`: who lives by what the client knows of the cluster, as `Metadata` knows them."""

from __future__ import annotations

from typing import Protocol


class MetadataUser(Protocol):
    """Registered with `Metadata.register`. Called at home, by the `MetadataActor` and by who publishes news:
    answers at once.
    """

    def needs(self, topic: str) -> bool:
        """Whether something waits for `topic` though nobody waits in a call: it is asked for until it is
        there, and may be created.
        """

    def uses(self, node_id: int) -> bool:
        """Whether it has work, or room for it, for a broker: one that left the cluster is kept as long."""

    def metadata_changed(self) -> None:
        """There is a new snapshot. Take note, and wake whoever has to look."""
