"""examples/locust_load: what Locust counts is what is in the topic."""

from __future__ import annotations

import re
from pathlib import Path

from klife.testing.fake import FakeCluster
from tests.support.example import PATIENCE, running, told
from tests.support.waiting import wait_until

NAME = "locust_load"
USERS, REFUSED, RECORDS = 100, 3, 1000


def test_locust_counts_what_is_in_the_topic_and_what_was_refused(tmp_path: Path) -> None:
    # Of the same options the last counts.
    command = [*told(NAME, "locust --headless"), "--users", str(USERS), "--run-time", "10m"]
    with FakeCluster(topics={"orders": 6}) as kafka:
        kafka.fail_next("TOPIC_AUTHORIZATION_FAILED", topic="orders", times=REFUSED)  # batches
        with running(NAME, command, kafka.bootstrap_servers, tmp_path) as load:
            wait_until(lambda: len(kafka.records("orders")) > RECORDS, PATIENCE)
            assert load.terminate() == 1, load.log  # as Locust ends where something failed
        *_, (told_requests, told_failures) = re.findall(r"^Kafka +orders +(\d+) +(\d+)\(", load.log, re.MULTILINE)
        requests, failures = int(told_requests), int(told_failures)
        [counts] = re.findall(r"StopReport\(delivered=(\d+), failed=(\d+), undelivered=0\)", load.log)
        delivered, failed = map(int, counts)

        assert len(kafka.records("orders")) == delivered
        assert failures == failed >= REFUSED
        assert 0 <= delivered + failed - requests <= USERS  # those that Locust stopped while they waited
        assert requests - failures >= RECORDS - USERS
        assert re.search(r"\d+ +Kafka orders: ProduceError\('.* TOPIC_AUTHORIZATION_FAILED", load.log), load.log
