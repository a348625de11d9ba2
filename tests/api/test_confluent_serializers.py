"""confluent-kafka's own serializers, on its mock of a schema registry, as a topic's."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient, dual_schema_id_deserializer, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, StringSerializer

from klife import Client, Record, SerializationError, TopicConfig
from klife.testing.fake import FakeCluster
from tests.support.order_message import OrderMessage

PATIENCE = 60.0
AVRO = '{"type": "record", "name": "Order", "fields": [{"name": "number", "type": "int"}]}'
JSON = '{"title": "Order", "type": "object", "properties": {"number": {"type": "integer"}}}'


@pytest.fixture
def registry() -> Any:
    return SchemaRegistryClient.new_client({"url": f"mock://{uuid.uuid4()}"})


@pytest.fixture
def kafka() -> Iterator[FakeCluster]:
    with FakeCluster(topics={"orders": 3}) as kafka:
        yield kafka


def avro(registry: Any) -> tuple[Any, Any, Any]:
    return AvroSerializer(registry, AVRO), AvroDeserializer(registry), lambda number: {"number": number}


def json(registry: Any) -> tuple[Any, Any, Any]:
    return JSONSerializer(JSON, registry), JSONDeserializer(JSON, schema_registry_client=registry), lambda number: {"number": number}


def protobuf(registry: Any) -> tuple[Any, Any, Any]:
    return ProtobufSerializer(OrderMessage, registry), ProtobufDeserializer(OrderMessage), lambda number: OrderMessage(number=number)


@pytest.mark.parametrize("kind", [avro, json, protobuf])
def test_what_they_made_is_read_by_their_deserializers(kafka: FakeCluster, registry: Any, kind: Any) -> None:
    serializer, deserializer, order = kind(registry)
    topics = [TopicConfig(name="orders", key_serializer=StringSerializer(), value_serializer=serializer)]
    with Client.start(kafka.bootstrap_servers, topics=topics) as client:
        client.produce(Record("orders", order(0), "table 5")).get(PATIENCE)
        client.produce_batch([Record("orders", order(number), "table 5") for number in range(1, 5)]).get(PATIENCE)
        client.produce(Record("orders", None, "table 5")).get(PATIENCE)
        with pytest.raises(SerializationError) as told:
            client.produce(Record("orders", {"number": "seven"}, "table 5"))
        assert told.value.__cause__ is not None
    written = kafka.records("orders")
    assert {record.key for record in written} == {b"table 5"}
    context = SerializationContext("orders", MessageField.VALUE)
    assert [deserializer(record.value, context) for record in written] == [*map(order, range(5)), None]
    assert registry.get_subjects() == ["orders-value"]


def test_a_schema_s_id_may_be_in_a_header(kafka: FakeCluster, registry: Any) -> None:
    serializer = JSONSerializer(JSON, registry, conf={"schema.id.serializer": header_schema_id_serializer})
    with Client.start(kafka.bootstrap_servers, topics=[TopicConfig(name="orders", value_serializer=serializer)]) as client:
        client.produce(Record("orders", {"number": 1}, headers=[("mine", b"1")])).get(PATIENCE)
    [written] = kafka.records("orders")
    assert [name for name, _ in written.headers] == ["mine", "__value_schema_id"]
    context = SerializationContext("orders", MessageField.VALUE, list(written.headers))
    with_header = {"schema.id.deserializer": dual_schema_id_deserializer}
    deserializer = JSONDeserializer(JSON, schema_registry_client=registry, conf=with_header)
    assert deserializer(written.value, context) == {"number": 1}


@pytest.mark.parametrize("kind", [avro, json, protobuf])
def test_the_hub_runs_while_a_registry_is_asked_and_it_is_asked_once(
    kafka: FakeCluster, registry: Any, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    asked, answers = threading.Event(), threading.Event()
    asking: list[int] = []
    register = type(registry).register_schema_full_response

    def slowly(self: Any, *arguments: Any, **options: Any) -> Any:
        asking.append(threading.get_ident())
        asked.set()
        assert answers.wait(PATIENCE)
        return register(self, *arguments, **options)

    monkeypatch.setattr(type(registry), "register_schema_full_response", slowly)
    serializer, _, order = kind(registry)
    with Client.start(kafka.bootstrap_servers, topics=[TopicConfig(name="orders", value_serializer=serializer)]) as client:
        callers = [
            gevent.spawn(lambda number=number: client.produce(Record("orders", order(number))).get(PATIENCE)) for number in range(20)
        ]
        with gevent.Timeout(PATIENCE):
            while not asked.is_set():
                gevent.sleep(0.001)
        gevent.sleep(0.01)
        assert not any(caller.ready() for caller in callers)
        answers.set()
        gevent.joinall(callers, timeout=PATIENCE, raise_error=True)
    assert len(kafka.records("orders")) == 20
    assert len(asking) == 1
    assert asking[0] != threading.get_ident()
