"""Names that a resolver does not answer for: each has a thread at most, and an answer that is late is of use.

A resolver's call can not be called off, so a stand-in has it wait in a thread of the hub's pool, as gevent's own
does.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from threading import Event
from typing import Any

import gevent
import pytest
from gevent import get_hub, socket

from klife import Client
from klife.actors.network.look_up import looked_up
from klife.actors.runtime.thread_pool import call_in_thread
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.waiting import wait_until


class Resolver:
    """Answers nothing for a name until it is told to; for addresses at once."""

    def __init__(self) -> None:
        self.answers = Event()
        self.asked: Counter[str] = Counter()
        self.at_once = 0
        self.most_at_once = 0

    def getaddrinfo(self, host: str, port: int, *_more: Any) -> Any:
        if host.endswith(".test"):
            self.asked[host] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                get_hub().threadpool.apply(self.answers.wait, (PATIENCE * 4,))
            finally:
                self.at_once -= 1
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver.getaddrinfo)
    yield resolver
    resolver.answers.set()
    wait_until(lambda: resolver.at_once == 0, PATIENCE)


def start(*servers: str) -> Any:
    return Client.start(",".join(servers), connect_timeout_ms=20, reconnect_backoff_ms=1, reconnect_backoff_max_ms=5)


def attempts(client: Any) -> int:
    return sum(broker.connects for broker in client.status().brokers)


def test_a_name_that_is_not_looked_up_has_one_thread_however_often_it_is_tried(resolver: Resolver) -> None:
    with start("kafka-1.test:1", "kafka-2.test:1") as client:
        wait_until(lambda: attempts(client) >= 30, PATIENCE)
        assert resolver.asked == {"kafka-1.test": 1, "kafka-2.test": 1}


def test_however_many_names_are_not_looked_up_half_of_the_pool_is_the_programs(resolver: Resolver) -> None:
    with start(*(f"kafka-{number}.test:1" for number in range(30))) as client:
        wait_until(lambda: attempts(client) >= 60, PATIENCE)
        assert resolver.most_at_once == get_hub().threadpool.maxsize // 2
        with gevent.Timeout(PATIENCE):
            assert call_in_thread(len, "work") == 4


def test_an_address_waits_for_no_name(resolver: Resolver) -> None:
    with ScriptedCluster() as cluster:
        names = [f"kafka-{number}.test:1" for number in range(30)]
        with start(*names, f"127.0.0.1:{cluster[1].port}") as client:
            client.wait_ready(PATIENCE)
        assert resolver.at_once > 0


def test_an_answer_that_takes_longer_than_an_attempt_leads_to_the_broker(resolver: Resolver) -> None:
    with ScriptedCluster() as cluster, start(f"kafka.test:{cluster[1].port}") as client:
        wait_until(lambda: attempts(client) >= 3, PATIENCE)
        resolver.answers.set()
        client.wait_ready(PATIENCE)
        assert resolver.asked == {"kafka.test": 1}


def test_an_answer_that_nobody_waited_for_is_used_once(resolver: Resolver) -> None:
    assert looked_up("kafka.test", 1, 0.001) is None
    resolver.answers.set()
    wait_until(lambda: resolver.at_once == 0, PATIENCE)
    assert looked_up("kafka.test", 1, PATIENCE) == looked_up("kafka.test", 1, PATIENCE)
    assert resolver.asked == {"kafka.test": 2}


def test_a_look_up_that_fails_is_told_to_all_who_wait_and_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def failing(*arguments: Any) -> Any:
        asked.append(arguments)
        gevent.sleep(0)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    both = [gevent.spawn(looked_up, "kafka.test", 1, PATIENCE) for _ in range(2)]
    gevent.joinall(both)
    assert [str(each.exception) for each in both] == ["[Errno -3] Temporary failure in name resolution"] * 2
    assert len(asked) == 1
    with pytest.raises(socket.gaierror):
        looked_up("kafka.test", 1, PATIENCE)
    assert len(asked) == 2


def test_a_look_up_whose_greenlet_is_killed_keeps_nobody_waiting(resolver: Resolver) -> None:
    waiting = gevent.spawn(looked_up, "kafka.test", 1, PATIENCE)
    wait_until(lambda: resolver.asked["kafka.test"] == 1, PATIENCE)
    gevent.killall([each for each in gc.get_objects() if isinstance(each, gevent.Greenlet) and "_LookUps._run" in repr(each)])
    gevent.joinall([waiting])
    assert "was ended by GreenletExit" in str(waiting.exception)
