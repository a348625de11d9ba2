"""The fixed part of a RecordBatch v2 ("magic 2"), shared by the writer (`records`) and the reader
(`record_decode`).

    base offset 8 · length 4 · leader epoch 4 · magic 1 · CRC-32C 4 ‖ attributes 2 · last offset delta 4 ·
    base timestamp 8 · max timestamp 8 · producer id 8 · producer epoch 2 · base sequence 4 · record count 4 ‖
    records, compressed together

The length counts from the leader epoch on; the CRC covers everything after itself, as the records travel
(compressed). Base offset and leader epoch stand outside the CRC because the broker sets them. Source: Kafka's
documentation, "Record Batch"; KIP-98.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

BATCH_OVERHEAD: Final = 61
"""Bytes of a batch before its records."""

MAGIC: Final = 2
MAGIC_AT: Final = 16
"""Where the magic byte is, in every format Kafka ever had."""

LENGTH: Final = Struct(">i")
LENGTH_AT: Final = 8
LENGTH_FROM: Final = 12
"""The batch length counts from here (the leader epoch) to the end."""

CHECKED_FROM: Final = 21
"""The CRC covers the batch from here (the attributes) to its end."""

UNCHECKED: Final = Struct(">qiibI")
"""Base offset, length, leader epoch, magic, CRC."""

CHECKED: Final = Struct(">hiqqqhii")
"""Attributes, last offset delta, base and max timestamp, producer id, producer epoch, base sequence, record
count.
"""

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
