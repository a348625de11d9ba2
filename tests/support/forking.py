"""A program that forks with records in flight, for `test_forks`; `python forking.py SERVERS TOPIC HOW`.

The parent produces 1 000 records and forks while they are on their way, in one of several manners. Then both
wait for the parent's deliveries, and the child produces records of its own. What each of them saw is printed
as JSON, a line each. The client is given the options in CLIENT_OPTIONS, JSON, besides.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

if "patched" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

import gevent
import gevent.os
import gevent.socket

from klife import Client, ForkedDelivery, Record
from klife_supervision import Supervisor
from tests.support.sockets import socket_inodes

RECORDS = 1000
OF_THE_CHILD = 50
PATIENCE = 60.0

called: list[int] = []  # the processes in which callbacks of the parent's records ran
waited: list[int] = []  # the processes in which a greenlet of the parent's got all its outcomes


def outcomes(deliveries: list[Any]) -> dict[str, int]:
    count: dict[str, int] = {}
    for delivery in deliveries:
        try:
            assert delivery.get(PATIENCE).error is None
            outcome = "delivered"
        except ForkedDelivery:
            outcome = "forked"
        count[outcome] = count.get(outcome, 0) + 1
    return count


def wait_for_all(deliveries: list[Any]) -> None:
    """What the parent's greenlet does when it is forked; its copy must not get further."""
    with suppress(ForkedDelivery):
        for delivery in deliveries:
            delivery.get()
        waited.append(os.getpid())


def child(client: Client, topic: str, deliveries: list[Any], unsettled: list[int], brokers: set[str]) -> dict[str, Any]:
    mine = outcomes([deliveries[index] for index in unsettled])
    inherited = len(socket_inodes() & brokers)
    settled = outcomes([delivery for index, delivery in enumerate(deliveries) if index not in set(unsettled)])
    offsets = [client.produce(Record(topic, b"child %d" % number)).get(PATIENCE).offset for number in range(OF_THE_CHILD)]
    gevent.sleep(0.1)
    return {
        "who": "child",
        "inherited_sockets": inherited,
        "unsettled": mine,
        "settled": settled,
        "produced": len(offsets),
        "producer_id": client.status().producers[0].producer_id,
        "callbacks": called.count(os.getpid()),
        "waited": waited.count(os.getpid()),
        "report": client.stop().delivered,
    }


def clone() -> int:
    """Fork without Python, and without C's own `fork`, which may call what was registered for it."""
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    return ctypes.PyDLL(None).syscall(number, int(signal.SIGCHLD), 0, 0, 0, 0)


def daemon() -> int:
    """Fork twice, as what becomes a daemon does; the process between the two ends at once."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
    else:
        os.waitpid(pid, 0)
    return pid


FORKS: dict[str, Callable[[], int]] = {
    "gevent": gevent.os.fork,
    "c": lambda: ctypes.PyDLL(None).fork(),
    "clone": clone,
    "daemon": daemon,
}


def fork_here(fork: Callable[[], int], run: Callable[[], None], forked: Callable[[], object] = lambda: None) -> None:
    reading, writing = os.pipe()
    pid = fork()
    forked()
    if pid == 0:
        try:
            run()
            os.write(writing, b"well")
        finally:
            os._exit(0)
    os.close(writing)
    assert gevent.os.tp_read(reading, 4) == b"well"


def main(servers: str, topic: str, how: str, *_patched: str) -> None:
    options = {"bootstrap_servers": servers, "name": "orders", **json.loads(os.environ.get("CLIENT_OPTIONS", "{}"))}
    before = socket_inodes()
    if how == "supervised":
        Supervisor.start([Client.child_spec(options)], strategy="one_for_one", name="shop")
        client = Client.get("orders")
    else:
        client = Client.start(options)
    client.wait_ready(PATIENCE)
    client.partitions(topic)
    deliveries = []
    for number in range(RECORDS):
        if number % 2:
            client.produce_async(Record(topic, b"parent %d" % number), lambda _result: called.append(os.getpid()))
        else:
            deliveries.append(client.produce(Record(topic, b"parent %d" % number)))
    waiting = gevent.spawn(wait_for_all, deliveries)
    with gevent.Timeout(PATIENCE):
        while not any(broker.in_flight for broker in client.status().brokers):
            gevent.sleep(0)
    brokers = socket_inodes() - before
    unsettled = [index for index, delivery in enumerate(deliveries) if not delivery.done()]

    def run() -> None:
        sys.stdout.write(json.dumps(child(client, topic, deliveries, unsettled, brokers)) + "\n")
        sys.stdout.flush()

    if how == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=run)
        process.start()
        gevent.socket.wait_read(process.sentinel)
        process.join()
        assert process.exitcode == 0
    elif how == "thread":
        forked = threading.Event()
        threading.Thread(target=fork_here, args=(os.fork, run, forked.set)).start()
        forked.wait()  # a plain thread's wait: nothing is delivered meanwhile
    elif how == "greenlet":
        gevent.spawn(fork_here, os.fork, run).get()
    else:
        fork_here(FORKS.get(how, os.fork), run)

    waiting.get(timeout=PATIENCE)
    client.flush(PATIENCE)
    parent = {
        "who": "parent",
        "in_flight_at_the_fork": len(unsettled),
        "outcomes": outcomes(deliveries),
        "producer_id": client.status().producers[0].producer_id,
        "callbacks": called.count(os.getpid()),
        "connects": max(broker.connects for broker in client.status().brokers),
    }
    sys.stdout.write(json.dumps(parent) + "\n")
    client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
