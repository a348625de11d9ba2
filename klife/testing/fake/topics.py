"""Topics of a `FakeCluster`: partitions, their logs as the batches came, and who leads them."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

from klife.protocol.checksum import crc32c
from klife.protocol.error_codes import ErrorCode
from klife.protocol.record_decode import RecordBatch, decode_batches
from klife.protocol.record_layout import BATCH_OVERHEAD, CHECKED, CHECKED_FROM, CONTROL, LENGTH_FROM, MAGIC, TRANSACTIONAL, UNCHECKED
from klife.record import Delivered
from klife.testing.fake.producers import Producers

NO_LEADER = -1


@dataclass
class Written:
    """A batch in the log: its bytes, with the offset it got, and what is in them."""

    data: bytes
    batch: RecordBatch
    state: str  # "committed", "open", "aborted", or "marker": the end of a transaction

    @property
    def next_offset(self) -> int:
        return self.batch.base_offset + self.batch.last_offset_delta + 1


class Partition:
    """One partition."""

    def __init__(self, leader: int) -> None:
        self.leader: int = leader
        self.leader_epoch: int = 0
        self.written: list[Written] = []
        self._producers = Producers()

    @property
    def end(self) -> int:
        """The next record's offset."""
        return self.written[-1].next_offset if self.written else 0

    @property
    def stable_end(self) -> int:
        """The last stable offset: below it, every transaction has ended."""
        return next((each.batch.base_offset for each in self.written if each.state == "open"), self.end)

    def identity_of(self, data: bytes) -> tuple[int, int]:
        """Producer id and epoch of a batch."""
        _, _, _, _, producer_id, epoch, _, _ = CHECKED.unpack_from(data, CHECKED_FROM)
        return producer_id, epoch

    def append(self, data: bytes) -> tuple[int, int]:
        """(error code, base offset), having written the batch where the code is 0."""
        [batch] = decode_batches(data)
        known = self._producers.offset_of(batch)
        if known is not None:
            return 0, known
        if code := self._producers.refusal(batch):
            return code, -1
        offset = self.end
        self._producers.written(batch, offset)
        # The offset stands outside what the checksum covers: brokers write it.
        data = offset.to_bytes(8, "big") + data[8:]
        self.written.append(Written(data, decode_batches(data)[0], "open" if batch.is_transactional else "committed"))
        return 0, offset

    def end_transaction(self, producer_id: int, epoch: int, *, committed: bool) -> None:
        """What the producer has open here is committed, or aborted; a marker in the log says so."""
        for each in self.written:
            if each.state == "open" and each.batch.producer_id == producer_id:
                each.state = "committed" if committed else "aborted"
        data = _marker(self.end, producer_id, epoch, committed=committed)
        self.written.append(Written(data, decode_batches(data)[0], "marker"))

    def move(self, leader: int) -> None:
        self.leader, self.leader_epoch = leader, self.leader_epoch + 1

    def fetched(self, offset: int, limit: int, *, committed_only: bool) -> tuple[int, bytes]:
        """(error code, batches from the one with `offset` on, of about `limit` bytes, and one at least)."""
        if not 0 <= offset <= self.end:
            return ErrorCode.OFFSET_OUT_OF_RANGE, b""
        end = self.stable_end if committed_only else self.end
        parts: list[bytes] = []
        size = 0
        for each in self.written:
            if each.next_offset > offset and each.batch.base_offset < end:
                if parts and size + len(each.data) > limit:
                    break
                parts.append(each.data)
                size += len(each.data)
        return 0, b"".join(parts)

    def aborted(self, offset: int) -> list[tuple[int, int]]:
        """(producer id, first offset) of what was aborted from `offset` on."""
        gone = [each.batch for each in self.written if each.state == "aborted" and each.next_offset > offset]
        return [(batch.producer_id, batch.base_offset) for batch in gone]

    def offset_for(self, timestamp_ms: int) -> tuple[int, int]:
        """(offset, timestamp) of the first record that is not older; (-1, -1) if there is none."""
        for each in self.written:
            for record in each.batch.records:
                if record.timestamp_ms >= timestamp_ms:
                    return record.offset, record.timestamp_ms
        return -1, -1


@dataclass
class Topic:
    """One topic."""

    name: str
    partitions: list[Partition]
    topic_id: bytes = field(default_factory=lambda: uuid.uuid4().bytes)

    def records(self, partition: int | None) -> list[Delivered]:
        """The committed records, by partition and offset."""
        return [
            Delivered(self.name, record.value, record.key, record.headers, index, record.timestamp_ms, record.offset)
            for index, each in enumerate(self.partitions)
            if partition in (None, index)
            for written in each.written
            if written.state == "committed"
            for record in written.batch.records
        ]


def _marker(offset: int, producer_id: int, epoch: int, *, committed: bool) -> bytes:
    """The control batch that ends a transaction (KIP-98)."""
    now = int(time.time() * 1000)
    key = (0).to_bytes(2, "big") + int(committed).to_bytes(2, "big")
    value = bytes(2) + bytes(4)  # the version, and the coordinator's epoch
    record = bytes([32, 0, 0, 0, 2 * len(key)]) + key + bytes([2 * len(value)]) + value + b"\0"
    body = CHECKED.pack(TRANSACTIONAL | CONTROL, 0, now, now, producer_id, epoch, -1, 1) + record
    return UNCHECKED.pack(offset, BATCH_OVERHEAD - LENGTH_FROM + len(record), 0, MAGIC, crc32c(body)) + body
