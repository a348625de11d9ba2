"""Forks with a thousand records in flight: the parent goes on as if nothing had happened, the child has a client of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gevent import get_hub
from on_cluster import MakeTopic, ReadBack

from klife.testing.cluster import KafkaCluster

PROGRAM = Path(__file__).with_name("forking.py")
RECORDS = 1000
OF_THE_CHILD = 50
MANNERS = ["main", "gevent", "greenlet patched", "thread", "multiprocessing", "supervised patched"]


@pytest.mark.parametrize("manner", MANNERS)
def test_a_fork_loses_and_doubles_nothing_and_the_child_produces(
    manner: str, kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    topic = make_topic(6)
    command = [sys.executable, str(PROGRAM), kafka_cluster.bootstrap_servers, topic, *manner.split()]
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, capture_output=True, text=True, timeout=100, check=False))
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
