"""A hundred thousand damaged batches, always the same ones: each is read or is a DecodeError, in little time
and memory.
"""

from __future__ import annotations

import random
import resource
import time
from collections import Counter

import pytest

from klife.protocol.codecs import CODECS, compress
from klife.protocol.errors import DecodeError
from klife.protocol.record_decode import decode_batches
from klife.protocol.records import encode_payload, seal
from tests.support.encoded_records import RecordTuple, bound_of, fields_of
from tests.support.reference_records import crc32c

ROUNDS_PER_CODEC = 20_000
LIMIT = 1 << 20
SLOWEST_SECONDS = 2.0
MOST_MEMORY = 200 << 20

NOW = 1_760_000_000_000
RECORDS: list[RecordTuple] = [
    (b"key", b"value " * 12, (("trace", b"0123456789abcdef"), ("none", None)), NOW),
    (None, b"", (), NOW + 70),
    (b"", None, (("größe", b""),), NOW - 3),
    (b"k" * 70, b"z" * 100, (), NOW),
]
PAYLOAD, FIRST, LATEST = encode_payload(fields_of(RECORDS), bound_of(RECORDS))
INTERESTING = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF]


def damage(data: bytearray, chance: random.Random) -> None:
    """One to four accidents."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(6):
            case 0 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at] = chance.choice(INTERESTING)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + chance.randint(1, 8)]
            case 4:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 5:
                data[at : at + 5] = b"\xff\xff\xff\xff\x0f"


def mutant(codec: int, chance: random.Random) -> bytes:
    """A batch damaged in one of three depths: as it travels; behind its CRC; or in the records, before they
    are compressed.
    """
    depth = chance.randrange(3)
    if depth == 0:
        batch = bytearray(b"".join(seal(compress(codec, PAYLOAD), len(RECORDS), FIRST, LATEST, codec=codec)))
        damage(batch, chance)
        return bytes(batch)
    if depth == 1:
        batch = bytearray(b"".join(seal(compress(codec, PAYLOAD), len(RECORDS), FIRST, LATEST, codec=codec)))
        # Mostly the records: the rest of the header is 61 bytes with few wrong values.
        start = chance.choice([21, 61, 61, 61])
        checked = batch[start:]
        damage(checked, chance)
        batch[start:] = checked
        return with_right_crc(batch)
    payload = bytearray(PAYLOAD)
    damage(payload, chance)
    return b"".join(seal(compress(codec, bytes(payload)), len(RECORDS), FIRST, LATEST, codec=codec))


def with_right_crc(batch: bytearray) -> bytes:
    batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")
    return bytes(batch)


@pytest.mark.parametrize("name", CODECS)
def test_every_damaged_batch_is_read_or_refused(name: str) -> None:
    chance = random.Random(f"records {name}")
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(ROUNDS_PER_CODEC):
        batch = mutant(CODECS[name], chance)
        began = time.perf_counter()
        try:
            decode_batches(batch, max_decompressed_bytes=LIMIT)
            outcomes["read"] += 1
        except DecodeError as error:
            outcomes[next((kind for kind in ("CRC", "damaged", "magic", "larger") if kind in str(error)), "record")] += 1
        slowest = max(slowest, time.perf_counter() - began)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert slowest < SLOWEST_SECONDS
    assert grown < MOST_MEMORY
    # The damage reached every depth.
    expected = {"read", "CRC", "record"} | ({"damaged"} if name != "none" else set())
    assert all(outcomes[kind] > 100 for kind in expected), outcomes
