"""Where records go: against vectors made with Java and Erlang, and against librdkafka itself."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import zlib
from typing import Any

import confluent_kafka
import pytest

from klife.actors.producer import partitioners
from klife.actors.producer.murmur2 import murmur2
from klife.actors.producer.partitioners import (
    Crc32Partitioner,
    Murmur2Partitioner,
    Phash2Partitioner,
    RandomPartitioner,
    resolve,
)
from klife.actors.producer.phash2 import phash2
from klife.errors import ConfigError
from klife.partitioner import Partitioner
from klife.record import Record
from tests.support import TESTS

VECTORS = TESTS / "vectors"
BUILT_IN = [Murmur2Partitioner(), Phash2Partitioner(), Crc32Partitioner(), RandomPartitioner()]


def vectors(name: str) -> list[tuple[bytes, dict[str, Any]]]:
    rows = json.loads((VECTORS / f"{name}.json").read_text())
    return [(base64.b64decode(row["key"]), row) for row in rows]


def keyed(key: bytes | None) -> Record:
    return Record("orders", b"", key=key)


def fresh_keys(count: int, size: int = 16) -> list[bytes]:
    return [random.randbytes(size) for _ in range(count)]


class TestHashes:
    def test_murmur2_equals_javas(self) -> None:
        assert [murmur2(key) for key, _ in vectors("murmur2")] == [row["murmur2"] for _, row in vectors("murmur2")]

    def test_phash2_equals_erlangs(self) -> None:
        assert [phash2(key) for key, _ in vectors("phash2")] == [row["phash2"] for _, row in vectors("phash2")]


class TestKeyedRecords:
    def test_murmur2_partitioner_agrees_with_java(self) -> None:
        for key, row in vectors("murmur2"):
            assert Murmur2Partitioner().partition(keyed(key), row["partitions"]) == row["partition"]

    def test_phash2_partitioner_agrees_with_erlang(self) -> None:
        for key, row in vectors("phash2"):
            assert Phash2Partitioner().partition(keyed(key), row["partitions"]) == row["partition"]

    @pytest.mark.parametrize(
        ("librdkafkas", "ours"), [("consistent_random", Crc32Partitioner()), ("murmur2_random", Murmur2Partitioner())]
    )
    def test_crc32_and_murmur2_agree_with_librdkafka(self, librdkafkas: str, ours: Partitioner) -> None:
        keys = [key for key, _ in vectors("murmur2") if key]
        landed: dict[bytes, int] = {}

        def acknowledged(error: object, message: confluent_kafka.Message) -> None:
            key, partition = message.key(), message.partition()
            assert error is None
            assert isinstance(key, bytes)
            assert partition is not None
            landed[key] = partition

        # Its mock cluster lives inside the producer and makes each topic with four partitions.
        peer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "partitioner": librdkafkas})
        for key in keys:
            peer.produce("orders", b"", key=key, on_delivery=acknowledged)
        assert peer.flush(30) == 0
        assert landed == {key: ours.partition(keyed(key), 4) for key in keys}

    def test_a_cached_key_goes_where_it_went_before(self) -> None:
        key = random.randbytes(40)
        for partitioner in (Murmur2Partitioner(), Phash2Partitioner()):
            first = [partitioner.partition(keyed(key), count) for count in (1, 7, 30)]
            # An equal key that is another object, as keys from a network are.
            assert [partitioner.partition(keyed(bytes(bytearray(key))), count) for count in (1, 7, 30)] == first

    @pytest.mark.parametrize("partitioner", BUILT_IN, ids=lambda partitioner: type(partitioner).__name__)
    def test_every_partition_gets_records_and_none_beyond(self, partitioner: Partitioner) -> None:
        assert {partitioner.partition(keyed(key), 30) for key in fresh_keys(3000)} == set(range(30))


class TestKeylessRecords:
    @pytest.mark.parametrize("partitioner", BUILT_IN, ids=lambda partitioner: type(partitioner).__name__)
    def test_are_spread_over_all_partitions(self, partitioner: Partitioner) -> None:
        assert {partitioner.partition(keyed(None), 30) for _ in range(3000)} == set(range(30))

    def test_only_murmur2_asks_the_producer_to_stick(self) -> None:
        assert [partitioner.sticky_keyless for partitioner in BUILT_IN] == [True, False, False, False]

    def test_an_empty_key_is_a_key_for_java_and_erlang_and_none_for_librdkafka(self) -> None:
        def places(partitioner: Partitioner) -> int:
            return len({partitioner.partition(keyed(b""), 30) for _ in range(1000)})

        assert [places(Murmur2Partitioner()), places(Phash2Partitioner())] == [1, 1]
        assert places(Crc32Partitioner()) == 30


class TestTheCacheOfHashes:
    def test_stays_within_its_number_of_keys(self) -> None:
        cache = partitioners._KeyHashes(zlib.crc32)
        for number in range(2 * cache.MAX_KEYS + 1):
            key = number.to_bytes(4)
            assert cache[key] == zlib.crc32(key)
            assert len(cache) <= cache.MAX_KEYS

    def test_stays_within_its_bytes_of_keys(self) -> None:
        cache = partitioners._KeyHashes(zlib.crc32)
        size = cache.MAX_KEY_SIZE
        for number in range(2 * cache.MAX_BYTES // size):
            cache[number.to_bytes(size)]
            assert len(cache) * size <= cache.MAX_BYTES

    def test_does_not_keep_long_keys(self) -> None:
        cache = partitioners._KeyHashes(zlib.crc32)
        long_key = bytes(cache.MAX_KEY_SIZE + 1)
        assert cache[long_key] == zlib.crc32(long_key)
        assert len(cache) == 0

    def test_does_not_hash_a_kept_key_again(self) -> None:
        hashed: list[bytes] = []

        def hash_(key: bytes) -> int:
            hashed.append(key)
            return 7

        cache = partitioners._KeyHashes(hash_)
        assert [cache[b"k"], cache[b"k"]] == [7, 7]
        assert hashed == [b"k"]


class ByLength(Partitioner):
    def partition(self, record: Record, partition_count: int) -> int:
        return len(record.value or b"") % partition_count


class NeedsArguments(ByLength):
    def __init__(self, salt: int) -> None:
        self.salt = salt


class DuckTyped:
    def partition(self, record: Record, partition_count: int) -> int:
        return 0


class TestResolve:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("murmur2", Murmur2Partitioner),
            ("phash2", Phash2Partitioner),
            ("crc32", Crc32Partitioner),
            ("random", RandomPartitioner),
        ],
    )
    def test_takes_the_name_of_a_built_in(self, name: str, expected: type[Partitioner]) -> None:
        assert type(resolve(name)) is expected

    def test_takes_an_instance_as_it_is(self) -> None:
        salted = NeedsArguments(3)
        assert resolve(salted) is salted

    def test_builds_a_class(self) -> None:
        assert isinstance(resolve(ByLength), ByLength)

    def test_takes_any_object_that_can_partition(self) -> None:
        duck: object = DuckTyped()
        assert resolve(duck) is duck
        assert isinstance(resolve(DuckTyped), DuckTyped)

    @pytest.mark.parametrize("one", [ByLength(), DuckTyped(), Murmur2Partitioner(), RandomPartitioner()])
    def test_whoever_has_the_method_is_a_partitioner(self, one: object) -> None:
        assert isinstance(one, Partitioner)
        assert not isinstance(object(), Partitioner)

    def test_a_subclass_without_the_method_cannot_be_made(self) -> None:
        class Forgetful(Partitioner):
            pass

        with pytest.raises(ConfigError, match="abstract"):
            resolve(Forgetful)

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        with pytest.raises(ConfigError, match=r"'murmur3'.*'murmur2', 'phash2', 'crc32', 'random'"):
            resolve("murmur3")

    @pytest.mark.parametrize(("spec", "named"), [(3, "got int"), (None, "got NoneType"), (dict, "got the class dict")])
    def test_what_cannot_partition_is_refused_by_its_type(self, spec: object, named: str) -> None:
        with pytest.raises(ConfigError, match=named):
            resolve(spec)

    def test_a_class_that_needs_arguments_asks_for_an_instance(self) -> None:
        with pytest.raises(ConfigError, match="NeedsArguments cannot be built without arguments") as refused:
            resolve(NeedsArguments)
        assert isinstance(refused.value.__cause__, TypeError)


def test_partitioners_load_without_gevent() -> None:
    code = "import sys, klife.actors.producer.partitioners; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
