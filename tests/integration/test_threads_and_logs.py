"""Threads that come and go or stand still, and logs that are written to Kafka, on the real cluster."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
import structlog
from gevent import get_hub

from klife import Record
from klife.testing.cluster import KafkaCluster
from klife_supervision.logs import flush, get_logger
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient

PATIENCE = 30.0

PRELUDE = """
import sys, threading, time
import gevent
from klife import Client, ProduceError, Record
servers, topic = sys.argv[1:]

def in_thread(function, *args):
    answer = []
    thread = threading.Thread(target=lambda: answer.append(function(*args)))
    thread.start()
    thread.join(60)
    return answer[0]
"""


@pytest.fixture
def run(kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack) -> Callable[..., tuple[str, list[bytes | None]]]:
    """What a program on the cluster prints, and the values of the topic it got."""

    def in_process(program: str, *, patched: bool = False) -> tuple[str, list[bytes | None]]:
        topic = make_topic(1)
        text = "from gevent import monkey; monkey.patch_all()\n" * patched + PRELUDE + textwrap.dedent(program)
        done = get_hub().threadpool.apply(
            lambda: subprocess.run(
                [sys.executable, "-c", text, kafka_cluster.bootstrap_servers, topic],
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, [each.value for each in read_back(topic)]

    return in_process


@pytest.mark.parametrize("patched", [False, True])
def test_each_request_in_a_thread_of_its_own(run: Any, patched: bool) -> None:
    told, values = run(
        """
        client = None
        def request(number):
            global client
            if client is None:
                client = Client.start(servers, name="shop")
            return client.produce(Record(topic, b"%d" % number)).get(30).offset
        print([in_thread(request, number) for number in range(5)])
        in_thread(lambda: client.stop(10))
        """,
        patched=patched,
    )
    assert told == "[0, 1, 2, 3, 4]\n"
    assert values == [b"0", b"1", b"2", b"3", b"4"]


def test_a_thread_that_waits_while_the_home_stands_still_and_an_answer_that_lies_in_the_socket_meanwhile(run: Any) -> None:
    told, values = run(
        """
        client = Client.start(servers)
        client.wait_ready(30)
        client.produce(Record(topic, b"0")).get(30)
        for number in range(1, 100):
            sent = client.produce(Record(topic, b"%d" % number))
            gevent.idle(); gevent.idle()  # it has left
            if not sent.done():
                break  # and is not answered before this thread stands still
        unsent = client.produce(Record(topic, b"%d" % (number + 1)))
        def fate(delivery):
            try:
                return delivery.get()
            except ProduceError as error:
                return error.possibly_persisted, "has not run for" in str(error)
        print(in_thread(fate, sent), in_thread(fate, unsent))
        print(sent.get(30).offset == number, unsent.get(30).offset > number)
        client.stop(10)
        """
    )
    assert told == "(True, True) (True, True)\nTrue True\n"
    assert values == [b"%d" % number for number in range(len(values))]


@pytest.fixture
def log_lines_to() -> Iterator[Callable[[Callable[[str], object]], None]]:
    """Has structlog hand each event, as a line, to a function."""
    before = structlog.get_config()

    def configure(write: Callable[[str], object]) -> None:
        def process(_logger: object, _level: str, event: Any) -> Any:
            write(str(event["event"]))
            raise structlog.DropEvent

        structlog.configure(processors=[process], wrapper_class=structlog.BoundLogger)

    yield configure
    structlog.configure(**before)


def test_a_log_that_is_written_to_kafka_and_waited_for_keeps_up_while_connections_break(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack, log_lines_to: Any
) -> None:
    lines, orders = make_topic(1), make_topic(1)
    client = start_client()
    log_lines_to(lambda line: client.produce(Record(lines, line.encode())).get(PATIENCE))
    for number in range(3):
        client.produce(Record(orders, b"%d" % number)).get(PATIENCE)
        [connections] = [node for node in client.tree().children if node.id == "connections"]
        for connection in connections.children:
            connection.kill()
        gevent.sleep(0)
    assert client.produce(Record(orders, b"3")).get(PATIENCE).offset == 3
    get_logger("test").info("the last line")
    assert flush(PATIENCE)
    written = [each.value for each in read_back(lines)]
    assert {b"the last line", b"child exited", b"child started"} <= set(written)


@pytest.mark.parametrize("patched", [False, True])
def test_plain_threads_produce_in_order_through_a_client_with_a_thread_of_its_own(run: Any, patched: bool) -> None:
    told, values = run(
        """
        client = Client.start(servers, run_in="thread")
        def work(name):
            deliveries = [client.produce(Record(topic, b"%d %d" % (name, number))) for number in range(500)]
            return [delivery.get(60).error for delivery in deliveries]
        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join(60)
        print(client.stop(60))
        """,
        patched=patched,
    )
    assert told == "StopReport(delivered=4000, failed=0, undelivered=0)\n"
    each = [value.split() for value in values]
    for name in range(8):
        assert [int(number) for thread, number in each if int(thread) == name] == list(range(500))
