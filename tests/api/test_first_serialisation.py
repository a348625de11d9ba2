"""The first use of a serializer, which may look a schema up: one caller's, beside the hub, and forgotten in a child."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub

from klife import Client, Record, SerializationError, TopicConfig
from klife.testing.fake import FakeCluster
from tests.support import ROOT

PATIENCE = 60.0


class LooksUp:
    """A serializer that looks something up when it is used first, by what blocks a thread, until it is `answered`."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answered = threading.Event()
        self.look_ups: list[int] = []
        self.known = False
        self.fails = False

    def __call__(self, value: Any) -> bytes:
        if not self.known:
            self.look_ups.append(threading.get_ident())
            self.asked.set()
            assert self.answered.wait(PATIENCE)
            if self.fails:
                raise OSError("no registry")
            self.known = True
        return b"%d" % value


@pytest.fixture
def kafka() -> Iterator[FakeCluster]:
    with FakeCluster(topics={"orders": 1}) as kafka:
        yield kafka


@pytest.fixture
def start(kafka: FakeCluster) -> Iterator[Callable[..., Client]]:
    clients = []

    def start(serializer: Any, **options: Any) -> Client:
        topics = [TopicConfig(name="orders", value_serializer=serializer)]
        clients.append(Client.start(kafka.bootstrap_servers, topics=topics, **options))
        return clients[-1]

    yield start
    for client in clients:
        client.stop(1.0)


def wait_for(event: threading.Event) -> None:
    with gevent.Timeout(PATIENCE):
        while not event.is_set():
            gevent.sleep(0.001)  # the hub runs


def produce(client: Client, number: int) -> Any:
    return client.produce(Record("orders", number)).get(PATIENCE).value


def test_it_is_one_look_up_for_many_and_the_hub_goes_on(start: Any) -> None:
    serializer = LooksUp()
    client = start(serializer)
    callers = [gevent.spawn(produce, client, number) for number in range(50)]
    callers += [gevent.spawn(lambda: client.produce_batch([Record("orders", 50)]).get(PATIENCE)[0].value)]
    callers += [gevent.spawn(get_hub().threadpool.apply, produce, (client, 51))]
    callers += [gevent.spawn(produce, Client.get(client.name), 52)]
    wait_for(serializer.asked)
    gevent.sleep(0.01)  # greenlets run while a thread waits
    serializer.answered.set()
    assert [caller.get(timeout=PATIENCE) for caller in callers] == [b"%d" % number for number in range(53)]
    assert len(serializer.look_ups) == 1
    assert serializer.look_ups[0] != threading.get_ident()


def test_threads_too_wait_for_one_of_them(start: Any) -> None:
    serializer = LooksUp()
    client = start(serializer, run_in="thread")
    got: list[bytes] = []
    threads = [threading.Thread(target=lambda number=number: got.append(produce(client, number))) for number in range(8)]
    for thread in threads:
        thread.start()
    assert serializer.asked.wait(PATIENCE)
    serializer.answered.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(got) == [b"%d" % number for number in range(8)]
    assert len(serializer.look_ups) == 1
    assert serializer.look_ups[0] in {thread.ident for thread in threads}


def test_where_it_fails_the_next_caller_s_is_the_first(start: Any) -> None:
    serializer = LooksUp()
    serializer.fails = True
    client = start(serializer)
    callers = [gevent.spawn(produce, client, number) for number in range(3)]
    wait_for(serializer.asked)
    serializer.answered.set()
    for caller in callers:
        with pytest.raises(SerializationError, match="raised OSError"):
            caller.get(timeout=PATIENCE)
    assert len(serializer.look_ups) == 3
    serializer.fails = False
    assert produce(client, 7) == b"7"


def test_a_value_at_fault_is_its_caller_s_alone(start: Any) -> None:
    client = start(lambda value: b"%d" % value)
    callers = [gevent.spawn(produce, client, value) for value in ("seven", 8, 9)]
    gevent.joinall(callers, timeout=PATIENCE)
    assert [type(caller.exception) for caller in callers] == [SerializationError, type(None), type(None)]


def test_who_leaves_does_not_end_it_for_the_others(start: Any) -> None:
    serializer = LooksUp()
    client = start(serializer)
    first = gevent.spawn(produce, client, 1)
    wait_for(serializer.asked)
    second = gevent.spawn(produce, client, 2)
    gevent.sleep(0)
    first.kill()
    serializer.answered.set()
    assert second.get(timeout=PATIENCE) == b"2"
    assert len(serializer.look_ups) == 1


