"""Records land in the partition that the key's hash says, as other clients compute it; or where a user's own
partitioner says.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

import pytest

from klife import Crc32Partitioner, InvalidRecordType, InvalidRecordValue, Partitioner, Record
from klife.testing.cluster import KafkaCluster
from tests.support import TESTS
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.reader import partitions_of_librdkafka

VECTORS = TESTS / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    """Keys and their hashes, made with Java's client and with Erlang."""
    loaded: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return [{**vector, "key": base64.b64decode(vector["key"])} for vector in loaded]


def test_keys_land_where_javas_murmur2_puts_them(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    topic = make_topic(30)
    expected = {vector["key"]: (vector["murmur2"] & 0x7FFFFFFF) % 30 for vector in vectors("murmur2")}
    start_client().produce_batch([Record(topic, b"v", key=key) for key in expected]).get(30)
    assert {read.key: read.partition for read in read_back(topic)} == expected


def test_keys_land_where_erlangs_phash2_puts_them(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    topic = make_topic(32)  # `phash2` in the vectors is the hash's lower 27 bits: enough for the remainder of a power of two
    expected = {vector["key"]: vector["phash2"] % 32 for vector in vectors("phash2")}
    client = start_client(default_partitioner="phash2")
    client.produce_batch([Record(topic, b"v", key=key) for key in expected]).get(30)
    assert {read.key: read.partition for read in read_back(topic)} == expected


@pytest.mark.parametrize("name", ["murmur2", "phash2"])
def test_keys_land_in_the_partitions_of_the_vectors(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, name: str
) -> None:
    client = start_client(default_partitioner=name)
    for vector in [vector for vector in vectors(name) if vector["partitions"] <= 20][:4]:
        topic = make_topic(vector["partitions"])
        client.produce(Record(topic, b"v", key=vector["key"])).get(30)
        assert [read.partition for read in read_back(topic)] == [vector["partition"]]


def test_crc32_puts_keys_where_librdkafkas_default_does(
    kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic
) -> None:
    topic = make_topic(17)
    keys = [b"key-%d" % number for number in range(200)]
    client = start_client()
    results = client.produce_batch([Record(topic, b"v", key=key) for key in keys], partitioner=Crc32Partitioner()).get(30)
    assert [result.partition for result in results] == partitions_of_librdkafka(kafka_cluster.bootstrap_servers, topic, keys)


def test_records_without_a_key_stick_to_a_partition_for_a_batch_and_reach_all_in_time(
    start_client: StartClient, make_topic: MakeTopic
) -> None:
    client = start_client()
    topic = make_topic(3)
    seen: Counter[int | None] = Counter()
    for _ in range(60):
        partitions = {result.partition for result in client.produce_batch([Record(topic, b"v")] * 10).get(30)}
        assert len(partitions) == 1
        seen.update(partitions)
    assert set(seen) == {0, 1, 2}


class Last(Partitioner):
    def partition(self, record: Record, partition_count: int) -> int:
        return partition_count - 1


class Wrong(Partitioner):
    def partition(self, record: Record, partition_count: int) -> int:
        return partition_count


def test_a_topic_or_a_call_can_have_a_partitioner_of_its_own(start_client: StartClient, make_topic: MakeTopic) -> None:
    special, ordinary = make_topic(5), make_topic(5)
    client = start_client(topics=[{"name": special, "default_partitioner": Last()}])
    keys = [b"%d" % number for number in range(20)]
    assert {client.produce(Record(special, b"v", key=key)).get(30).partition for key in keys} == {4}
    assert len({client.produce(Record(ordinary, b"v", key=key)).get(30).partition for key in keys}) > 1
    assert {client.produce(Record(ordinary, b"v", key=key), partitioner=Last()).get(30).partition for key in keys} == {4}
    assert client.produce(Record(special, b"v", partition=1)).get(30).partition == 1


def test_a_partitioner_that_errs_is_named_and_nothing_is_queued(start_client: StartClient, make_topic: MakeTopic) -> None:
    client = start_client()
    topic = make_topic(2)
    with pytest.raises(InvalidRecordValue, match=r"Wrong\.partition returned is 2, but topic .* has 2 partitions"):
        client.produce(Record(topic, b"v"), partitioner=Wrong())
    with pytest.raises(InvalidRecordType, match="partitioner is an int; expected an object with partition"):
        client.produce(Record(topic, b"v"), partitioner=3)
    assert client.produce(Record(topic, b"v")).get(30).offset == 0
