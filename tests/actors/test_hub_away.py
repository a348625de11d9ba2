"""The hub of the client's thread does not run for a while, as at a prompt or in a blocking call, and the
brokers answer meanwhile.

They live in another process: in ours they would not answer either.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from klife import Client, Record
from tests.support import ROOT
from tests.support.inside_client import broker_status
from tests.support.scripted_broker import PATIENCE
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")
AWAY = 1.5  # seconds, in which timeouts of half a second pass

BROKER = """
import sys
import gevent
from tests.support.scripted_broker import ScriptedCluster, silent
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.produce import ProduceRequest

def slow(exchange):
    gevent.sleep(0.2)
    exchange.send(exchange.good_answer())

with ScriptedCluster() as cluster:
    if sys.argv[1] == "silent":
        cluster[1].always(ProduceRequest, silent)
    else:
        cluster[1].always(ProduceRequest, slow)
        cluster[1].always(ApiVersionsRequest, slow)
    print(cluster.bootstrap_servers, flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.read)
"""


@pytest.fixture
def broker() -> Iterator[Any]:
    """Starts a broker in a process of its own, "slow" or "silent", and returns its address."""
    processes = []

    def start(how: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-c", BROKER, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield start
    for process in processes:
        process.communicate("")


def hold_the_hub() -> None:
    time.sleep(AWAY)


def start(address: str, **options: Any) -> Client:
    options = {"request_timeout_ms": 500, "connect_timeout_ms": 500, "reconnect_backoff_ms": 5, **options}
    return Client.start(address, **options)


def test_an_answer_that_has_arrived_is_read_before_its_deadline_counts_as_passed(broker: Any) -> None:
    with start(broker("slow")) as client, told_logs() as logs:
        client.produce(ORDER).get(PATIENCE)
        delivery = client.produce(ORDER)
        wait_until(lambda: broker_status(client, 1).in_flight == 1)
        hold_the_hub()
        assert delivery.get(PATIENCE).offset == 1
        assert not [event for event in logs if event["event"] == "connection_failed"]
        assert client.status().producers[0].requests == 2


def test_a_handshake_that_was_answered_meanwhile_is_no_failure(broker: Any) -> None:
    with told_logs() as logs, start(broker("slow")) as client:
        wait_until(lambda: broker_status(client, None).state == "negotiating")
        hold_the_hub()
        client.wait_ready(PATIENCE)
        assert not [event for event in logs if event["event"] == "connection_failed"]


def test_a_connect_that_succeeded_meanwhile_is_no_failure(broker: Any) -> None:
    with told_logs() as logs, start(broker("slow")) as client:
        wait_until(lambda: broker_status(client, None).state == "connecting")
        hold_the_hub()
        client.wait_ready(PATIENCE)
        assert not [event for event in logs if event["event"] == "connection_failed"]


def test_a_request_that_was_not_answered_tells_how_long_the_hub_did_not_run(broker: Any) -> None:
    with start(broker("silent"), delivery_timeout_ms=20_000) as client, told_logs() as logs:
        client.wait_ready(PATIENCE)
        client.produce(ORDER)
        wait_until(lambda: broker_status(client, 1) is not None and broker_status(client, 1).in_flight == 1)
        hold_the_hub()
        wait_until(lambda: any(event["event"] == "connection_failed" for event in logs))
        [reason] = [event["reason"] for event in logs if event["event"] == "connection_failed"][:1]
        assert "was not answered in time; the hub of thread 'MainThread' has not run for 1." in reason
        client.stop(0)


def test_not_ready_tells_how_long_the_hub_did_not_run(broker: Any) -> None:
    from klife import NotReady

    with start("127.0.0.1:1") as client:
        gevent.spawn_later(0.05, hold_the_hub)
        with pytest.raises(NotReady, match=r"the hub of thread 'MainThread' has not run for 1\.\d s; use run_in=\"thread\""):
            client.wait_ready(0.3)
