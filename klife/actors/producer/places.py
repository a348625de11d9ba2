"""`Places`: where the records of a `produce_batch` went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klife.actors.producer.batch import Batch
from klife.record import Record, Undelivered


class Places:
    """Where each record of a `produce_batch` went: a batch and an index in it; or, where it was not queued, None and its result."""

    __slots__ = ("batches", "indices", "failures", "home", "call_soon")

    def __init__(self, count: int, home: Any, call_soon: Callable[[Callable[[], object]], None] | None = None) -> None:
        self.home = home  # the client's hub
        self.call_soon = call_soon  # calls a function in a greenlet there
        self.batches: list[Batch | None] = [None] * count
        self.indices: list[int] = [0] * count
        self.failures: dict[int, Undelivered] = {}

    def failed(self, index: int, result: Undelivered) -> None:
        self.failures[index] = result

    def distinct(self) -> list[Batch]:
        """The batches, each once."""
        return [batch for batch in dict.fromkeys(self.batches) if batch is not None]

    def results(self, start: int, end: int) -> list[Record]:
        """The results of the records from `start` to before `end`, in input order. Only when all batches are settled."""
        results = []
        for place in range(start, min(end, len(self.batches))):
            batch = self.batches[place]
            results.append(self.failures[place].again() if batch is None else batch.result(self.indices[place]))
        return results
