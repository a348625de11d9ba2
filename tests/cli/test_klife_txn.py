"""`klife txn`: what is open is listed, and ended when somebody says so."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from klife import AdminClient, AdminError
from klife.admin.transactions import Transaction, abort_hanging, abort_transaction, list_transactions, open_in_topic, write_abort_marker
from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import NewTopic, RunKlife
from tests.support.waiting import wait_until


class OpenTransaction:
    """Of another client's producer, with a record in each partition of a topic."""

    def __init__(self, cluster: KafkaCluster, topic: str, partitions: int = 1) -> None:
        self.topic = topic
        self.transactional_id = f"{topic}-txn"
        self.producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap_servers,
                "transactional.id": self.transactional_id,
                "transaction.timeout.ms": 60_000,
            }
        )
        self.producer.init_transactions(30)
        self.producer.begin_transaction()
        for partition in range(partitions):
            self.producer.produce(topic, b"v", partition=partition)
        assert self.producer.flush(30) == 0


@pytest.fixture
def admin(kafka_cluster: KafkaCluster) -> Iterator[AdminClient]:
    with AdminClient(kafka_cluster.bootstrap_servers) as client:
        yield client


def of_id(admin: AdminClient, transactional_id: str) -> Transaction:
    [found] = [each for each in list_transactions(admin) if each.transactional_id == transactional_id]
    return found


def rows(text: str) -> list[dict[str, str]]:
    headings, *lines = (line.split() for line in text.splitlines())
    return [dict(zip(headings, line, strict=True)) for line in lines]


def test_open_transactions_are_listed_with_age_and_partitions_and_aborted_when_said_so(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic, admin: AdminClient
) -> None:
    topic = new_topic(partitions=2)
    its = OpenTransaction(kafka_cluster, topic, partitions=2)
    servers = ["--bootstrap", kafka_cluster.bootstrap_servers]

    listed = run_klife("txn", "list", *servers)
    assert listed.returncode == 0, listed.stderr
    [row] = [row for row in rows(listed.stdout) if row["TRANSACTIONAL-ID"] == its.transactional_id]
    assert (row["STATE"], row["TIMEOUT"], row["PARTITIONS"]) == ("Ongoing", "60s", f"{topic}-0,{topic}-1")
    assert 0 <= float(row["AGE"].removesuffix("s")) < 60

    in_topic = run_klife("txn", "list", "--topic", topic, *servers)
    assert [(row["PARTITION"], row["STATE"], row["TRANSACTIONAL-ID"]) for row in rows(in_topic.stdout)] == [
        (f"{topic}-0", "Ongoing", its.transactional_id),
        (f"{topic}-1", "Ongoing", its.transactional_id),
    ]

    refused = run_klife("txn", "abort", its.transactional_id, *servers, text="n\n")
    assert refused.returncode == 1
    assert "nothing was done" in refused.stderr
    assert of_id(admin, its.transactional_id).is_open

    done = run_klife("txn", "abort", its.transactional_id, *servers, text="y\n")
    assert done.returncode == 0, done.stderr
    assert "was aborted" in done.stderr
    wait_until(lambda: open_in_topic(admin, topic) == [])
    with pytest.raises(KafkaException):  # its producer is fenced
        its.producer.commit_transaction(30)

    again = run_klife("txn", "abort", its.transactional_id, *servers, "--yes")
    assert again.returncode == 1
    assert "nothing is open" in again.stderr


def test_one_that_a_coordinator_knows_is_not_ended_behind_its_back(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic, admin: AdminClient
) -> None:
    topic = new_topic()
    its = OpenTransaction(kafka_cluster, topic)
    [found] = open_in_topic(admin, topic)
    place = ["--topic", topic, "--partition", "0", "--start-offset", str(found.start_offset)]
    done = run_klife("txn", "abort", *place, "--yes", "--bootstrap", kafka_cluster.bootstrap_servers)
    assert done.returncode == 1
    assert "does not hang" in done.stderr
    assert its.transactional_id in done.stderr
    with pytest.raises(AdminError, match="does not hang"):
        abort_hanging(admin, found)
    its.producer.abort_transaction(30)


def test_an_abort_marker_ends_a_transaction_in_its_partition(
    kafka_cluster: KafkaCluster, new_topic: NewTopic, admin: AdminClient
) -> None:
    topic = new_topic()
    its = OpenTransaction(kafka_cluster, topic)
    [found] = open_in_topic(admin, topic)
    write_abort_marker(admin, found)
    wait_until(lambda: open_in_topic(admin, topic) == [])
    abort_transaction(admin, its.transactional_id)  # the coordinator still has it


def test_what_is_open_in_no_coordinators_book_hangs(
    monkeypatch: pytest.MonkeyPatch, kafka_cluster: KafkaCluster, new_topic: NewTopic, admin: AdminClient
) -> None:
    topic = new_topic()
    its = OpenTransaction(kafka_cluster, topic)
    forgotten: Any = lambda _admin: []  # noqa: E731
    monkeypatch.setattr("klife.admin.transactions.list_transactions", forgotten)
    [found] = open_in_topic(admin, topic)
    assert found.transaction is None
    abort_hanging(admin, found)
    wait_until(lambda: open_in_topic(admin, topic) == [])
    monkeypatch.undo()
    abort_transaction(admin, its.transactional_id)


@pytest.mark.parametrize(
    "arguments", [[], ["id", "--topic", "t"], ["--topic", "t", "--partition", "0"], ["--start-offset", "0"]], ids=" ".join
)
def test_what_to_abort_is_said_in_one_way(run_klife: RunKlife, arguments: list[str]) -> None:
    done = run_klife("txn", "abort", *arguments)
    assert done.returncode == 2
    assert "either a transactional id, or all of --topic" in done.stderr


def test_an_unknown_id_or_place_is_named(run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic) -> None:
    servers = ["--yes", "--bootstrap", kafka_cluster.bootstrap_servers]
    unknown = f"nobody-{uuid.uuid4().hex[:8]}"
    done = run_klife("txn", "abort", unknown, *servers)
    assert (done.returncode, unknown in done.stderr, "no broker knows it" in done.stderr) == (1, True, True)
    topic = new_topic()
    done = run_klife("txn", "abort", "--topic", topic, "--partition", "0", "--start-offset", "7", *servers)
    assert (done.returncode, f"klife txn list --topic {topic}" in done.stderr) == (1, True)
