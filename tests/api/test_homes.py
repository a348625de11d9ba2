"""The thread that runs a client's hub: when it ends, when another has its number, when it stands still."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.support import ROOT

PRELUDE = f"""
import sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
import gevent
from tests.support.broker_thread import BrokerThread, in_thread, order
from tests.support.scripted_broker import silent
from klife import Client, ClientClosed, DeliveryTimeout, ProduceError, Record
from klife.protocol.apis.produce import ProduceRequest
"""


def run(program: str, *, patched: bool = False) -> str:
    """What the program prints."""
    text = "from gevent import monkey; monkey.patch_all()\n" * patched + PRELUDE + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


EACH_REQUEST_IN_A_THREAD = """
    client = None
    def request(number):
        global client
        if client is None:
            client = Client.start(cluster.bootstrap_servers, name="shop")
        return client.produce(order(number)).get(10).offset

    with BrokerThread() as cluster:
        print([in_thread(lambda: request(number)) for number in range(6)])
        print(in_thread(lambda: client.produce_batch([order(6), order(7)]).get(10)[1].offset))
        print(in_thread(lambda: Client.get("shop").produce(order(8)).get(10).offset))
        in_thread(lambda: client.stop(10))
"""


@pytest.mark.parametrize("patched", [False, True])
def test_a_server_that_has_a_thread_for_each_request_uses_one_client_in_all_of_them(patched: bool) -> None:
    assert run(EACH_REQUEST_IN_A_THREAD, patched=patched) == "[0, 1, 2, 3, 4, 5]\n7\n8\n"


def test_what_a_thread_leaves_behind_when_it_ends_is_settled_and_told_at_once() -> None:
    told = run(
        """
        with BrokerThread((ProduceRequest, silent)) as cluster:
            def starts_and_ends():
                client = Client.start(cluster.bootstrap_servers, name="shop")
                sent = client.produce(order())
                while not cluster.has_seen(ProduceRequest):
                    gevent.sleep(0.001)
                queued = client.produce(order(1))
                queued.add_done_callback(print)
                return client, sent, queued
            client, sent, queued = in_thread(starts_and_ends)
            for delivery in (sent, queued):
                error = delivery.exception(0)
                print(type(error).__name__, error.possibly_persisted, "has ended" in str(error))
            print(client.stop(0).undelivered)
            try:
                client.produce(order())
            except ClientClosed:
                print("stopped")
        """
    )
    assert "ProduceError True True\nProduceError False True\n2\nstopped\n" in told
    assert "records_not_delivered" in told
    assert "count=2" in told


@pytest.mark.parametrize("on_fork", ["restart", "raise"])
def test_a_client_whose_hub_was_destroyed_under_it_is_told_so_or_starts_afresh(on_fork: str) -> None:
    # gevent's own thread pool does that after each task: the thread, and its number, stay.
    told = run(
        f"""
        with BrokerThread() as cluster:
            def two_tasks():
                client = Client.start(cluster.bootstrap_servers, on_fork={on_fork!r})
                print(client.produce(order()).get(10).offset)
                gevent.get_hub().destroy(destroy_loop=True)
                for _ in range(2):
                    try:
                        print(client.produce(order(1)).get(10).offset)
                    except ClientClosed as error:
                        print("on_fork" in str(error), "gevent hub" in str(error))
                gevent.get_hub().destroy(destroy_loop=True)
                Client.start(cluster.bootstrap_servers, name=client.name).stop(0)
                print("the name was free")
            in_thread(two_tasks)
        """
    )
    first, *rest, last = told.splitlines()
    assert (first, last) == ("0", "the name was free")
    assert rest == (["False True", "1"] if on_fork == "restart" else ["True True"] * 2)


def test_a_thread_with_the_number_of_one_that_ended_is_another_home() -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            numbers = set()
            def first():
                numbers.add(threading.get_ident())
                client = Client.start(cluster.bootstrap_servers)
                client.produce(order()).get(10)
                return client
            client = in_thread(first)
            def later():
                numbers.add(threading.get_ident())
                return [client.produce(order()) for _ in range(3)][-1].get(10).offset
            offsets = []
            while len(offsets) < 3 or len(numbers) > len(offsets):  # until the system gave one of them again
                offsets.append(in_thread(later))
            print(offsets == [3 * (place + 1) for place in range(len(offsets))])
            in_thread(lambda: client.stop(10))
        """
    )
    assert told == "True\n"


def test_an_executor_s_threads_and_a_timer_share_the_client_of_one_of_them() -> None:
    told = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        with BrokerThread() as cluster:
            with ThreadPoolExecutor(1) as executor:
                client = executor.submit(lambda: Client.start(cluster.bootstrap_servers)).result(60)
                print(executor.submit(lambda: client.produce(order()).get(10).offset).result(60))
            offsets = []
            timer = threading.Timer(0, lambda: offsets.append(client.produce(order()).get(10).offset))
            timer.start()
            timer.join(60)
            print(offsets)
        """
    )
    assert told == "0\n[1]\n"


def test_a_call_that_waits_for_a_home_that_ends_is_told_at_once() -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            up, end = threading.Event(), threading.Event()
            clients = []
            def home():
                clients.append(Client.start(cluster.bootstrap_servers))
                up.set()
                end.wait(60)  # and does not run its hub
            thread = threading.Thread(target=home)
            thread.start()
            assert up.wait(60)
            def calls():
                threading.Timer(0.5, end.set).start()
                began = time.monotonic()
                try:
                    clients[0].produce(order())
                except ClientClosed as error:
                    print("Nothing was queued" in str(error), time.monotonic() - began < 30)
            in_thread(calls)
        """
    )
    assert told == "True True\n"


