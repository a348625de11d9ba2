"""`setup` and `all_produced` on the real cluster."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator

import gevent
import pytest

from klife import Client, Record
from klife.admin import AdminError
from klife.testing import NotSetUp, all_produced, setup
from klife.testing.cluster import KafkaCluster


@pytest.fixture
def topic(kafka_cluster: KafkaCluster) -> str:
    name = f"helpers-{uuid.uuid4().hex[:8]}"
    kafka_cluster.create_topic(name, partitions=5)
    return name


@pytest.fixture
def client(kafka_cluster: KafkaCluster) -> Iterator[Client]:
    with Client.start(kafka_cluster.bootstrap_servers) as client:
        yield client


def test_only_records_since_setup_are_told(client: Client, topic: str) -> None:
    client.produce_batch([Record(topic, b"before", partition=partition) for partition in range(5)]).get()
    setup(client)
    assert all_produced(client, topic) == []
    result = client.produce(Record(topic, b"after", partition=3)).get()
    assert all_produced(client, topic) == [result]
    setup(client)
    assert all_produced(client, topic) == []


def test_a_topic_created_after_setup_is_read_from_its_beginning(kafka_cluster: KafkaCluster, client: Client) -> None:
    setup(client)
    name = f"helpers-late-{uuid.uuid4().hex[:8]}"
    kafka_cluster.create_topic(name, partitions=2)
    results = client.produce_batch([Record(name, b"x", partition=partition) for partition in (0, 1)]).get()
    assert all_produced(client, name) == results


def test_a_topic_made_anew_under_its_old_name_is_another_log(kafka_cluster: KafkaCluster, client: Client, topic: str) -> None:
    client.produce_batch([Record(topic, b"old", partition=0)] * 10).get()
    setup(client)
    with kafka_cluster.admin() as admin:
        admin.delete_topics([topic])
    kafka_cluster.create_topic(topic, partitions=1)
    with Client.start(kafka_cluster.bootstrap_servers) as another:
        result = another.produce(Record(topic, b"new")).get()
    assert all_produced(client, topic) == [result]


def test_filters_select_records_that_equal_everything_given(client: Client, topic: str) -> None:
    setup(client)
    headers = (("trace", b"1"), ("trace", None))
    records = [
        Record(topic, b"v", key=b"k", headers=headers, partition=0),
        Record(topic, b"v", key=b"k", headers=headers[::-1], partition=1),
        Record(topic, b"v", key=None, partition=2),
        Record(topic, None, key=b"k", partition=3),
        Record(topic, b"", key=b"", partition=4),
    ]
    a, b, c, d, e = client.produce_batch(records).get()
    assert all_produced(client, topic) == [a, b, c, d, e]
    assert all_produced(client, topic, value=b"v") == [a, b, c]
    assert all_produced(client, topic, key=b"k") == [a, b, d]
    assert all_produced(client, topic, key=b"k", value=b"v") == [a, b]
    assert all_produced(client, topic, headers=list(headers)) == [a]
    assert all_produced(client, topic, headers=[]) == [c, d, e]
    assert all_produced(client, topic, partition=2) == [c]
    assert all_produced(client, topic, partition=2, key=b"k") == []


def test_none_as_a_filter_means_no_key_or_a_tombstone(client: Client, topic: str) -> None:
    setup(client)
    keyless, tombstone = client.produce_batch([Record(topic, b"v"), Record(topic, None, key=b"k")]).get()
    assert all_produced(client, topic, key=None) == [keyless]
    assert all_produced(client, topic, value=None) == [tombstone]


def test_more_than_a_fetch_holds_is_read_in_rounds(client: Client, topic: str) -> None:
    setup(client)
    records = [Record(topic, b"%d" % number + bytes(100_000), partition=number % 2) for number in range(60)]
    results = client.produce_batch(records).get()
    assert all_produced(client, topic) == sorted(results, key=lambda record: (record.partition, record.offset))


def test_a_stopped_client_can_still_be_asked_what_it_produced(kafka_cluster: KafkaCluster, topic: str) -> None:
    with Client.start(kafka_cluster.bootstrap_servers, compression_type="zstd") as client:
        setup(client)
        client.produce_async(Record(topic, b"v"))
    assert [record.value for record in all_produced(client, topic)] == [b"v"]


def test_asking_before_setup_says_what_to_call(client: Client, topic: str) -> None:
    with pytest.raises(NotSetUp, match=r"klife\.testing\.setup was not called"):
        all_produced(client, topic)


def test_a_topic_that_does_not_exist_is_an_error_and_not_an_empty_list(client: Client) -> None:
    setup(client)
    with pytest.raises(AdminError, match="no-such-topic") as raised:
        all_produced(client, "no-such-topic")
    assert raised.value.error_code == 3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"value": "text"}, "value is a str; expected bytes or None"),
        ({"key": 5}, "key is an int; expected bytes or None"),
        ({"headers": None}, "headers is a NoneType; expected a list or tuple"),
        ({"partition": "0"}, "partition is a str; expected an int"),
    ],
)
def test_a_filter_that_could_never_match_is_refused(client: Client, topic: str, given: dict[str, object], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        all_produced(client, topic, **given)  # type: ignore[arg-type]


def test_the_package_is_imported_without_gevent() -> None:
    code = "import sys, klife.testing, klife.testing.pytest_plugin; assert 'gevent' not in sys.modules; klife.testing.setup"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def paying(kafka_cluster: KafkaCluster) -> Iterator[Client]:
    with Client.start(kafka_cluster.bootstrap_servers, txn_pools=[{"name": "money"}]) as client:
        yield client


def test_of_transactions_those_that_were_committed_are_seen_and_at_once(paying: Client, topic: str) -> None:
    setup(paying)
    expected: list[Record] = []
    for number in range(10):
        with paying.transaction() as txn:
            delivery = paying.produce_batch([Record(topic, b"%d" % number, partition=partition) for partition in range(5)])
            if number % 3 == 1:
                txn.abort()
        if number % 3 != 1:
            expected += delivery.get()
        assert all_produced(paying, topic) == sorted(expected, key=lambda record: (record.partition, record.offset))


def test_what_a_transaction_holds_up_is_not_seen_and_not_waited_for(paying: Client, topic: str) -> None:
    before = paying.produce(Record(topic, b"before", partition=1)).get()
    setup(paying)
    with paying.transaction() as txn:
        paying.produce(Record(topic, b"open", partition=0)).get()
        gevent.spawn(lambda: paying.produce(Record(topic, b"behind", partition=0)).get()).get()
        other = gevent.spawn(lambda: paying.produce(Record(topic, b"other", partition=1)).get()).get()
        assert all_produced(paying, topic) == [other]
        setup(paying)
        assert all_produced(paying, topic) == []
        txn.abort()
    assert before.offset == 0
    assert all_produced(paying, topic) == []
