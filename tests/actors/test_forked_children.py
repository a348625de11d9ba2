"""What becomes of a client in a forked child. Each program runs in a process of its own, against brokers in
this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from gevent import get_hub

from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import ScriptedCluster, silent
from tests.support.scripted_coordinator import ScriptedCoordinator

PROGRAM_SECONDS = 120  # two or three on a quiet machine

_PRELUDE = """
import os, sys
import gevent
from klife import Client, ClientClosed, ConfigError, ForkedDelivery, Record
from klife_supervision import Supervisor

SERVERS = sys.argv[1]


def produce(client, text):
    return client.produce(Record("orders", text)).get(20).offset


def in_child(function):
    '''Call function in a forked child, which ends as a program does, and wait for its exit code.'''
    if os.fork() == 0:
        function()
        sys.exit(0)
    pid, status = os.wait()
    assert status == 0, os.waitstatus_to_exitcode(status)

"""


def run(program: str, cluster: ScriptedCluster, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PRELUDE + dedent(program), cluster.bootstrap_servers]
    ended: subprocess.CompletedProcess[str] = get_hub().threadpool.apply(
        lambda: subprocess.run(
            command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False, env={**os.environ, **environment}
        )
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def quiet(program: str, cluster: ScriptedCluster, **environment: str) -> None:
    assert run(program, cluster, **environment).stderr == ""


def test_a_child_that_never_uses_the_client_starts_none_and_stops_none() -> None:
    with ScriptedCluster() as cluster:
        quiet(
            """
            client = Client.start(SERVERS, name="web")
            produce(client, b"before")
            in_child(lambda: gevent.sleep(0.2))
            in_child(lambda: client.stop())
            assert client.status().brokers[-1].connects == 1
            produce(client, b"after")
            client.stop()
            """,
            cluster,
        )
        assert cluster.log("orders") == [b"before", b"after"]
        assert len({exchange.connection for exchange in cluster[1].got(ProduceRequest)}) == 1


def test_a_child_forked_while_the_parent_looks_a_broker_up_does_not_connect_in_its_place() -> None:
    with ScriptedCluster() as cluster:
        quiet(
            """
            from gevent import socket
            from gevent.event import Event

            looking, look_up = Event(), socket.getaddrinfo

            def slow(*arguments):
                found = look_up(*arguments)
                looking.set()
                gevent.sleep(0.1)
                return found

            socket.getaddrinfo = slow
            client = Client.start(SERVERS, name="web")
            looking.wait()
            in_child(lambda: gevent.sleep(0.5))
            os._exit(0)  # the parent's hub has not run since
            """,
            cluster,
        )
        assert cluster[1].connections == 0


def test_a_stop_in_the_child_is_the_childs_and_final_there() -> None:
    with ScriptedCluster() as cluster:
        quiet(
            """
            client = Client.start(SERVERS)

            def child():
                produce(client, b"child")
                assert client.stop().delivered == 1
                assert client.status().state == "closed"
                for use in (client.flush, lambda: produce(client, b"x")):
                    try:
                        use()
                    except ClientClosed as error:
                        assert "it was stopped" in str(error), error
                    else:
                        sys.exit(3)

            def unused_child():
                report = client.stop()
                assert (report.delivered, report.failed, report.undelivered) == (0, 0, 0)
                try:
                    produce(client, b"x")
                except ClientClosed as error:
                    assert "stopped in this process" in str(error), error
                else:
                    sys.exit(3)

            in_child(child)
            in_child(unused_child)
            produce(client, b"parent")
            assert client.stop().delivered == 1
            """,
            cluster,
        )
        assert sorted(cluster.log("orders")) == [b"child", b"parent"]


def test_with_on_fork_raise_every_use_in_the_child_says_so() -> None:
    with ScriptedCluster() as cluster:
        quiet(
            """
            client = Client.start(SERVERS, name="web", on_fork="raise")
            produce(client, b"parent")

            def child():
                uses = [
                    lambda: client.produce(Record("orders", b"x")),
                    lambda: client.produce_async(Record("orders", b"x")),
                    lambda: client.produce_batch([Record("orders", b"x")]),
                    lambda: client.flush(),
                    lambda: client.wait_ready(1),
                    lambda: client.partitions("orders"),
                    lambda: client.status(),
                    lambda: client.tree(),
                    lambda: Client.get("web"),
                ]
                for use in uses:
                    try:
                        use()
                    except ClientClosed as error:
                        assert 'forked from, and its on_fork is "raise"' in str(error), error
                    else:
                        sys.exit(3)
                client.stop()
                with Client.start(SERVERS, name="web") as own:
                    produce(own, b"child")

            in_child(child)
            client.stop()
            """,
            cluster,
        )
        assert cluster.log("orders") == [b"parent", b"child"]


def test_a_child_may_start_a_client_of_that_name_and_grandchildren_have_their_own() -> None:
    with ScriptedCluster() as cluster:
        quiet(
            """
            client = Client.start(SERVERS, name="web")
            produce(client, b"parent")
            ids = [client.status().producers[0].producer_id]

            def grandchild():
                produce(Client.get("web"), b"grandchild")
                assert client.status().producers[0].producer_id not in ids

            def child():
                produce(client, b"child")
                ids.append(client.status().producers[0].producer_id)
                in_child(grandchild)
                assert len(set(ids)) == 2
                produce(client, b"child")

            def other_child():
                own = Client.start(SERVERS, name="web", linger_ms=1)
                produce(own, b"own")
                produce(client, b"own")
                assert own.stop().delivered == 2

            in_child(child)
            in_child(other_child)
            client.stop()
            """,
            cluster,
        )
        assert cluster.log("orders") == [b"parent", b"child", b"grandchild", b"child", b"own", b"own"]


def test_the_copy_of_a_users_supervisor_stops_the_childs_client_and_can_have_it_back() -> None:
    with ScriptedCluster() as cluster:
        said = run(
            """
            supervisor = Supervisor.start([Client.child_spec(SERVERS, name="web", linger_ms=60_000, delivery_timeout_ms=90_000)])
            client = Client.get("web")
            client.partitions("orders")

            def stopped():
                delivery = client.produce(Record("orders", b"lingers"))
                supervisor.stop()
                assert delivery.get(0).offset is not None

            def killed():
                client.produce(Record("orders", b"before the kill"))
                (victim := supervisor.child("web")).kill()
                with gevent.Timeout(20):
                    while supervisor.child("web") in (None, victim):
                        gevent.sleep(0.01)
                assert supervisor.child("web").exit_reason is None
                delivery = client.produce(Record("orders", b"after the kill"))
                supervisor.stop()
                assert delivery.get(0).offset is not None

            in_child(stopped)
            in_child(killed)
            supervisor.stop()
            """,
            cluster,
        )
        assert [line for line in said.stderr.splitlines() if not line.startswith("child exited ")] == []  # by the kill
        assert cluster.log("orders") == [b"lingers", b"before the kill", b"after the kill"]


def test_the_childs_exit_says_nothing_of_the_parents_records_and_delivers_its_own() -> None:
    with ScriptedCluster() as cluster:
        said = run(
            """
            client = Client.start(SERVERS, name="web", linger_ms=60_000, delivery_timeout_ms=90_000)
            client.partitions("orders")
            delivery = client.produce(Record("orders", b"parent"))
            in_child(lambda: None)
            in_child(lambda: client.produce(Record("orders", b"child")))
            client.flush()
            client.stop()
            """,
            cluster,
        ).stderr
        assert said.splitlines() == [
            "klife: client 'web' was not stopped before exit; 1 record was undelivered, and all is delivered now. "
            "Call client.stop() before the program ends."
        ]
        assert cluster.log("orders") == [b"child", b"parent"]


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_delivers_at_its_exit_what_nobody_flushed(how: str, tmp_path: Path) -> None:
    program = f"""
        import multiprocessing, tempfile
        tempfile.tempdir = "/tmp"  # the path of a fork server's socket has 107 characters at most
        sys.path.insert(0, {str(tmp_path)!r})
        import worker

        client = Client.start(SERVERS, name="web")
        process = multiprocessing.get_context({how!r}).Process(target=worker.work, args=(SERVERS,))
        process.start()
        process.join()
        assert process.exitcode == 0
        """
    (tmp_path / "worker.py").write_text(
        "from klife import Client, Record\n"
        "def work(servers):\n"
        "    client = Client.start(servers, name='work', linger_ms=60_000, delivery_timeout_ms=90_000)\n"
        "    client.produce(Record('orders', b'child'))\n"
    )
    with ScriptedCluster() as cluster:
        said = run(program, cluster).stderr
        assert cluster.log("orders") == [b"child"]
        assert said.count("1 record was undelivered, and all is delivered now") == 1


def test_the_child_frees_the_records_of_its_parent_and_subprocesses_are_not_disturbed() -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ProduceRequest, silent)
        quiet(
            """
            import gc, subprocess, weakref
            client = Client.start(SERVERS, linger_ms=60_000, delivery_timeout_ms=90_000, max_buffered_bytes=300_000_000)
            client.partitions("orders")

            class Cargo:
                pass

            cargo = Cargo()
            alive = weakref.ref(cargo)
            client.produce_async(Record("orders", b"x"), lambda _result, cargo=cargo: None)
            del cargo

            def resident():
                return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

            before = resident()
            deliveries = [client.produce(Record("orders", b"x" * 100_000)) for _ in range(1000)]
            gevent.sleep(0.1)  # some are in flight, the rest waits
            assert resident() > before + 100_000_000
            assert subprocess.run([sys.executable, "-c", "print('fine')"], capture_output=True).stdout == b"fine\\n"

            def child():
                assert alive() is None
                gc.collect()
                assert resident() < before + 50_000_000, (before, resident())
                for delivery in deliveries:
                    assert delivery.done()
                    for wait in (delivery.get, delivery.result, delivery.exception, lambda: delivery.add_done_callback(print)):
                        try:
                            wait()
                        except ForkedDelivery as error:
                            assert "the process this one was forked from" in str(error)
                        else:
                            sys.exit(3)

            in_child(child)
            assert alive() is not None
            os._exit(0)
            """,
            cluster,
            # Memory that is freed goes back to the system piece by piece: else what lies beside it in the heap decides.
            MALLOC_MMAP_THRESHOLD_="65536",
        )


def test_a_childs_transactions_have_ids_of_their_own_and_stable_ones_stay_the_parents() -> None:
    with ScriptedCluster() as cluster:
        coordinator = ScriptedCoordinator(cluster, is_v2=True)
        quiet(
            """
            from klife import TransactionMisused

            random, stable = {"name": "random", "pool_size": 1}, {"name": "stable", "base_txn_id": "shop", "pool_size": 1}
            client = Client.start(SERVERS, name="web", txn_pools=[random, stable])
            for pool in ("random", "stable"):
                client.produce_batch_txn([Record("orders", b"parent's")], pool=pool)

            def child():
                client.produce_batch_txn([Record("orders", b"child's")], pool="random")
                try:
                    client.produce_batch_txn([Record("orders", b"nobody's")], pool="stable")
                except TransactionMisused as error:
                    assert "after the fork, with a base_txn_id of this worker's own" in str(error), error
                else:
                    raise AssertionError("the child took the parent's ids")

            in_child(child)
            for pool in ("random", "stable"):
                client.produce_batch_txn([Record("orders", b"parent's")], pool=pool)
            """,
            cluster,
        )
        assert sorted(cluster.log("orders")) == [b"child's"] + [b"parent's"] * 4
        assert all(coordinator.ended)
        assert len({name.rpartition("-")[0] for name in coordinator.ids}) == 3


def test_a_child_that_does_not_use_the_client_shows_its_hooks_nothing_of_the_parents() -> None:
    with ScriptedCluster() as cluster:
        quiet(
            """
            from klife.actors import sampler
            from klife.hooks import Hooks

            sampler._TICKS = 1  # a sample with each

            class Samples(Hooks):
                def on_sample(self, sample):
                    sampled_by.append(os.getpid())

            sampled_by = []
            client = Client.start(SERVERS, name="web", hooks=[Samples()])
            client.wait_ready(20)

            def idle():
                gevent.sleep(0.5)
                assert os.getpid() not in sampled_by

            in_child(idle)
            client.stop()
            assert os.getpid() in sampled_by
            """,
            cluster,
        )
