"""Forks with a thousand records in flight: the parent goes on as if nothing had happened, the child has a
client of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gevent import get_hub

from klife.testing.cluster import KafkaCluster
from tests.support import SUPPORT, importing_tests
from tests.support.on_cluster import MakeTopic, ReadBack

PROGRAM = SUPPORT / "forking.py"
RECORDS = 1000
OF_THE_CHILD = 50
MANNERS = ["main", "gevent", "greenlet patched", "thread", "multiprocessing", "supervised patched", "c", "clone", "daemon"]


@pytest.mark.parametrize("manner", MANNERS)
def test_a_fork_loses_and_doubles_nothing_and_the_child_produces(
    manner: str, kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    topic = make_topic(6)
    command = [sys.executable, str(PROGRAM), kafka_cluster.bootstrap_servers, topic, *manner.split()]
    ended = get_hub().threadpool.apply(
        lambda: subprocess.run(command, env=importing_tests(), capture_output=True, text=True, timeout=280, check=False)
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    said: dict[str, dict[str, Any]] = {line["who"]: line for line in map(json.loads, ended.stdout.splitlines())}
    parent, child = said["parent"], said["child"]

    assert parent["in_flight_at_the_fork"] > 0
    assert parent["outcomes"] == {"delivered": RECORDS // 2}
    assert parent["callbacks"] == RECORDS // 2
    assert parent["connects"] == 1

    assert child["unsettled"] == {"forked": parent["in_flight_at_the_fork"]}
    assert child["settled"].keys() <= {"delivered"}
    assert child["inherited_sockets"] == 0
    assert (child["callbacks"], child["waited"]) == (0, 0)
    assert (child["produced"], child["report"]) == (OF_THE_CHILD, OF_THE_CHILD)
    assert child["producer_id"] != parent["producer_id"]

    expected = [b"parent %d" % number for number in range(RECORDS)] + [b"child %d" % number for number in range(OF_THE_CHILD)]
    assert sorted(read.value or b"" for read in read_back(topic)) == sorted(expected)


STARTED_ANEW = """
import multiprocessing, sys, tempfile
from klife import Client, Record

def child(servers, topic):
    with Client.start(servers, name="orders") as client:
        client.produce(Record(topic, b"child")).get(60)

if __name__ == "__main__":
    tempfile.tempdir = "/tmp"  # the path of a fork server's socket has 107 characters at most
    servers, topic, how = sys.argv[1:]
    client = Client.start(servers, name="orders", linger_ms=60_000, delivery_timeout_ms=90_000)
    client.partitions(topic)
    delivery = client.produce(Record(topic, b"parent"))
    process = multiprocessing.get_context(how).Process(target=child, args=(servers, topic))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert client.stop().delivered == 1
"""


@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_a_process_that_multiprocessing_starts_anew_has_its_own_client(
    how: str, kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack, tmp_path: Path
) -> None:
    topic = make_topic(1)
    program = tmp_path / "program.py"
    program.write_text(STARTED_ANEW)
    command = [sys.executable, str(program), kafka_cluster.bootstrap_servers, topic, how]
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, capture_output=True, text=True, timeout=280, check=False))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [read.value for read in read_back(topic)] == [b"child", b"parent"]
