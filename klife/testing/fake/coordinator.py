"""The transaction coordinator of a `FakeCluster`: epochs and states as Kafka's, markers written at once. It
speaks transactions v2 (KIP-890) with who does, else v1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.error_codes import ErrorCode
from klife.testing.fake.topics import Partition

_FIRST_ID = 7000


@dataclass
class TransactionalId:
    """One id: who has it, and what is open."""

    producer_id: int
    epoch: int = -1
    partitions: list[Partition] = field(default_factory=list)  # of the open transaction
    last_committed: bool | None = None  # how the last one ended
    timeout_ms: int = -1  # as whoever initialised it last has it


class Coordinator:
    """All transactional ids."""

    def __init__(self) -> None:
        self._ids: dict[str, TransactionalId] = {}

    def initialise(self, name: str, timeout_ms: int) -> TransactionalId:
        """The id with its next epoch. What another had open under it is aborted. Nothing ends by its timeout,
        which is only told.
        """
        own = self._ids.setdefault(name, TransactionalId(_FIRST_ID + len(self._ids)))
        self._complete(own, committed=False)
        own.epoch += 1
        own.last_committed = None
        own.timeout_ms = timeout_ms
        return own

    def renewal_refused(self, name: str, producer_id: int, epoch: int) -> bool:
        """Whether who asks for the next epoch of these is not the one who has the id."""
        own = self._ids.get(name)
        return producer_id >= 0 and (own is None or own.producer_id != producer_id or own.epoch - 1 > epoch)

    def add(self, name: str, producer_id: int, epoch: int, partitions: list[Partition]) -> int:
        """Partitions join the id's transaction; the error code."""
        own = self._ids.get(name)
        if own is None or own.producer_id != producer_id:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        if own.epoch != epoch:
            return ErrorCode.PRODUCER_FENCED
        own.partitions += [each for each in partitions if each not in own.partitions]
        return 0

    def refusal(self, name: str, producer_id: int, epoch: int, partition: Partition, *, adds: bool) -> int:
        """The error code for a batch of the id's transaction; 0 where it may be written. `adds`: in v2, a
        batch adds its partition.
        """
        own = self._ids.get(name)
        if own is None or own.producer_id != producer_id or own.epoch != epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if adds:
            return self.add(name, producer_id, epoch, [partition])
        return 0 if partition in own.partitions else ErrorCode.INVALID_TXN_STATE

    def end(self, request: EndTxnRequest, *, is_v2: bool) -> tuple[int, TransactionalId | None]:
        """(error code, the id with its next epoch where it ended). In v2, each end takes an epoch."""
        own = self._ids.get(request.transactional_id)
        if own is None or own.producer_id != request.producer_id:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING, None
        if own.last_committed is not None and request.producer_epoch == own.epoch - is_v2 and not own.partitions:
            return (0, own) if own.last_committed is request.committed else (ErrorCode.INVALID_TXN_STATE, None)
        if request.producer_epoch != own.epoch:
            return ErrorCode.PRODUCER_FENCED, None
        if not own.partitions and not (is_v2 and not request.committed):
            return ErrorCode.INVALID_TXN_STATE, None
        self._complete(own, committed=request.committed)
        own.epoch += is_v2
        return 0, own

    def described(self, name: str) -> tuple[int, str, TransactionalId]:
        """(error code, state, id) of an id; of one that is not known, an empty one."""
        own = self._ids.get(name)
        if own is None:
            return ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, "", TransactionalId(-1)
        ended = {None: "Empty", True: "CompleteCommit", False: "CompleteAbort"}[own.last_committed]
        return 0, "Ongoing" if own.partitions else ended, own

    def _complete(self, own: TransactionalId, *, committed: bool) -> None:
        for partition in own.partitions:
            partition.end_transaction(own.producer_id, own.epoch, committed=committed)
        own.partitions = []
        own.last_committed = committed
