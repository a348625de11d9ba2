"""What a user's program looks like to a type checker: nothing to complain of, and no Any where a type is
known.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, assert_type

from klife import (
    AdminClient,
    BatchDelivery,
    Client,
    Delivered,
    Delivery,
    DoctorReport,
    ProduceError,
    ProducerConfig,
    Record,
    SaslConfig,
    SerializationContext,
    SerializationError,
    StopReport,
    TlsConfig,
    TopicConfig,
    WaitTimeout,
)
from klife.admin import ConfigEntry, NewTopic
from klife.hooks import Hooks
from klife.oidc import ClientCredentials


class ByCountry:
    """A partitioner without klife's base class."""

    def partition(self, record: Record, partition_count: int) -> int:
        return len(record.key or b"") % partition_count


def place_order(client: Client, order: bytes) -> int | None:
    delivery = client.produce(Record(topic="orders", value=order, key=b"7", headers=[("kind", b"order")]))
    assert_type(delivery, Delivery)
    try:
        delivered = delivery.get(timeout=5.0)
    except WaitTimeout:
        return None
    except ProduceError as error:
        assert_type(error.possibly_persisted, bool)
        raise
    assert_type(delivered, Delivered)
    assert_type(delivered.partition, int)
    return delivered.offset


@dataclass
class Order:
    number: int


def order_as_json(order: Order, context: SerializationContext) -> bytes:
    context.headers.append(("kind", type(order).__name__.encode()))
    return json.dumps(asdict(order)).encode()


class Stamped(Hooks):
    """A hook as one is written for records of bytes, and one for all."""

    def on_produce(self, record: Record) -> Record:
        return record

    def on_refused(self, record: Record[Any, Any], error: Exception | BaseException) -> None:
        print(record.topic, error)


def place_typed_orders(cluster: str) -> list[Record]:
    orders = TopicConfig(name="orders", key_serializer=str.encode, value_serializer=order_as_json)
    lines = TopicConfig(name="lines", value_serializer=lambda line: line.encode())
    record = Record(topic="orders", value=Order(1), key="7")
    assert_type(record, Record[Order, str])
    assert_type(Record("orders", b"bytes"), Record)
    assert_type(Record("orders", None), Record[bytes, bytes])
    tombstone: Record[Order, str] = Record("orders", None, "7")
    more: list[Record[Order]] = [Record("orders", value=Order(number)) for number in range(3)]
    with Client.start(cluster, topics=[orders, lines], hooks=[Stamped], txn_pools=[{"name": "money"}]) as client:
        try:
            delivered = client.produce(record).get()
        except SerializationError as error:
            assert_type(error.field, str)
            raise
        assert_type(delivered, Delivered)
        assert_type(delivered.value, bytes | None)
        client.produce_async(tombstone, lambda result: print(result.value, result.error))
        with client.transaction() as transaction:
            transaction.produce(record)
            transaction.produce_batch(more)
        return Record.verify_batch(client.produce_batch(more).get())


def look_at(cluster: str) -> DoctorReport:
    provider = ClientCredentials("https://idp.example/token", "orders", "secret", scope="kafka")
    with Client.start(
        cluster,
        tls=TlsConfig(ca_file=Path("ca.pem"), cert_file="own.pem", key_password="secret"),
        sasl={"mechanism": "OAUTHBEARER", "token_provider": provider},
    ) as client:
        report = client.doctor(5.0)
    if not report.ok:
        print(report, [check.next_step for check in report.checks if not check.ok])
    return report


def main() -> None:
    Client.start("kafka:9093", tls=True, sasl=SaslConfig(mechanism="PLAIN", username="u", password="p")).stop()
    with AdminClient("localhost:9092") as admin:
        admin.create_topics([NewTopic("orders", partitions=6, config={"retention.ms": 3_600_000})])
        assert_type(admin.describe_configs(["orders"]), dict[str, dict[str, ConfigEntry]])
    clicks = ProducerConfig(name="clicks", acks=1, linger_ms=20)
    with Client.start(
        "localhost:9092",
        name="shop",
        compression_type="zstd",
        producers=[clicks, {"name": "audit", "delivery_timeout_ms": 300_000}],
        topics=[{"name": "orders"}],
        default_partitioner=ByCountry(),
    ) as client:
        assert_type(client, Client)
        client.wait_ready(10.0)
        place_order(client, b"coffee")
        client.produce_async(Record("orders", None), lambda result: print(result.error, result.offset), producer="clicks")
        batch = client.produce_batch(Record("orders", b"%d" % number) for number in range(3))
        assert_type(batch, BatchDelivery)
        assert_type(Record.verify_batch(batch.get()), list[Record])
        status = client.status()
        if status.state == "running":
            print([broker.address for broker in status.brokers if broker.state == "ready"])
        assert_type(client.partitions("orders")[0].leader, int | None)
    assert_type(client.stop(), StopReport)
