"""What a client knows of its brokers' health without asking them, and how soon it turns red, and green again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from klife import Client, InvalidRecordValue, Record
from klife.actors.health import last_answer, unreachable_since
from klife.protocol.apis.metadata import MetadataRequest
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, silent
from tests.support.waiting import wait_until

ORDER = Record("orders", b"v", partition=0)
SILENCE_MS = 300


def healthy(client: Client) -> Callable[[], bool]:
    return lambda: client.healthy(max_silence_ms=SILENCE_MS)


def test_it_is_red_until_the_first_answer_and_after_the_stop(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, silent)
        client = start_client(cluster)
        cluster[1].wait_for(MetadataRequest)
        assert (client.healthy(), client.status().state) == (False, "connecting")
        cluster[1].always(MetadataRequest, None)
        wait_until(client.healthy)
        assert client.status().state == "running"
        client.stop(PATIENCE)
        assert (client.healthy(), client.status().state) == (False, "closed")


def test_without_traffic_it_stays_green_as_long_as_the_brokers_answer_turns_red_and_green_again(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        wait_until(healthy(client))
        until = time.monotonic() + 3 * SILENCE_MS / 1000
        while time.monotonic() < until:
            assert client.healthy(max_silence_ms=PATIENCE * 1000)
            healthy(client)()
            gevent.sleep(0.01)
        cluster[1].stop()
        cluster[1].cut_all()
        went = time.time()
        wait_until(lambda: not healthy(client)())
        status = client.status()
        assert status.state == "unreachable"
        assert status.last_answer <= status.unreachable_since <= time.time()
        assert status.last_answer < went + 1
        cluster[1].listen()
        wait_until(healthy(client))  # the bootstrap address may be the first that answers
        wait_until(lambda: (client.status().state, client.status().unreachable_since) == ("running", None))


def test_a_broker_that_takes_everything_and_answers_nothing_is_no_health(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        wait_until(healthy(client))
        cluster[1].always(MetadataRequest, silent)
        wait_until(lambda: not healthy(client)())
        assert client.status().brokers[-1].state == "ready"


def test_brokers_that_can_not_be_reached_where_the_cluster_says_are_no_health(start_client: Any) -> None:
    """As where a balancer answers, and the listeners it tells of are behind a firewall."""

    def elsewhere(exchange: Exchange) -> None:
        answer = exchange.good_answer()
        answer.brokers[0].host = "127.0.0.2"
        exchange.send(answer)

    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, elsewhere)
        client = start_client(cluster)
        wait_until(lambda: client.status().cluster_id is not None)
        client.produce(ORDER)
        wait_until(lambda: client.status().state == "unreachable")
        wait_until(lambda: not healthy(client)())
        assert not any(healthy(client)() for _ in range(100))
        cluster[1].always(MetadataRequest, None)
        wait_until(healthy(client))
        assert client.status().state == "running"


def test_it_asks_nobody_where_brokers_have_just_answered(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        before = sum(broker.requests_sent for broker in client.status().brokers)
        assert all(client.healthy(max_silence_ms=PATIENCE * 1000) for _ in range(1000))
        gevent.sleep(0.05)
        assert sum(broker.requests_sent for broker in client.status().brokers) == before


def test_it_answers_another_thread_while_the_hub_does_not_run(start_client: Any) -> None:
    answers: list[bool] = []
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        wait_until(healthy(client))
        thread = threading.Thread(target=lambda: answers.append(client.healthy()))
        thread.start()
        thread.join(PATIENCE)  # not gevent's: the hub stands still
    assert answers == [True]


def test_status_tells_how_old_the_oldest_record_without_an_outcome_is(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        assert client.status().oldest_unsettled is None
        cluster[1].stop()
        before = time.time()
        client.produce(ORDER)
        gevent.sleep(0.01)
        client.produce(ORDER)
        assert client.status().oldest_unsettled == pytest.approx(before, abs=1)
        client.stop(0)
        assert client.status().oldest_unsettled is None


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "1000", None])
def test_a_silence_that_is_none_is_refused(start_client: Any, wrong: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        with pytest.raises(InvalidRecordValue, match="max_silence_ms"):
            client.healthy(max_silence_ms=wrong)


class Known:
    """As much of a `Broker` as health looks at."""

    def __init__(self, *, answered: float | None = None, failing: float | None = None, connected: bool = False, **other: Any) -> None:
        self.answered_at, self.failing_since, self.is_connected = answered, failing, connected
        self.node_id = other.get("node_id", 1)
        self.host, self.answers_anything = other.get("host", "kafka"), other.get("answers_anything", True)


@pytest.mark.parametrize(
    ("brokers", "since"),
    [
        ([], None),
        ([Known()], None),
        ([Known(failing=5)], 5),
        ([Known(failing=5), Known()], None),  # which was closed in peace, and nobody has tried it since
        ([Known(failing=5, answered=1), Known(failing=7, answered=6)], 6),
        ([Known(failing=5), Known(failing=7)], 5),
        ([Known(failing=5), Known(connected=True)], None),
        ([Known(failing=5), Known(answers_anything=False)], 5),  # what is only produced to is not asked for metadata
        ([Known(failing=5), Known(answers_anything=False, connected=True)], None),
        ([Known(failing=5), Known(host=None)], 5),
        ([Known(failing=5, node_id=-1)], 5),
        ([Known(failing=5), Known(connected=True, node_id=-1)], 5),  # a bootstrap address takes no records
        ([Known(connected=True), Known(failing=5, node_id=-1)], None),
    ],
)
def test_unreachable_is_when_all_were_tried_in_vain(brokers: Any, since: float | None) -> None:
    assert unreachable_since(brokers) == since
    assert last_answer(brokers) == max((each.answered_at for each in brokers if each.answered_at), default=None)
