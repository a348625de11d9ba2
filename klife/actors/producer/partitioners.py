"""klife's own partitioners: which partition a record without an explicit one goes to.

A partitioner is any object with `partition(record, partition_count) -> int` (`klife.partitioner`). It is
called in the caller's greenlet for every record, so it must be quick and must not block.

Records without a key under the default partitioner *stick* (KIP-480): all those of a topic go to one
partition until that partition's batch closes, or waits while another broker is free, then to another. Fewer,
fuller batches result, and over time all partitions get their share. Only the engine knows when a batch closes,
so it keeps the sticky partition, and a partitioner just says with `sticky_keyless` that it wants that. Where
`sticky_keyless` is false (or missing), `partition` is called for keyless records too.

A choice that is free should not fall on a partition without a leader, where a record may wait until it
expires. Who has leaders only the engine knows, too: while some partitions have none, it asks the partitioner
whether any will do (`any_will_do`), and then chooses itself.

A 50-byte key's hash costs 2.6 µs (murmur2) or 5 µs (phash2) in pure Python, a look-up 20 to 30 ns, and real
keys repeat: hence `_KeyHashes`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, cast
from zlib import crc32

from klife.actors.producer.murmur2 import murmur2_positive
from klife.actors.producer.phash2 import phash2_32
from klife.actors.producer.validation import exact_bytes
from klife.errors import ConfigError
from klife.partitioner import Partitioner

if TYPE_CHECKING:
    from klife.record import Record

    _Hashes = dict[bytes, int]
else:
    _Hashes = dict


class _KeyHashes(_Hashes):
    """Hashes of recent keys: `hashes[key]` computes what is missing. Bounded in entries and in bytes of keys.

    When full it is emptied: a few lines, nothing to do on a hit, and the keys in use are back after one miss
    each (keys that never repeat pay 10 % on top of their hash). An `lru_cache` on the same function costs 39
    ns a hit against 21 and bounds only the number of entries. Long keys are hashed each time, as they would
    crowd out many short ones. Under threads a race may at worst compute a hash twice or blur the byte count
    by a key.
    """

    MAX_KEYS = 32_768
    MAX_KEY_SIZE = 256
    MAX_BYTES = 4 * 1024 * 1024

    __slots__ = ("_bytes", "_hash")

    def __init__(self, hash_: Callable[[bytes], int]) -> None:
        self._hash = hash_
        self._bytes = 0

    def __missing__(self, key: bytes) -> int:
        key = exact_bytes(key)
        value = self._hash(key)
        size = len(key)
        if size <= self.MAX_KEY_SIZE:
            if len(self) >= self.MAX_KEYS or self._bytes + size > self.MAX_BYTES:
                self.clear()
                self._bytes = 0
            self._bytes += size
            self[key] = value
        return value


_murmur2_positive = _KeyHashes(murmur2_positive)
remembered_murmur2: Callable[[bytes], int] = _murmur2_positive.__getitem__
_phash2 = _KeyHashes(phash2_32)


class Murmur2Partitioner(Partitioner):
    """The default: keyed records where Kafka's Java client puts them (positive murmur2 of the key, modulo the
    count).

    Records without a key stick to one partition per batch (KIP-480), which the producer sees to. Called
    directly with such a record, `partition` returns a random one.
    """

    sticky_keyless = True

    def partition(self, record: Record, partition_count: int) -> int:
        key = record.key
        if key is None:
            return int(random() * partition_count)
        return _murmur2_positive[key] % partition_count

    def any_will_do(self, record: Record) -> bool:
        return record.key is None


class Phash2Partitioner(Partitioner):
    """Keyed records where Klife 0.x for Elixir puts them: `erlang:phash2(Key, Count)`.

    A random partition without a key, as there.
    """

    sticky_keyless = False

    def partition(self, record: Record, partition_count: int) -> int:
        key = record.key
        if key is None:
            return int(random() * partition_count)
        return _phash2[key] % partition_count

    def any_will_do(self, record: Record) -> bool:
        return record.key is None


class Crc32Partitioner(Partitioner):
    """Keyed records where librdkafka's default, `consistent_random`, puts them: CRC-32 of the key, modulo the
    count.

    A random partition without a key or with an empty one, as there.
    """

    sticky_keyless = False

    def partition(self, record: Record, partition_count: int) -> int:
        key = record.key
        if not key:
            return int(random() * partition_count)
        return crc32(key) % partition_count

    def any_will_do(self, record: Record) -> bool:
        return not record.key


class RandomPartitioner(Partitioner):
    """A random partition for each record, whatever its key. Batches are smaller than with a sticky partition."""

    sticky_keyless = False

    def partition(self, record: Record, partition_count: int) -> int:
        return int(random() * partition_count)

    def any_will_do(self, record: Record) -> bool:
        return True


def may_go_anywhere(partitioner: object, record: Record) -> bool:
    """What `any_will_do` says, if it speaks of the `partition` that is in use: a subclass with a rule of its
    own may have inherited the other's answer.
    """
    for cls in type(partitioner).__mro__:
        if "any_will_do" in vars(cls):
            return bool(partitioner.any_will_do(record))  # type: ignore[attr-defined]
        if "partition" in vars(cls):
            return False
    return False


BUILT_IN: dict[str, type[Partitioner]] = {
    "murmur2": Murmur2Partitioner,
    "phash2": Phash2Partitioner,
    "crc32": Crc32Partitioner,
    "random": RandomPartitioner,
}


def resolve(spec: object) -> Partitioner:
    """Return the partitioner that `spec` stands for: an instance, a class without required arguments, or a
    built-in's name.

    Any object with a `partition` method counts as an instance.

    Raises:
        ConfigError: `spec` is none of these. An exception of the class's own constructor is its cause.
    """
    if isinstance(spec, str):
        built_in = BUILT_IN.get(spec)
        if built_in is None:
            raise ConfigError([f"partitioner: {spec!r} is no partitioner's name. Names are {', '.join(map(repr, BUILT_IN))}."])
        return built_in()
    partitioner = spec
    if isinstance(spec, type):
        try:
            partitioner = spec()
        except Exception as error:
            # The constructor is the user's: whatever it raises is the configuration's fault.
            raise ConfigError(
                [f"partitioner: the class {spec.__name__} cannot be built without arguments ({error}). Pass an instance of it."]
            ) from error
    if not callable(getattr(partitioner, "partition", None)):
        raise ConfigError(
            [
                f"partitioner: expected an object with a method partition(record, partition_count), such a class, or one of "
                f"{', '.join(map(repr, BUILT_IN))}; got {'the class ' if isinstance(spec, type) else ''}"
                f"{spec.__name__ if isinstance(spec, type) else type(spec).__name__}."
            ]
        )
    return cast("Partitioner", partitioner)
