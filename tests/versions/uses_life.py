"""Uses of a producer in a process that forks and ends, with a quota, and with a broker that dies."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from random import Random

from klife import Record
from tests.support import SUPPORT
from tests.support.waiting import wait_until
from tests.versions.uses_topics import Load
from tests.versions.world import WAIT_SECONDS, World, equal, in_order, in_the_log_once, in_thread, new_name

FORKING = SUPPORT / "forking.py"
QUOTA = 40_000
THROTTLED_BYTES = 6 * QUOTA


def stopping(world: World) -> None:
    """`stop` delivers what is queued"""
    topic, told = world.topic(3), []
    with world.client(linger_ms=20_000) as client:
        for number in range(2_000):
            client.produce_async(Record(topic, b"a:%d" % number, b"%d" % (number % 5)), told.append)
        report = client.stop(WAIT_SECONDS)
    equal((report.delivered, report.undelivered), (2_000, 0), "what stop reports")
    found = world.read(topic, 2_000)
    in_the_log_once(told, found)
    in_order(found)


def fork(world: World) -> None:
    """A fork with records in flight: the parent's arrive once, the child has a client of its own"""
    topic = world.topic(6)
    command = [sys.executable, str(FORKING), world.servers, topic, "main"]
    ended = in_thread(lambda: subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False))
    assert ended.returncode == 0, ended.stderr
    said = {line["who"]: line for line in map(json.loads, ended.stdout.splitlines())}
    equal(said["parent"]["outcomes"], {"delivered": 500}, "what the parent waited for")
    equal(said["child"]["produced"], 50, "what the child produced")
    equal(said["child"]["inherited_sockets"], 0, "sockets of the parent's in the child")
    expected = [b"parent %d" % number for number in range(1_000)] + [b"child %d" % number for number in range(50)]
    equal(sorted(read.value or b"" for read in world.read(topic, 1_050)), sorted(expected), "the log")


def throttled(world: World) -> None:
    """A quota: answers come later than the request timeout, and nothing is written again"""
    random = Random(14)
    for name, options in {"versions-plain": {"acks": 1}, "versions-safe": {}}.items():
        world.limit(name, QUOTA)
        topic = new_name()
        world.placed_topic(topic, [1] * 5)  # without idempotence a partition has one request in flight
        with world.client() as client:  # a broker refuses for a moment to lead what was just made
            first = [client.produce(Record(topic, b"b:%d" % number, partition=number)) for number in range(5)]
            results = [delivery.get(WAIT_SECONDS) for delivery in first]
        settings = {"client_id": name, "batch_size_bytes": 1_000, "max_in_flight_requests": 5, "request_timeout_ms": 1_000}
        with world.client(**settings, **options) as client:
            began = time.monotonic()
            size = THROTTLED_BYTES // 25
            deliveries = [
                client.produce(Record(topic, b"a:%d:" % number + random.randbytes(size), partition=number % 5)) for number in range(25)
            ]
            results += [delivery.get(WAIT_SECONDS) for delivery in deliveries]
            took = time.monotonic() - began
            retries = client.status().producers[0].retries
        found = world.read(topic, len(results))
        in_the_log_once(results, found)
        in_order(found)
        equal(retries, 0, f"batches of {name} that were sent again")
        assert took > 1, f"the quota of {name} held nobody up: {took:.1f} s"


def killed_broker(world: World) -> None:
    """A broker is killed under load, and started again: nothing lost, doubled or out of order"""
    topic = world.topic(6)
    with world.client() as client:
        load = Load(client, topic)
        world.cluster.kill(2)
        wait_until(lambda: all(each.leader not in (None, 2) for each in world.cluster.describe_topic(topic)))
        load.wait_for_more()
        world.cluster.start(2)
        load.wait_for_more()
        results = load.end()
    found = world.read(topic, len(results))
    in_the_log_once(results, found)
    in_order(found)


USES = [stopping, fork, throttled, killed_broker]
