"""Programs that are told to end while they end: what was accepted is delivered all the same, or its loss is
told.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from gevent import get_hub
from gevent.event import AsyncResult, Event

from klife import Client, Record
from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import ScriptedCluster, after, silent

# The signal's greenlet exits as a gunicorn worker's does: gevent raises that in the main greenlet, whatever
# it waits for.
PROGRAM = """
import signal, sys
import gevent
from klife import Client, Record

def exit_again():
    print("told to end", flush=True)
    sys.exit(9)

signal.signal(signal.SIGTERM, lambda *_: gevent.spawn(exit_again))
client = Client.start(sys.argv[1], name="shop", linger_ms=60_000, delivery_timeout_ms=90_000)
client.partitions("orders")
for number in range(100):
    client.produce_async(Record("orders", b"%d" % number))
"""
VALUES = [b"%d" % number for number in range(100)]


def end(cluster: ScriptedCluster, how: str, interfere: Callable[[subprocess.Popen[str]], object]) -> tuple[int, str]:
    """Run the program, which ends in this way; `interfere` when its records, which linger till then, are
    sent. Exit status, stderr.
    """
    in_thread = get_hub().threadpool.apply
    command = [sys.executable, "-c", PROGRAM + how, cluster.bootstrap_servers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            cluster[1].wait_for(ProduceRequest)
            interfere(process)
            _, errors = in_thread(process.communicate, (), {"timeout": 60})
        finally:
            process.kill()
    return process.returncode, errors


def terminate(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM, and wait until the program has been told."""
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert get_hub().threadpool.apply(process.stdout.readline) == "told to end\n"


def test_a_second_exit_does_not_cut_short_what_the_first_still_delivers() -> None:
    with ScriptedCluster() as cluster:
        held = Event()
        cluster[1].always(ProduceRequest, after(held))

        def twice(process: subprocess.Popen[str]) -> None:
            terminate(process)
            terminate(process)
            held.set()

        status, errors = end(cluster, "sys.exit(3)", twice)
        assert status == 3
        assert errors.splitlines() == [
            "klife: client 'shop' was not stopped before exit; 100 records were undelivered, and all is delivered now. "
            "Call client.stop() before the program ends."
        ]
        assert cluster.log("orders") == VALUES


def test_an_exit_that_ends_the_wait_of_stop_goes_on_with_it() -> None:
    with ScriptedCluster() as cluster:
        held = Event()
        cluster[1].always(ProduceRequest, after(held))

        def once(process: subprocess.Popen[str]) -> None:
            terminate(process)
            held.set()

        status, errors = end(cluster, "client.stop()", once)
        assert status == 9
        assert errors.splitlines() == [
            "klife: client 'shop' was still being stopped before exit; 100 records were undelivered, and all is delivered now."
        ]
        assert cluster.log("orders") == VALUES


def test_ctrl_c_while_the_exit_delivers_is_obeyed_and_the_loss_is_told() -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ProduceRequest, silent)
        _, errors = end(cluster, "sys.exit(3)", lambda process: process.send_signal(signal.SIGINT))
        assert "klife: client 'shop' was not stopped before exit; 100 records were undelivered, 0 could still be delivered" in errors
        assert "100 are LOST" in errors


def test_stop_in_the_hub_says_what_to_call_and_leaves_the_client_whole() -> None:
    with ScriptedCluster() as cluster:
        client = Client.start(cluster.bootstrap_servers)
        told = AsyncResult()

        def stop() -> None:
            try:
                told.set(client.stop())
            except RuntimeError as error:
                told.set(str(error))

        get_hub().loop.run_callback(stop)
        assert "gevent.signal_handler(signal.SIGTERM, client.stop)" in told.get(timeout=10)
        assert client.produce(Record("orders", b"after")).get(20).offset == 0
        assert client.stop().delivered == 1
