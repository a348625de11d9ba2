"""`Entry`: what is known of one record, and the journal that keeps entries on disk.

The load writes an entry when its record is settled, so that its memory holds only what is under way. A line
an entry, so that the journal of a load that died tells what it knew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path

DELIVERED = "delivered"
FAILED = "failed"  # certainly not written: by its result, or by what `produce` raised
POSSIBLY = "possibly persisted"
UNRESOLVED = "unresolved"


@dataclass(slots=True, eq=False)
class Entry:
    """One record. Times are monotonic seconds; `call` and `back` count the beginnings and ends of calls over
    all workers.

    `allowed` is how long its outcome may take: its producer's delivery timeout, or the longest of its batch.
    """

    worker: int
    number: int
    topic: str
    crc: int
    verb: str
    allowed: float
    called: float
    call: int
    returned: float = 0.0
    back: int = 0
    settled: float = 0.0
    outcome: str = UNRESOLVED
    partition: int | None = None
    offset: int | None = None
    error: str = ""

    @property
    def name(self) -> tuple[int, int]:
        return self.worker, self.number

    def __str__(self) -> str:
        place = "" if self.partition is None else f" in {self.topic}-{self.partition}"
        at = "" if self.offset is None else f" at {self.offset}"
        error = f"; {self.error}" if self.error else ""
        return (
            f"record {self.worker}:{self.number} of {self.topic} by {self.verb}: called {self.called:.3f} (#{self.call}), "
            f"returned {self.returned:.3f} (#{self.back}), {self.outcome}{place}{at} {self.settled:.3f}{error}"
        )


class Journal:
    """Entries under way, and a file of those that are settled."""

    def __init__(self, path: Path) -> None:
        self._file: TextIOWrapper = path.open("w", buffering=1 << 18)
        self.under_way: dict[Entry, None] = {}
        self.outcomes: dict[str, int] = {}

    def settle(self, entry: Entry) -> None:
        """`entry` has its outcome. A second one is noted as well, for the check to find."""
        self.under_way.pop(entry, None)
        self.outcomes[entry.outcome] = self.outcomes.get(entry.outcome, 0) + 1
        self._file.write(json.dumps(list(asdict(entry).values())) + "\n")

    def close(self) -> None:
        """Write what is left, as unresolved."""
        for entry in list(self.under_way):
            self.settle(entry)
        self._file.close()


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries in the order in which they were settled."""
    with path.open() as file:
        for line in file:
            yield Entry(*json.loads(line))
