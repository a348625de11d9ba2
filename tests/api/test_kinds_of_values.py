"""Values of subclasses, and integers that are no int: enums of topics, say, and numpy's numbers."""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest

from klife import Client, InvalidRecordType, Record
from klife.actors.producer.partitioners import resolve
from tests.support.scripted_broker import PATIENCE


class Topics(StrEnum):
    ORDERS = "orders"


class OldTopics(str, Enum):  # noqa: UP042 - as programs have it that are older than StrEnum
    """Whose `str()` is another text."""

    ORDERS = "orders"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"

    def encode(self, *_how: str) -> bytes:
        return b"something else"


class Data(bytes):
    def __bytes__(self) -> bytes:
        return b"something else"

    def __len__(self) -> int:
        return 1_000_000


class Number(IntEnum):
    ONE = 1


class Int64:
    """As numpy's: no int, but an integer."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def produced_one_by_one(client: Client, record: Record) -> Record:
    return client.produce(record).get(PATIENCE)


def produced_in_a_batch(client: Client, record: Record) -> Record:
    return client.produce_batch([record]).get(PATIENCE)[0]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("how", [produced_one_by_one, produced_in_a_batch])
@pytest.mark.parametrize("topic", [Topics.ORDERS, OldTopics.ORDERS, Text("orders")])
@pytest.mark.parametrize("number", [Number.ONE, Int64(1)])
def test_subclasses_and_integers_of_all_kinds_are_taken_for_what_they_are(
    client: Client, how: Any, topic: str, number: Any, known: bool
) -> None:
    if known:
        client.produce(Record("orders", b"before")).get(PATIENCE)
    headers = [(Text("name"), Data(b"of a header")), (OldTopics.ORDERS, None)]
    result = how(client, Record(topic, Data(b"value"), Data(b"key"), headers, number, number))
    assert (result.error, result.partition, result.timestamp_ms) == (None, 1, 1)
    fields = (result.topic, result.value, result.key, *(each for header in result.headers for each in header), result.partition)
    assert fields == ("orders", b"value", b"key", "name", b"of a header", "orders", None, 1)
    assert [type(field) for field in fields] == [str, bytes, bytes, str, bytes, str, type(None), int]
    assert client.status().buffered_bytes == 0
    assert list(client.status().topics) == ["orders"]
    assert client.partitions(topic) == client.partitions("orders")


def test_so_is_what_a_partitioner_says(client: Client) -> None:
    class Says:
        def __init__(self, number: Any) -> None:
            self.number = number

        def partition(self, record: Record, partition_count: int) -> Any:
            return self.number

    for number in (Number.ONE, Int64(1)):
        assert client.produce(Record("orders", b"v"), partitioner=Says(number)).get(PATIENCE).partition == 1
    with pytest.raises(InvalidRecordType, match=r"Says\.partition returned is a bool"):
        client.produce(Record("orders", b"v"), partitioner=Says(True))


@pytest.mark.parametrize("name", ["murmur2", "phash2", "crc32", "random"])
def test_a_key_of_a_subclass_goes_where_its_bytes_go(client: Client, name: str) -> None:
    partitioner = resolve(name)
    keys = [b"%d" % number for number in range(20)]
    records = [Record("orders", b"v", kind(key)) for kind in (bytes, Data) for key in keys]
    places = [client.produce(record, partitioner=partitioner).get(PATIENCE).partition for record in records]
    assert name == "random" or places[:20] == places[20:]


FIELDS = {"topic": "orders", "value": b"v", "key": b"k", "headers": (), "partition": 1, "timestamp_ms": 5}


def without(field: str) -> Record:
    """A record that the constructor did not make, whose `field` was never set."""
    record = Record.__new__(Record)
    for name, value in FIELDS.items():
        if name != field:
            setattr(record, name, value)
    return record


def test_a_field_that_was_never_set_is_none(client: Client) -> None:
    client.produce(Record("orders", b"known")).get(PATIENCE)
    for field in ("value", "key", "partition", "timestamp_ms"):
        assert client.produce(without(field)).get(PATIENCE).error is None
        client.produce_async(without(field))
        [result] = client.produce_batch([without(field)]).get(PATIENCE)
        assert result.error is None
    for field in ("topic", "headers"):
        for produce in (client.produce, client.produce_async):
            with pytest.raises(InvalidRecordType, match=f"Record.{field} is a NoneType"):
                produce(without(field))
        with pytest.raises(InvalidRecordType, match=rf"records\[0\]: Record.{field} is a NoneType"):
            client.produce_batch([without(field)])


def test_an_attribute_error_of_a_partitioner_is_its_own(client: Client) -> None:
    class Broken:
        def partition(self, record: Record, partition_count: int) -> int:
            raise AttributeError("no such shard")

    for _ in range(2):
        with pytest.raises(AttributeError, match="no such shard"):
            client.produce(Record("orders", b"v"), partitioner=Broken())
