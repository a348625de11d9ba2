"""`klife read`: records become lines, those that are there and those that come."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from klife import Client, Record
from klife.testing.cluster import KafkaCluster
from klife.testing.fake import FakeCluster
from tests.support.cli_command import COMMAND, NewTopic, RunKlife, environment


@pytest.fixture
def topic(kafka_cluster: KafkaCluster, new_topic: NewTopic) -> str:
    """Two partitions: five records in the first, one that is no text in the second."""
    name = new_topic(partitions=2)
    with Client.start(kafka_cluster.bootstrap_servers, compression_type="snappy") as client:
        written = [Record(name, f"line {number}".encode(), b"key", partition=0) for number in range(5)]
        odd = Record(name, None, b"\xff", [("trace", b"abc"), ("none", None)], 1, 1_700_000_000_000)
        Record.verify_batch(client.produce_batch([*written, odd]).get())
    return name


def test_what_is_there_is_read_to_its_end(run_klife: RunKlife, kafka_cluster: KafkaCluster, topic: str) -> None:
    servers = ["--bootstrap", kafka_cluster.bootstrap_servers]

    whole = run_klife("read", topic, "--from-beginning", "--until-end", "--key-separator", "=", "--partition", "0", *servers)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.splitlines() == [f"key=line {number}" for number in range(5)]

    tail = run_klife("read", topic, "--last", "2", "--until-end", "--json", *servers)
    assert tail.returncode == 0, tail.stderr
    found = sorted((json.loads(line) for line in tail.stdout.splitlines()), key=lambda record: (record["partition"], record["offset"]))
    assert [(record["offset"], record["value"]) for record in found[:2]] == [(3, "line 3"), (4, "line 4")]
    assert found[2:] == [
        {
            "topic": topic,
            "partition": 1,
            "offset": 0,
            "timestamp_ms": 1_700_000_000_000,
            "key": {"base64": "/w=="},
            "value": None,
            "headers": [["trace", "abc"], ["none", None]],
        }
    ]


def test_what_comes_is_told_until_ctrl_c_or_nobody_reads(kafka_cluster: KafkaCluster, topic: str) -> None:
    command = [*COMMAND, "read", topic, "--bootstrap", kafka_cluster.bootstrap_servers, "--last", "1", "--partition", "0"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment()) as follower,
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment()) as unread,
        Client.start(kafka_cluster.bootstrap_servers) as client,
    ):
        try:
            assert follower.stdout is not None
            assert unread.stdout is not None
            assert follower.stdout.readline() == unread.stdout.readline() == "line 4\n"
            unread.stdout.close()
            client.produce(Record(topic, b"new", partition=0)).get()
            assert follower.stdout.readline() == "new\n"
            follower.send_signal(signal.SIGINT)
            assert (follower.wait(60), unread.wait(60)) == (130, 0)
            assert follower.stderr is not None
            assert unread.stderr is not None
            assert (follower.stderr.read(), unread.stderr.read()) == ("", "")
        finally:
            follower.kill()
            unread.kill()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--until-end"], "--until-end with nothing before the end"),
        (["--last", "1", "--from-beginning"], "--last and --from-beginning: give one of them"),
    ],
)
def test_options_that_make_no_sense_together_are_told(run_klife: RunKlife, options: list[str], line: str) -> None:
    done = run_klife("read", "orders", *options)
    assert done.returncode == 1
    assert done.stderr.startswith(f"klife: {line}")
    assert done.stderr.count("\n") == 1


def test_records_of_open_and_aborted_transactions_are_read_unless_committed_ones_are_asked_for(
    run_klife: RunKlife, kafka_cluster: KafkaCluster, topic: str
) -> None:
    with Client.start(kafka_cluster.bootstrap_servers, txn_pools=[{"name": "money"}]) as client:
        with client.transaction() as txn:
            client.produce(Record(topic, b"aborted", partition=1)).get()
            txn.abort()
        with client.transaction():
            client.produce(Record(topic, b"open", partition=0)).get()
            options = ["--from-beginning", "--until-end", "--bootstrap", kafka_cluster.bootstrap_servers]
            found = run_klife("read", topic, *options).stdout.splitlines()
            committed = run_klife("read", topic, *options, "--isolation-level", "read_committed")
            last = run_klife("read", topic, "--last", "1", "--until-end", *options[2:], "--isolation-level", "read_committed")
    assert {"aborted", "open"} <= set(found)
    assert (committed.returncode, committed.stderr) == (0, "")
    assert sorted(committed.stdout.splitlines()) == ["", *(f"line {number}" for number in range(5))]
    assert last.stdout.splitlines() == ["line 4"]  # before the open transaction; the other partition ends with a marker


def test_committed_records_are_told_when_their_transaction_is_committed(klife_fake: FakeCluster) -> None:
    klife_fake.create_topic("payments")
    command = [*COMMAND, "read", "payments", "--bootstrap", klife_fake.bootstrap_servers, "--isolation-level", "read_committed"]
    with (
        Client.start(klife_fake.bootstrap_servers, txn_pools=[{"name": "money", "pool_size": 2}]) as client,
        subprocess.Popen([*command, "--from-beginning"], stdout=subprocess.PIPE, text=True, env=environment()) as follower,
    ):
        try:
            assert follower.stdout is not None
            client.produce(Record("payments", b"plain")).get()
            assert follower.stdout.readline() == "plain\n"
            with client.transaction() as txn:
                client.produce(Record("payments", b"aborted")).get()
                txn.abort()
            with client.transaction():
                client.produce(Record("payments", b"committed")).get()
            assert follower.stdout.readline() == "committed\n"
        finally:
            follower.kill()
