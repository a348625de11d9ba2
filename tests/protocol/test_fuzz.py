"""Frames that went wrong, 100 000 of them, over every API and version: a clean decode or a DecodeError, soon,
and nothing else.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from contextlib import suppress

from klife.protocol.errors import DecodeError
from klife.protocol.message import Message
from tests.support.message_strategies import messages_and_versions, random_struct

MUTATIONS = 110_000
SLOWEST_SECONDS = 1.0
"""CPU time, and generous: a decode takes microseconds, a loop that believes a lying length takes minutes."""

HUGE = [bytes.fromhex(text) for text in ("7fffffff", "ffffffff", "80000000", "fffffffe", "7fff", "8000", "ffffffff0f", "ffffffffff7f")]


def mutated(wire: bytes, rng: random.Random) -> bytes:
    data = bytearray(wire)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(6):
            case 0 if data:  # one bit
                data[at] ^= 1 << rng.randrange(8)
            case 1 if data:  # one byte, often one that begins a long varint or a negative number
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:  # the end is missing
                del data[at:]
            case 3:  # a length that is a lie
                lie = rng.choice(HUGE)
                data[at : at + len(lie)] = lie
            case 4:  # something too much
                data[at:at] = rng.randbytes(rng.choice((1, 4, 50)))
            case _:  # something missing
                del data[at : at + rng.choice((1, 2, 4))]
    return bytes(data)


def sample(cls: type[Message], version: int, rng: random.Random) -> bytes:
    """A message of moderate size, so that mutations hit its structure and not only its contents."""
    return min((random_struct(cls, version, rng).encode(version) for _ in range(8)), key=lambda wire: abs(len(wire) - 300))


def test_a_mutated_message_decodes_or_is_a_decode_error_in_bounded_time() -> None:
    rng = random.Random(20260101)
    pairs = messages_and_versions()
    outcomes = {"decoded": 0, "refused": 0}
    slowest = 0.0
    for cls, version in pairs:
        samples = [sample(cls, version, rng) for _ in range(5)]
        for _ in range(MUTATIONS // len(pairs) + 1):
            data = mutated(rng.choice(samples), rng)
            began = time.thread_time()
            try:
                cls.decode(data, version)
                outcomes["decoded"] += 1
            except DecodeError:
                outcomes["refused"] += 1
            slowest = max(slowest, time.thread_time() - began)

    assert sum(outcomes.values()) >= 100_000
    assert min(outcomes.values()) > 1000, "the mutations are too wild, or too tame, to test anything"
    assert slowest < SLOWEST_SECONDS


def test_lying_lengths_take_no_memory() -> None:
    rng = random.Random(20260102)
    for cls, version in messages_and_versions():
        wire = sample(cls, version, rng)
        cls.decode(wire, version)
        tracemalloc.start()
        try:
            for at in range(0, len(wire), 7):
                lie = rng.choice(HUGE)
                with suppress(DecodeError):  # either outcome is right; how much memory it took is the question
                    cls.decode(wire[:at] + lie + wire[at + len(lie) :], version)
            assert tracemalloc.get_traced_memory()[1] < 300 * len(wire) + 200_000, (cls, version)
        finally:
            tracemalloc.stop()
