"""The fake brokers: what klife writes to them is there, other clients find it, and what is ordered goes wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic
from typing import Any

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from gevent import get_hub
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from klife import Client, ProduceError, Record, RecordTooLarge, TransactionAborted, UnknownTopic, WaitTimeout
from klife.admin import AdminClient, NewTopic
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest
from klife.protocol.error_codes import ErrorCode
from klife.testing import all_produced, setup
from klife.testing.fake import FakeCluster
from tests.support import ROOT
from tests.support.reader import read_isolated

PATIENCE = 30.0


@pytest.fixture
def kafka() -> Iterator[FakeCluster]:
    with FakeCluster(brokers=3, topics={"orders": 3}) as cluster:
        yield cluster


@pytest.fixture
def client(kafka: FakeCluster) -> Iterator[Client]:
    pools = [{"name": "txns", "pool_size": 2}]
    with Client.start(kafka.bootstrap_servers, retry_backoff_ms=10, txn_pools=pools) as started:
        yield started


def values(records: list[Record]) -> list[Any]:
    return [record.value for record in records]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_produced_is_in_the_log_with_its_place(kafka: FakeCluster, codec: Any) -> None:
    with Client.start(kafka.bootstrap_servers, compression_type=codec) as client:
        record = Record("orders", b"v" * 1000, b"key", [("kind", b"order"), ("none", None)], 2, 1_700_000_000_000)
        results = client.produce_batch([record, Record("orders", None, b"key", partition=2)]).get(PATIENCE)
    assert kafka.records("orders", 2) == kafka.records("orders") == results
    assert [(each.offset, each.key) for each in results] == [(0, b"key"), (1, b"key")]
    assert results[0].headers == (("kind", b"order"), ("none", None))


def test_the_helpers_for_real_brokers_read_it_too(kafka: FakeCluster, client: Client) -> None:
    client.produce(Record("orders", b"before")).get(PATIENCE)
    setup(client)
    result = client.produce(Record("orders", b"after")).get(PATIENCE)
    assert all_produced(client, "orders") == [result]


def test_topics_are_made_looked_at_grown_and_deleted(kafka: FakeCluster) -> None:
    with AdminClient(kafka.bootstrap_servers) as admin:
        admin.create_topics([NewTopic("made", partitions=2)])
        assert {name: len(partitions) for name, partitions in admin.describe_topics().items()} == {"made": 2, "orders": 3}
        admin.create_partitions("made", 4)
        assert len(admin.describe_topics()["made"]) == 4
        admin.delete_topics(["made"])
        assert list(admin.describe_topics()) == ["orders"]


def test_a_topic_that_is_produced_to_is_made_or_not(kafka: FakeCluster, client: Client) -> None:
    assert client.produce(Record("new", b"v")).get(PATIENCE).offset == 0
    kafka.auto_create_partitions = 0
    with Client.start(kafka.bootstrap_servers, unknown_topic_ms=100) as hasty, pytest.raises(UnknownTopic):
        hasty.produce(Record("newer", b"v"))


# what goes wrong


def test_an_error_that_passes_is_retried_and_one_that_does_not_is_told(kafka: FakeCluster, client: Client) -> None:
    kafka.fail_next("NOT_ENOUGH_REPLICAS", times=2)
    assert client.produce(Record("orders", b"1", partition=0)).get(PATIENCE).offset == 0
    kafka.fail_next(29, topic="orders", partition=1)
    assert client.produce(Record("orders", b"2", partition=0)).get(PATIENCE).offset == 1
    with pytest.raises(ProduceError) as caught:
        client.produce(Record("orders", b"3", partition=1)).get(PATIENCE)
    assert (caught.value.error_code, caught.value.possibly_persisted) == (29, False)
    assert values(kafka.records("orders")) == [b"1", b"2"]
    with pytest.raises(ValueError, match="'NO_SUCH_ERROR' is no error of Kafka's"):
        kafka.fail_next("NO_SUCH_ERROR")


def test_a_record_that_is_too_large_for_kafka_s_defaults_is_refused_and_many_small_ones_are_not(
    kafka: FakeCluster, client: Client
) -> None:
    with pytest.raises(RecordTooLarge, match=r"MESSAGE_TOO_LARGE"):
        client.produce(Record(topic="orders", value=os.urandom(1_100_000), partition=0)).get()
    many = [Record(topic="orders", value=os.urandom(1_000), partition=0) for _ in range(2_000)]  # more than a batch may have
    assert [each.error for each in client.produce_batch(many).get()] == [None] * len(many)
    assert len(kafka.records("orders")) == len(many)


def test_a_record_whose_answer_was_lost_is_written_once(kafka: FakeCluster, client: Client) -> None:
    kafka.lose_answers()
    kafka.fail_next("REQUEST_TIMED_OUT", persisted=True)
    client.produce(Record("orders", b"once", partition=0)).get(PATIENCE)
    assert values(kafka.records("orders")) == [b"once"]


def test_a_broker_that_is_paused_answers_later_and_one_that_is_away_is_replaced(kafka: FakeCluster, client: Client) -> None:
    client.produce(Record("orders", b"0", partition=0)).get(PATIENCE)
    kafka.pause()
    delivery = client.produce(Record("orders", b"1", partition=0))
    with pytest.raises(WaitTimeout):
        delivery.get(0.1)
    kafka.resume()
    assert delivery.get(PATIENCE).offset == 1
    kafka.kill(1)
    assert client.produce(Record("orders", b"2", partition=0)).get(PATIENCE).offset == 2
    kafka.start(1)
    kafka.move_leader("orders", 0, 1)
    assert client.produce(Record("orders", b"3", partition=0)).get(PATIENCE).offset == 3


def test_a_cluster_that_was_closed_is_closed_and_can_be_read() -> None:
    kafka = FakeCluster()
    with Client.start(kafka.bootstrap_servers) as client:
        client.produce(Record("orders", b"v")).get(PATIENCE)
    kafka.close()
    files = [os.pipe() for _ in range(4)]  # with the numbers that its own had
    kafka.resume()
    kafka.close()
    for read, write in files:
        os.close(write)
        assert os.read(read, 1) == b""
        os.close(read)
    assert values(kafka.records("orders")) == [b"v"]


def test_answers_take_their_time(kafka: FakeCluster, client: Client) -> None:
    client.produce(Record("orders", b"0", partition=0)).get(PATIENCE)
    kafka.latency_ms = 200
    began = monotonic()
    assert client.produce(Record("orders", b"1", partition=0)).get(PATIENCE).offset == 1
    assert monotonic() - began >= 0.2


# transactions


def test_transactions_are_seen_when_they_are_committed(kafka: FakeCluster, client: Client) -> None:
    with client.transaction():
        client.produce(Record("orders", b"committed", partition=0)).get(PATIENCE)
        assert kafka.records("orders") == []
    with client.transaction() as transaction:
        client.produce(Record("orders", b"aborted", partition=0)).get(PATIENCE)
        transaction.abort()
    with client.transaction():
        client.produce_batch([Record("orders", b"%d" % index, partition=index) for index in range(3)])
    assert sorted(values(kafka.records("orders"))) == [b"0", b"1", b"2", b"committed"]
    assert sorted(read_isolated(kafka.bootstrap_servers, "orders", committed=True)) == [b"0", b"1", b"2", b"committed"]
    assert sorted(read_isolated(kafka.bootstrap_servers, "orders", committed=False)) == [b"0", b"1", b"2", b"aborted", b"committed"]


def test_a_record_that_fails_ends_its_transaction(kafka: FakeCluster, client: Client) -> None:
    kafka.fail_next("MESSAGE_TOO_LARGE")
    with pytest.raises(TransactionAborted), client.transaction():
        client.produce(Record("orders", b"v", partition=0))
    assert kafka.records("orders") == []


def test_the_timeout_of_an_id_is_told_as_it_was_given(kafka: FakeCluster) -> None:
    """By it a pool knows its own ids."""
    pools = [{"name": "p", "base_txn_id": "shop", "txn_timeout_ms": 80_000}]
    with Client.start(kafka.bootstrap_servers, txn_pools=pools) as shop, shop.transaction():
        shop.produce(Record("orders", b"v")).get(PATIENCE)
    question = DescribeTransactionsRequest(transactional_ids=["shop-0", "unknown"])
    with AdminClient(kafka.bootstrap_servers) as admin:
        known, unknown = admin.send(question, kafka.bootstrap_servers.split(",")[0]).transaction_states
    assert 80_000 <= known.transaction_timeout_ms <= 84_000
    assert (known.error_code, unknown.error_code) == (0, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)


# other clients


def test_confluent_kafka_uses_it(kafka: FakeCluster) -> None:
    def use() -> list[tuple[Any, Any]]:
        producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap_servers, "enable.idempotence": True})
        told: list[tuple[Any, Any]] = []
        producer.produce("orders", b"v", b"k", partition=1, on_delivery=lambda error, message: told.append((error, message.offset())))
        producer.flush(PATIENCE)
        return told

    assert get_hub().threadpool.apply(use) == [(None, 0)]
    assert values(kafka.records("orders", 1)) == [b"v"]


def test_it_commits_transactions_of_librdkafka_which_are_v1(kafka: FakeCluster) -> None:
    def use() -> None:
        producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": "shop"})
        producer.init_transactions(PATIENCE)
        for value, ends in ((b"committed", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
            producer.begin_transaction()
            producer.produce("orders", value, partition=0)
            producer.flush(PATIENCE)
            ends(PATIENCE)

    get_hub().threadpool.apply(use)
    assert values(kafka.records("orders")) == [b"committed"]


def test_kafka_python_uses_it(kafka: FakeCluster) -> None:
    def use() -> list[bytes]:
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, compression_type="gzip")
        assert producer.send("orders", b"v", partition=2).get(PATIENCE).offset == 0
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=None, consumer_timeout_ms=int(PATIENCE * 1000))
        consumer.assign([TopicPartition("orders", 2)])
        consumer.seek_to_beginning()
        found = [next(consumer).value]
        consumer.close()
        return found

    assert get_hub().threadpool.apply(use) == [b"v"]


def test_aiokafka_uses_it(kafka: FakeCluster) -> None:
    async def use() -> bytes:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            await producer.send_and_wait("orders", b"v", partition=0)
        async with AIOKafkaConsumer("orders", bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest") as consumer:
            message = await asyncio.wait_for(consumer.getone(), PATIENCE)
            return bytes(message.value)

    assert get_hub().threadpool.apply(lambda: asyncio.run(use())) == b"v"


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_it_works_in_programs_that_are_patched_and_ends_with_them(patch: str) -> None:
    program = f"""
{patch}
from klife import Client, Record
from klife.testing.fake import FakeCluster

kafka = FakeCluster()
with Client.start(kafka.bootstrap_servers) as client:
    print(client.produce(Record("orders", b"v")).get({PATIENCE}).offset)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert (ended.stdout, ended.returncode) == ("0\n", 0), ended.stderr


def test_nobody_is_given_the_port_of_a_broker_that_is_stopped(kafka: FakeCluster) -> None:
    address = ("127.0.0.1", int(kafka.bootstrap_servers.split(":")[-1]))  # of the last one
    kafka.stop(3)
    with socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(address)
        assert other.connect_ex(address) == errno.ECONNREFUSED
    kafka.start(3)
    for _ in range(100):  # at once, while its thread still looks at the old one
        kafka.stop(3)
        kafka.start(3)
    with socket.create_connection(address, PATIENCE):
        kafka.stop(3)
    kafka.close()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(address)
