"""`Undelivered`: the result of a record that was not, or not certainly, written."""

from __future__ import annotations

from collections.abc import Sequence

from klife.errors import ProduceError
from klife.record import Header, Record


class Undelivered(Record):
    """A record with its `error`. Users see it as a `Record`."""

    __slots__ = ("error", "error_code")

    def __init__(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[Header],
        partition: int | None,
        timestamp_ms: int | None,
        error: ProduceError,
    ) -> None:
        super().__init__(topic, value, key, headers, partition, timestamp_ms)
        self.error = error
        self.error_code = error.error_code

    def again(self) -> Undelivered:
        """The same with an error of its own: whoever raises that ties it to all that is going on in his frames."""
        assert self.error is not None
        return Undelivered(self.topic, self.value, self.key, self.headers, self.partition, self.timestamp_ms, self.error.copy())
