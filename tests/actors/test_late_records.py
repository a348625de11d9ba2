"""Records that are produced at exit, behind klife's own exit function: in the log, or told."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

from gevent import get_hub

from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import ScriptedCluster, silent


def stderr_of(program: str, cluster: ScriptedCluster) -> str:
    """Run a program to its end, without an error; what it wrote to standard error."""
    command = [sys.executable, "-c", dedent(program), cluster.bootstrap_servers]
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False))
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_what_functions_produce_that_run_later_at_exit_is_delivered() -> None:
    with ScriptedCluster() as cluster:
        program = """
            import atexit, logging, sys, weakref

            def late(number):
                client.produce_async(Record("orders", b"async %d" % number), lambda result: called.append(result.value))
                client.produce(Record("orders", b"one %d" % number))
                client.produce_batch_async([Record("orders", b"many %d" % number)] * 2, lambda results: called.append(len(results)))

            def last():
                late(0)
                assert called == [b"async 1", 2, b"async 0", 2], called

            atexit.register(last)
            atexit.register(late, 1)
            from klife import Client, Record

            class Handler(logging.Handler):
                def close(self):
                    client.produce_async(Record("orders", b"from a handler"))

            class Thing:
                pass

            called = []
            logging.getLogger().addHandler(Handler())
            thing = Thing()
            weakref.finalize(thing, lambda: client.produce_async(Record("orders", b"from a finalizer")))
            client = Client.start(sys.argv[1], linger_ms=60_000, delivery_timeout_ms=90_000)
            client.produce(Record("orders", b"before"))
            client.flush()
            """
        assert stderr_of(program, cluster) == ""
        found = cluster.log("orders")
        late = [value for number in (1, 0) for value in (b"async %d" % number, b"one %d" % number, *[b"many %d" % number] * 2)]
        assert sorted(found) == sorted([b"before", b"from a handler", b"from a finalizer", *late])


def test_what_can_not_be_delivered_any_more_is_told() -> None:
    with ScriptedCluster() as cluster:
        program = """
            import atexit, sys
            atexit.register(lambda: client.produce_async(Record("orders", b"late")))
            from klife import Client, Record
            client = Client.start(sys.argv[1], name="shop")
            client.partitions("orders")
            """
        cluster[1].always(ProduceRequest, silent)
        errors = stderr_of(program, cluster)
        assert "klife: client 'shop' was used while the program ended; 1 is LOST (or possibly persisted" in errors


def test_a_destructor_that_produces_when_the_interpreter_is_torn_down_is_told() -> None:
    with ScriptedCluster() as cluster:
        program = """
            import sys
            from klife import Client, Record

            class Noisy:
                def __init__(self):
                    self.client, self.record = client, Record("orders", b"late")
                def __del__(self):
                    self.client.produce_async(self.record)

            client = Client.start(sys.argv[1])
            client.produce(Record("orders", b"before")).get()
            noisy = Noisy()
            """
        errors = stderr_of(program, cluster)
        assert "takes no more records: the interpreter is being torn down" in errors
        assert cluster.log("orders") == [b"before"]


def test_a_client_that_is_started_behind_klifes_exit_function_delivers_without_being_stopped() -> None:
    with ScriptedCluster() as cluster:
        program = """
            import atexit, sys

            def last():
                client = Client.start(sys.argv[1], linger_ms=60_000, delivery_timeout_ms=90_000)
                client.produce_async(Record("orders", b"from a client of the end"))

            atexit.register(last)
            from klife import Client, Record

            client = Client.start(sys.argv[1], linger_ms=60_000, delivery_timeout_ms=90_000)
            client.produce_async(Record("orders", b"before"))
            client.stop()
            """
        assert stderr_of(program, cluster) == ""
        assert cluster.log("orders") == [b"before", b"from a client of the end"]


def test_waiting_for_all_of_gevents_loop_returns_when_the_client_was_stopped() -> None:
    with ScriptedCluster() as cluster:
        program = """
            import sys
            import gevent
            from klife import Client, Record

            for wait in (lambda timeout: gevent.wait(timeout=timeout), lambda timeout: gevent.get_hub().join(timeout=timeout)):
                client = Client.start(sys.argv[1])
                client.produce(Record("orders", b"v")).get()
                assert not wait(0.2), "the client is connected"
                stopping = gevent.spawn_later(0.1, client.stop)
                assert wait(30), "the client was stopped"
                assert stopping.value.delivered == 1
            """
        assert stderr_of(program, cluster) == ""
        assert cluster.log("orders") == [b"v", b"v"]
