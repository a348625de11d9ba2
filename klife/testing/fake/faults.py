"""What goes wrong in a `FakeCluster`, because a test said so."""

from __future__ import annotations

from dataclasses import dataclass

from klife.protocol.error_codes import ErrorCode


@dataclass
class Failure:
    """The next `times` batches of `topic` and `partition` (None: of any) are answered with `code`."""

    code: int
    topic: str | None
    partition: int | None
    times: int
    persisted: bool  # the batch is in the log all the same


class Faults:
    """The failures to come, and the answers to lose."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.answers_to_lose: int = 0

    def next_failure(self, topic: str, partition: int) -> Failure | None:
        """The failure of a batch that came for this partition, counted off."""
        for failure in self.failures:
            if failure.topic in (None, topic) and failure.partition in (None, partition):
                failure.times -= 1
                if failure.times <= 0:
                    self.failures.remove(failure)
                return failure
        return None

    def loses_answer(self) -> bool:
        """Whether the answer to a produce request is lost, counted off."""
        if self.answers_to_lose <= 0:
            return False
        self.answers_to_lose -= 1
        return True


def code_of(error: int | str) -> int:
    """Kafka's code for `error`, a code or a name of one.

    Raises:
        ValueError: there is no such error.
    """
    try:
        return int(ErrorCode[error] if isinstance(error, str) else ErrorCode(error))
    except (KeyError, ValueError):
        raise ValueError(f"{error!r} is no error of Kafka's; give a name as 'NOT_ENOUGH_REPLICAS', or its code, as 19") from None
