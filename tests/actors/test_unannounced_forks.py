"""Forks that nobody announces, as uWSGI's in C: whatever the child does first, it notices, and has a client
of its own.

Each program runs in a process of its own, against brokers in this one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from textwrap import dedent
from time import sleep

import pytest
from gevent import get_hub
from gevent.event import Event

from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import ScriptedCluster, after

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clone is Linux's")

_PRELUDE = """
import ctypes, os, signal, sys
import gevent
from klife import Client, ClientClosed, ForkedDelivery, Record

SERVERS, HOW = sys.argv[1:]
libc = ctypes.PyDLL(None)  # does not let go of the GIL
SYS_CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]


def fork():
    return libc.fork() if HOW == "fork" else libc.syscall(SYS_CLONE, int(signal.SIGCHLD), 0, 0, 0, 0)


def produce(client, text):
    return client.produce(Record("orders", text)).get(20).offset


def in_child(function):
    if fork() == 0:
        try:
            function()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    pid, status = os.wait()
    assert status == 0, os.waitstatus_to_exitcode(status)

"""


def run(program: str, cluster: ScriptedCluster, how: str = "fork") -> str:
    """Run it to its end; what it wrote to standard error."""
    command = [sys.executable, "-c", _PRELUDE + dedent(program), cluster.bootstrap_servers, how]
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False))
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def connections_of(cluster: ScriptedCluster) -> dict[bytes | None, int]:
    """For each value that was sent, the connection it came over."""
    return {
        record.value: exchange.connection
        for exchange in cluster[1].got(ProduceRequest)
        for _, _, batch in exchange.batches
        for record in batch.records
    }


USES = {
    "produce": "produce(client, b'child')",
    "async": "client.produce_async(Record('orders', b'child')); client.flush(20)",
    "batch": "client.produce_batch([Record('orders', b'child')]).get(20)",
    "flush": "client.flush(20); produce(client, b'child')",
    "wait_ready": "client.wait_ready(20); produce(client, b'child')",
    "status": "client.status(); produce(client, b'child')",
    "get": "produce(Client.get('shop'), b'child')",
    "start": "client = Client.start(SERVERS, name='shop'); produce(client, b'child')",
    "hub": "gevent.sleep(0.2); produce(client, b'child')",
    "stop": "client.stop(); produce(Client.start(SERVERS, name='shop'), b'child')",
    "twice": "in_child(lambda: produce(client, b'child')); assert client.status().producers[0].delivered == 0",
}


@pytest.mark.parametrize("how", ["fork", "clone"])
@pytest.mark.parametrize("use", USES)
def test_a_child_has_a_client_of_its_own_whatever_it_does_first(use: str, how: str) -> None:
    with ScriptedCluster() as cluster:
        program = f"""
            client = Client.start(SERVERS, name="shop")
            produce(client, b"before")

            def child():
                global client
                {USES[use]}

            in_child(child)
            produce(client, b"after")
            assert client.status().brokers[-1].connects == 1
            client.stop()
            """
        assert run(program, cluster, how) == ""
        assert cluster.log("orders") == [b"before", b"child", b"after"]
        over = connections_of(cluster)
        assert over[b"before"] == over[b"after"] != over[b"child"]


def test_what_the_parent_has_on_its_way_stays_its_own() -> None:
    with ScriptedCluster() as cluster:
        program = """
            called = []
            client = Client.start(SERVERS, linger_ms=60_000, delivery_timeout_ms=90_000)
            client.partitions("orders")
            deliveries = [client.produce(Record("orders", b"%d" % number)) for number in range(10)]
            client.produce_async(Record("orders", b"10"), lambda _result: called.append(os.getpid()))

            def child():
                for wait in (deliveries[0].get, lambda: deliveries[1].add_done_callback(print)):
                    try:
                        wait()
                    except ForkedDelivery:
                        pass
                    else:
                        sys.exit(3)
                client.flush(20)
                gevent.sleep(0.1)
                assert not called

            in_child(child)
            if fork() == 0:
                sys.exit(0)  # with all that a program does at its end
            assert os.wait()[1] == 0
            client.stop()
            assert called == [os.getpid()]
            """
        assert run(program, cluster) == ""
        assert cluster.log("orders") == [b"%d" % number for number in range(11)]


def test_a_fork_in_a_callback_calls_the_others_in_the_parent_only() -> None:
    with ScriptedCluster() as cluster:
        program = """
            called = []

            def callback(_result):
                called.append(os.getpid())
                if len(called) == 1 and fork() == 0:
                    gevent.spawn_later(0.3, lambda: os._exit(len(called)))

            client = Client.start(SERVERS)
            client.partitions("orders")
            for number in range(10):
                client.produce_async(Record("orders", b"%d" % number), callback)
            with gevent.Timeout(20):
                while len(called) < 10:
                    gevent.sleep(0.01)
            assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
            assert called == [os.getpid()] * 10
            client.stop()
            """
        assert run(program, cluster) == ""


def test_a_child_that_only_runs_its_hub_reads_nothing_of_its_parents() -> None:
    with ScriptedCluster() as cluster:
        held = Event()
        cluster[1].always(ProduceRequest, after(held))
        program = """
            client = Client.start(SERVERS, request_timeout_ms=60_000, delivery_timeout_ms=90_000)
            client.partitions("orders")
            delivery = client.produce(Record("orders", b"0"))
            with gevent.Timeout(20):
                while client.status().brokers[-1].in_flight != 1:
                    gevent.sleep(0.01)
            if fork() == 0:
                gevent.sleep(60)
            print("forked", flush=True)
            sys.stdin.readline()  # the answer is there, and the child alone has a hub that runs
            gevent.sleep(0.5)
            assert delivery.get(20).offset == 0
            assert client.status().brokers[-1].connects == 1
            client.stop()
            """
        command = [sys.executable, "-c", _PRELUDE + dedent(program), cluster.bootstrap_servers, "fork"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0)
        try:
            in_thread = get_hub().threadpool.apply
            assert process.stdout is not None
            assert process.stdin is not None
            assert in_thread(process.stdout.readline) == "forked\n"
            cluster[1].wait_for(ProduceRequest)
            held.set()
            in_thread(sleep, (1,))
            process.stdin.write("\n")
            process.stdin.flush()
            assert in_thread(process.wait, (), {"timeout": 60}) == 0
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the child is in its group
            process.communicate()
