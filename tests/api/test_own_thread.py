"""`run_in="thread"`: programs without a hub, and what they do to a client: threads, prompts, forks, exits."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from klife import Client, ConfigError
from tests.support import ROOT

PRELUDE = f"""
import os, sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from tests.support.broker_thread import BrokerThread, in_thread, order
from tests.support.scripted_broker import silent
from klife import Client, ClientClosed, ProduceError, Record
from klife.protocol.apis.produce import ProduceRequest
def start(cluster, **options):
    return Client.start(cluster.bootstrap_servers, run_in="thread", **options)
def the_hub_here():
    from gevent._hub_local import get_hub_if_exists
    return get_hub_if_exists()
"""


def run(program: str, *, patched: bool = False) -> str:
    """What the program prints."""
    text = "from gevent import monkey; monkey.patch_all()\n" * patched + PRELUDE + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("patched", [False, True])
def test_a_script_s_threads_share_a_client_whose_hub_runs_in_another_real_thread(patched: bool) -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            with start(cluster) as client:
                client.wait_ready(60)
                offsets = []
                def work(number):
                    for _ in range(20):
                        offsets.append(client.produce(order(number)).get(60).offset)
                threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
                for thread in threads: thread.start()
                for thread in threads: thread.join(60)
                print(sorted(offsets) == list(range(160)))
                if not {patched}:
                    print(the_hub_here() is None, [thread.name for thread in threading.enumerate() if "klife" in thread.name])
            print([each.name for each in threading.enumerate() if "klife" in each.name])
        """.replace("{patched}", str(patched)),
        patched=patched,
    )
    assert told == ("True\n[]\n" if patched else "True\nTrue ['klife klife-1']\n[]\n")


def test_all_verbs_work_and_callbacks_may_block() -> None:
    told = run(
        """
        with BrokerThread(partitions=2) as cluster, start(cluster, linger_ms=1) as client:
            seen, gate = [], threading.Event()
            def blocks(record):
                assert gate.wait(60)
                seen.append(record.offset)
                client.produce_async(order(9), lambda record: seen.append(("in a callback", record.error)))
            for number in range(3):
                client.produce_async(order(number), blocks)
            print(client.produce(Record("orders", b"another partition", partition=1)).get(60).offset, seen)  # held up by nobody
            client.produce_batch_async([order(3), order(4)], lambda results: seen.append(len(results)))
            delivery = client.produce(order(5))
            delivery.add_done_callback(lambda delivery: seen.append(delivery.get().offset))
            gate.set()
            client.flush(60)
            client.flush(60)
            print(seen)
            print([record.error for record in client.produce_batch([order(6), order(7)]).get(60)])
            print(len(client.partitions("orders")) > 1, client.status().state, client.tree().state, client.doctor().ok)
            def callback(record):
                client.flush(60)  # does not wait for its own end
                seen.append("flushed")
            client.produce_async(order(8), callback)
            client.flush(60)
            print(seen[-1])
        """
    )
    assert told.splitlines() == [
        "0 []",
        "[0, 1, 2, 2, 5, ('in a callback', None), ('in a callback', None), ('in a callback', None)]",
        "[None, None]",
        "True running running True",
        "flushed",
    ]


def test_bad_records_and_full_buffers_are_told_as_at_home() -> None:
    told = run(
        """
        with BrokerThread((ProduceRequest, silent)) as cluster:
            client = start(cluster, max_buffered_bytes=10_000, batch_size_bytes=10_000, max_block_ms=1_500)
            def told(function, *arguments):
                try:
                    print("told", function(*arguments))
                except Exception as error:
                    print("told", type(error).__name__)
            told(client.produce, Record("orders", "text"))
            client.produce(order()).done()
            told(client.produce, Record("orders", "text"))
            told(client.produce, Record("orders", b"", partition=99))
            told(client.produce, Record("unknown", b""))
            told(client.produce, Record("orders", bytes(9_000), partition=0))
            told(client.produce, Record("orders", bytes(9_000), partition=0))
            client.stop(0)
            told(client.produce, order())
        """
    )
    assert [line.removeprefix("told ") for line in told.splitlines() if line.startswith("told ")] == [
        *("InvalidRecordType", "InvalidRecordType", "UnknownPartition", "UnknownTopic", "<Delivery pending>", "BufferFull"),
        "ClientClosed",
    ]


def test_a_forked_child_starts_afresh_and_its_parent_goes_on() -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            client = start(cluster, name="shop")
            before = client.produce(order())
            print(before.get(60).offset, flush=True)
            for number in range(3):  # workers, one behind the other
                pid = os.fork()
                if pid == 0:
                    print(client.produce(order()).get(60).offset, in_thread(lambda: client.produce(order()).get(60).offset), flush=True)
                    client.stop(10)
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
            print(client.produce(order()).get(60).offset)
            client.stop(10)
        """
    )
    assert told == "0\n1 2\n3 4\n5 6\n7\n"


def test_a_fork_while_threads_produce_harms_neither() -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            client = start(cluster, name="shop")
            client.wait_ready(60)
            over, count = threading.Event(), []
            def work():
                while not over.is_set():
                    count.append(client.produce(order()).get(60).offset)
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads: thread.start()
            for _ in range(5):
                pid = os.fork()
                if pid == 0:
                    ok = client.produce(order()).get(60).offset >= 0
                    os._exit(0 if ok else 1)
                print(os.waitpid(pid, 0)[1])
            over.set()
            for thread in threads: thread.join(60)
            print(len(set(count)) == len(count), client.stop(10).undelivered)
        """
    )
    assert told == "0\n" * 5 + "True 0\n"


