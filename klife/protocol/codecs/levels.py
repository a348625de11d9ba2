"""How hard each codec tries: its levels, and the sizes up to which it is quick at them."""

from __future__ import annotations

from typing import Final, NamedTuple

CODECS: Final = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""Kafka's names of the codecs and their numbers in a batch's attributes."""


class LevelRange(NamedTuple):
    """The levels a codec takes, both ends included, and the one it uses when none is given."""

    minimum: int
    maximum: int
    default: int

    def allows(self, level: int) -> bool:
        """Whether `level` may be given: gzip's default, -1, is outside its range and allowed."""
        return self.minimum <= level <= self.maximum or level == self.default


LEVELS: Final = {
    "gzip": LevelRange(1, 9, -1),
    "lz4": LevelRange(1, 17, 9),
    "zstd": LevelRange(-131072, 22, 3),
}
"""Compression levels by codec, as Java's producer has them (KIP-390). snappy has none; of lz4's, 9 is fast
and the rest slow.
"""

QUICK_SIZES: Final = {"none": 512 * 1024, "gzip": 16 * 1024, "snappy": 512 * 1024, "lz4": 512 * 1024, "zstd": 128 * 1024}
QUICK_SIZE_OF_SLOW_LEVELS: Final = 2 * 1024
"""What takes less than 3 ms, and mostly a tenth of that, of the worst data too (long runs, small alphabets,
matches of four bytes): at a codec's default level, and at its slowest. 512 KiB take snappy and lz4 up to 1.3
ms and zstd 3; 16 KiB take up to 12 ms at gzip's and lz4's slowest level, and 30 ms at zstd's.
"""

_QUICK_SIZES: Final = {number: QUICK_SIZES[name] for name, number in CODECS.items()}
_GZIP_DEFAULT: Final = 6
"""What zlib means by its default level, -1."""


def quick_size(codec: int, level: int | None) -> int:
    """Fewer bytes than this are compressed so quickly that an event loop can wait for it."""
    slow = level is not None and (
        (codec == CODECS["gzip"] and level > _GZIP_DEFAULT)
        or (codec == CODECS["lz4"] and level != LEVELS["lz4"].default)
        or (codec == CODECS["zstd"] and level > LEVELS["zstd"].default)
    )
    return QUICK_SIZE_OF_SLOW_LEVELS if slow else _QUICK_SIZES[codec]
