"""`Dealing`: what is known of one transaction, and the ledger that keeps them on disk, as the journal keeps
records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from io import TextIOWrapper
from pathlib import Path
from threading import Lock

COMMITTED = "committed"
ABORTED = "aborted"  # by its owner, by its owner's end, or as the client told
NOT_BEGUN = "not begun"
UNKNOWN = "unknown"  # `possibly_committed`; or its owner was killed while it committed
FENCED = "fenced"  # which nobody does here
BROKEN = "broken"  # an error that a user is not promised


@dataclass(slots=True)
class Dealing:
    """One transaction. Times are monotonic seconds, 0 for what did not come.

    `records` are (topic, partition, CRC) in the order of produce; `offsets` is what their deliveries told, as
    far as its owner asked. `allowed` is how long its end may take.
    """

    owner: int
    number: int
    way: str
    allowed: float
    asked: float
    begun: float = 0.0
    ending: float = 0.0
    ended: float = 0.0
    outcome: str = ""
    records: list[tuple[str, int, int]] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def __str__(self) -> str:
        error = f"; {self.error}" if self.error else ""
        return (
            f"transaction {self.owner}:{self.number} by {self.way}: asked {self.asked:.3f}, begun {self.begun:.3f}, ending "
            f"{self.ending:.3f}, ended {self.ended:.3f}, {self.outcome or 'without an outcome'}, {len(self.records)} records{error}"
        )


class Ledger:
    """A file of those that have their outcome. What has none at the end is left without."""

    def __init__(self, path: Path) -> None:
        self._file: TextIOWrapper = path.open("w", buffering=1 << 16)
        self._lock = Lock()  # owners may be threads
        self.under_way: dict[int, Dealing] = {}

    def begin(self, dealing: Dealing) -> None:
        self.under_way[id(dealing)] = dealing

    def settle(self, dealing: Dealing) -> None:
        """`dealing` has its outcome."""
        line = json.dumps(asdict(dealing)) + "\n"
        with self._lock:
            del self.under_way[id(dealing)]
            self._file.write(line)

    def close(self) -> None:
        for dealing in list(self.under_way.values()):
            self.settle(dealing)
        self._file.close()


def read_ledger(path: Path) -> Iterator[Dealing]:
    """The transactions in the order in which they ended."""
    with path.open() as file:
        for line in file:
            dealing = Dealing(**json.loads(line))
            dealing.records = [(topic, partition, crc) for topic, partition, crc in dealing.records]
            yield dealing