def test_a_fork_waits_for_an_import_in_the_client_s_thread(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(0.5)")
    told = run(
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        from klife.hooks import Hooks
        began = threading.Event()
        class Importing(Hooks):
            def on_connection(self, connection):
                began.set()
                import slow
        with BrokerThread() as cluster:
            client = start(cluster, name="shop", hooks=[Importing()])
            assert began.wait(60)
            pid = os.fork()
            if pid == 0:
                import signal
                signal.alarm(30)  # by the module's lock, which nobody here would ever release
                import slow
                print(client.produce(order()).get(20).offset, flush=True)
                client.stop(10)
                os._exit(0)
            print(os.waitpid(pid, 0)[1])
            print(client.produce(order()).get(60).offset)
            client.stop(10)
        """
    )
    assert told == "0\n0\n1\n"


def test_a_hub_that_is_held_up_holds_no_fork_up() -> None:
    told = run(
        """
        from klife.hooks import Hooks
        began, over = threading.Event(), threading.Event()
        class Stuck(Hooks):
            def on_connection(self, connection):
                began.set()
                over.wait(60)
        with BrokerThread() as cluster:
            client = start(cluster, name="shop", hooks=[Stuck()])
            assert began.wait(60)
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            over.set()
            print(os.waitpid(pid, 0)[1], client.produce(order()).get(60).offset)
            client.stop(10)
        """
    )
    assert told == "0 0\n"


def test_in_a_forked_child_a_stop_that_was_registered_before_the_fork_comes_first() -> None:
    told = run(
        """
        import atexit
        with BrokerThread() as cluster:
            client = start(cluster, name="shop", linger_ms=60_000, delivery_timeout_ms=120_000)
            atexit.register(lambda: print(client.stop(10), flush=True))
            pid = os.fork()
            client.produce_async(order())
            if pid == 0:
                sys.exit(0)
            print(os.waitpid(pid, 0)[1], flush=True)
            client.stop(10)
            os._exit(0)
        """
    )
    assert told == "StopReport(delivered=1, failed=0, undelivered=0)\n0\n"


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "in_thread(lambda: client.produce(order(2)))"])
def test_an_exit_without_stop_delivers_what_is_left_and_says_so(ending: str) -> None:
    told = run(
        f"""
        cluster = BrokerThread().__enter__()
        client = start(cluster, linger_ms=60_000, delivery_timeout_ms=120_000)
        client.produce_async(order(), lambda record: print(record.offset, flush=True))
        {ending}
        """
    )
    left = "2 records were" if "produce" in ending else "1 record was"
    assert told.splitlines() == [
        "0",
        f"klife: client 'klife-1' was not stopped before exit; {left} undelivered, and all is delivered now. "
        "Call client.stop() before the program ends.",
    ]


def test_what_can_not_be_delivered_at_exit_is_told_and_what_comes_later_is_refused_or_sent() -> None:
    told = run(
        """
        import atexit
        from klife.api import at_exit
        at_exit._time_left = 0.5
        cluster = BrokerThread((ProduceRequest, silent)).__enter__()
        def late():
            try:
                client.produce(order(1)).get(10)
            except Exception as error:
                print(type(error).__name__)
        atexit.register(late)
        client = start(cluster)
        client.produce(order())
        """
    )
    assert "1 record was undelivered, 0 could still be delivered within 5 s, 1 is LOST" in told
    assert told.splitlines()[0] == "ClientClosed"


def test_a_function_that_runs_at_exit_behind_all_others_still_produces() -> None:
    told = run(
        """
        import atexit
        cluster = BrokerThread().__enter__()
        atexit.register(lambda: print(client.produce(order()).get(60).offset))
        client = start(cluster)
        """
    )
    assert told == "0\n"


@pytest.mark.parametrize("prompt", [["-i", "-c", PRELUDE], ["-c", PRELUDE + "import code; code.interact(local=globals())"]])
def test_a_prompt_gets_an_offset_by_each_line(prompt: list[str]) -> None:
    lines = """
cluster = BrokerThread().__enter__()
client = start(cluster)
delivery = client.produce(order())
while not cluster.has_seen(ProduceRequest): time.sleep(0.01)  # somebody thinks; no hub runs here

client.produce(order()).get(60).offset
client.stop(10)
"""
    told = subprocess.run([sys.executable, *prompt], input=lines, capture_output=True, text=True, timeout=280, check=True).stdout
    assert "1\nStopReport(delivered=2, failed=0, undelivered=0)\n" in told.replace(">>> ", "").replace("... ", "")


def test_a_client_under_a_supervisor_runs_in_that_one_s_hub() -> None:
    with pytest.raises(ConfigError, match=r"run_in: under a supervisor a client runs in that one's hub"):
        Client.child_spec("localhost:9092", name="shop", run_in="thread")


def test_an_error_at_the_start_comes_to_who_starts_it() -> None:
    told = run(
        """
        with BrokerThread() as cluster:
            client = start(cluster, name="shop")
            try:
                start(cluster, name="shop")
            except ValueError as error:
                print("there is a client named 'shop'" in str(error))
            client.stop(10)
            start(cluster, name="shop").stop(10)
        """
    )
    assert told == "True\n"