def test_a_thread_that_waits_while_the_home_blocks_is_told_within_a_second_by_its_name_what_may_have_become_of_the_record() -> None:
    told = run(
        """
        with BrokerThread((ProduceRequest, silent)) as cluster:
            client = Client.start(cluster.bootstrap_servers)
            client.wait_ready(60)
            sent = client.produce(order())
            while not cluster.has_seen(ProduceRequest):
                gevent.sleep(0.001)
            unsent = client.produce(order(1))
            def failure(function):
                began = time.monotonic()
                try:
                    return function()
                except ProduceError as error:
                    text = str(error)
                    says = "hub of thread 'MainThread' has not run for " in text and '; use run_in="thread"' in text
                    return type(error).__name__, error.possibly_persisted, says, 0.9 < time.monotonic() - began < 10
            for wait in (unsent.get, unsent.exception, lambda: unsent.result(60), sent.get):
                print(in_thread(lambda: failure(wait)))
            calls = lambda: client.produce(order()), lambda: client.wait_ready(60), client.flush, lambda: client.partitions("orders")
            for call in calls:
                print(in_thread(lambda: failure(call)))
            print(unsent.done(), sent.done())
            client.stop(0)
        """
    )
    lines = [line for line in told.splitlines() if "connection_failed" not in line and "records_not_delivered" not in line]
    assert lines == [*4 * ["('ProduceError', True, True, True)"], *4 * ["('ProduceError', False, True, True)"], "False False"]


def test_a_hub_that_runs_but_takes_its_time_is_waited_for() -> None:
    told = run(
        """
        with BrokerThread((ProduceRequest, silent)) as cluster:
            client = Client.start(cluster.bootstrap_servers, delivery_timeout_ms=2500, request_timeout_ms=2500)
            answer = []
            thread = threading.Thread(target=lambda: answer.append(type(client.produce(order()).exception(60)).__name__))
            thread.start()
            while thread.is_alive():
                time.sleep(0.3)  # blocks, and again
                gevent.sleep(0.01)
            print(answer)
            client.stop(0)
        """
    )
    assert "['DeliveryTimeout']\n" in told


def test_what_has_arrived_is_read_before_a_deadline_is_declared_passed() -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            client = Client.start(cluster.bootstrap_servers, delivery_timeout_ms=1500, request_timeout_ms=1000, linger_ms=0)
            client.wait_ready(60)
            client.produce(order()).get(60)
            sent = client.produce(order(1))
            gevent.idle(); gevent.idle()  # it has left
            unsent = client.produce(order(2))  # and this has not
            time.sleep(2.6)  # the hub stands still, and the answer lies in the socket
            print(sent.get(60).offset)
            print(str(unsent.exception(60)).partition(": ")[2][:42], unsent.exception(0).possibly_persisted)
            print(client.status().brokers[0].last_error, client.produce(order(3)).get(60).offset)
            client.stop(10)
        """
    )
    assert told.splitlines() == [
        "1",
        "the hub of thread 'MainThread' has not run False",
        "None 2",
    ]


def test_a_second_thread_s_hub_goes_on_while_one_of_its_greenlets_waits() -> None:
    told = run(
        """
        with BrokerThread((ProduceRequest, silent)) as cluster:
            client = Client.start(cluster.bootstrap_servers)
            client.wait_ready(60)
            delivery = client.produce(order())
            def second():
                ticks = 0
                def tick():
                    nonlocal ticks
                    while True:
                        gevent.sleep(0.001)
                        ticks += 1
                ticker = gevent.spawn(tick)
                waits = [gevent.spawn(delivery.exception, 1) for _ in range(2)] + [gevent.spawn(client.flush, 1)]
                gevent.joinall(waits)
                ticker.kill()
                return ticks > 100, [type(each.exception).__name__ for each in waits]
            done = []
            thread = threading.Thread(target=lambda: done.append(second()))
            thread.start()
            while thread.is_alive():
                gevent.sleep(0.01)
            print(done[0])
            client.stop(0)
        """
    )
    assert "(True, ['WaitTimeout', 'WaitTimeout', 'FlushTimeout'])\n" in told


def test_a_fork_of_another_thread_ends_no_home() -> None:
    # The child has none of the other threads, and what they kept is let go of in it: that is not their end.
    told = run(
        """
        import os
        with BrokerThread() as cluster:
            over, clients = threading.Event(), []
            def home():
                clients.append(Client.start(cluster.bootstrap_servers))
                while not over.is_set():
                    gevent.sleep(0.01)
                clients[0].stop(10)
            thread = threading.Thread(target=home)
            thread.start()
            while not clients:
                time.sleep(0.01)
            print(clients[0].produce(order()).get(10).offset, flush=True)
            pid = os.fork()
            if pid == 0:
                print(clients[0].produce(order()).get(10).offset, flush=True)
                clients[0].stop(10)
                os._exit(0)
            os.waitpid(pid, 0)
            print(clients[0].produce(order()).get(10).offset)
            over.set()
            thread.join(60)
        """
    )
    assert told == "0\n1\n2\n"