def test_it_is_waited_for_as_long_as_produce_may_wait(kafka: FakeCluster, start: Any) -> None:
    serializer = LooksUp()
    client = start(serializer, max_block_ms=100)
    for _ in range(2):
        with pytest.raises(SerializationError, match="were not through within max_block_ms") as told:
            client.produce(Record("orders", 1))
        assert (told.value.topic, told.value.field, told.value.retriable) == ("orders", "value", True)
    assert len(serializer.look_ups) == 1  # and holds no more than one thread
    serializer.answered.set()
    with gevent.Timeout(PATIENCE):
        while not serializer.known:
            gevent.sleep(0.001)
    assert produce(client, 3) == b"3"
    assert [record.value for record in kafka.records("orders")] == [b"3"]


def test_a_serializer_may_produce_to_its_own_topic(kafka: FakeCluster, start: Any) -> None:
    def telling(value: int) -> bytes:
        if value == 1:
            produce(clients[0], 2)
        return b"%d" % value

    clients = [start(telling)]
    assert produce(clients[0], 1) == b"1"
    assert [record.value for record in kafka.records("orders")] == [b"2", b"1"]


def test_in_the_hub_nobody_waits_for_it(kafka: FakeCluster, start: Any) -> None:
    client = start(lambda value: b"%d" % value)
    client.partitions("orders")
    raised: list[Any] = []

    def produce_in_hub() -> None:
        try:
            client.produce_async(Record("orders", 1))
        except BaseException as error:
            raised.append(error)

    get_hub().loop.run_callback(produce_in_hub)
    gevent.sleep(0)
    client.flush(PATIENCE)
    assert len(kafka.records("orders")) + len(raised) == 1


PRELUDE = f"""
import os, sys, threading
sys.path.insert(0, {str(ROOT)!r})
import gevent
from klife import Client, Record, TopicConfig
from tests.api.test_first_serialisation import LooksUp, wait_for

serializer = LooksUp()
topics = [TopicConfig(name="orders", value_serializer=serializer)]
def produce(number): return client.produce(Record("orders", number)).get(60).value
"""


def run(program: str, kafka: FakeCluster, before: str = "") -> str:
    text = before + PRELUDE + textwrap.dedent(program)
    environ = {**os.environ, "SERVERS": kafka.bootstrap_servers}
    ended: Any = get_hub().threadpool.apply(
        lambda: subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=280, check=False, env=environ)
    )
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout)


@pytest.mark.parametrize("run_in", ["home", "thread"])
def test_in_a_forked_child_that_of_the_parent_is_forgotten(kafka: FakeCluster, run_in: str) -> None:
    told = run(
        f"""
        client = Client.start(os.environ["SERVERS"], topics=topics, max_block_ms=60_000, run_in={run_in!r})
        client.wait_ready()
        if {run_in!r} == "home":
            caller = gevent.spawn(produce, 1)
            wait_for(serializer.asked)
        else:
            caller = threading.Thread(target=produce, args=(1,))
            caller.start()
            serializer.asked.wait(60)
        pid = os.fork()
        if pid == 0:
            serializer.answered = threading.Event()  # the parent's thread may hold the old one's lock
            serializer.answered.set()
            print(produce(2), len(serializer.look_ups), flush=True)
            client.stop()
            os._exit(0)
        os.waitpid(pid, 0)
        serializer.answered.set()
        caller.join()
        print(produce(3), len(serializer.look_ups))
        client.stop()
        """,
        kafka,
    )
    assert told == "b'2' 2\nb'3' 1\n"
    assert sorted(record.value or b"" for record in kafka.records("orders")) == [b"1", b"2", b"3"]


def test_where_sockets_are_patched_it_is_in_its_caller_s_greenlet(kafka: FakeCluster) -> None:
    told = run(
        """
        client = Client.start(os.environ["SERVERS"], topics=topics)
        callers = [gevent.spawn(produce, number) for number in range(20)]
        wait_for(serializer.asked)
        serializer.answered.set()
        print(sorted(caller.get(timeout=60) for caller in callers) == sorted(b"%d" % number for number in range(20)))
        print(serializer.look_ups == [id(callers[0])])
        client.stop()
        """,
        kafka,
        before="from gevent import monkey; monkey.patch_all()\n",
    )
    assert told == "True\nTrue\n"
