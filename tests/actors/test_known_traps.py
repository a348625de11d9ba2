"""What other clients are known to fall into, each as a test of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event

from klife import BufferFull, ClientClosed, Delivery, DeliveryTimeout, Record
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import broker_status
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after, silent
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")


def test_a_wake_up_by_many_greenlets_and_threads_at_once(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 4}) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)

        def produce(who: int) -> list[int | None]:
            return [client.produce(Record("orders", b"%d" % who, partition=who % 4)).get(PATIENCE).offset for _ in range(10)]

        threads = [get_hub().threadpool.spawn(produce, who) for who in range(4)]
        greenlets = [gevent.spawn(produce, who) for who in range(4, 40)]
        gevent.joinall(greenlets, raise_error=True)
        offsets = [thread.get() for thread in threads] + [greenlet.value for greenlet in greenlets]
        assert all(sorted(each) == each and len(set(each)) == 10 for each in offsets)
        assert sum(len(cluster.log("orders", partition)) for partition in range(4)) == 401


def busy_seconds_in_one() -> float:
    """The processor time this process takes in a second in which nobody asks anything of it."""
    gevent.sleep(0.1)
    began = time.process_time()
    gevent.sleep(1.0)
    return time.process_time() - began


def test_with_linger_0_an_idle_client_takes_no_processor_time(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=0)
        client.produce(ORDER).get(PATIENCE)
        assert busy_seconds_in_one() < 0.01  # a fiftieth is usual; a look every millisecond costs three times as much


def test_a_client_waiting_for_a_broker_or_a_leader_or_an_answer_takes_hardly_any(start_client: Any) -> None:
    with ScriptedCluster(brokers=2, topics={"orders": 3}) as cluster:
        cluster.move("orders", 0, 2)
        cluster.move("orders", 1, -1)
        cluster[1].always(ProduceRequest, silent)
        cluster[2].stop()
        client = start_client(cluster, reconnect_backoff_ms=50, reconnect_backoff_max_ms=1000)
        client.partitions("orders")
        deliveries = [client.produce(Record("orders", b"v", partition=partition)) for partition in range(3)]
        assert busy_seconds_in_one() < 0.1
        assert not any(delivery.done() for delivery in deliveries)


@pytest.fixture
def set_wall_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], float]], None]:
    """Replace `time.time` and `time.time_ns`, wherever klife has them."""
    real = {"time": time.time, "time_ns": time.time_ns}

    def replace(clock: Callable[[], float]) -> None:
        clocks = {"time": clock, "time_ns": lambda: int(clock() * 1_000_000_000)}
        known = [*real.values(), time.time, time.time_ns]
        for each, replaced in clocks.items():
            for name, module in list(sys.modules.items()):
                if name.startswith("klife") and getattr(module, each, None) in known:
                    monkeypatch.setattr(module, each, replaced)
            monkeypatch.setattr(time, each, replaced)

    return replace


def test_a_frozen_wall_clock(start_client: Any, set_wall_clock: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=5, delivery_timeout_ms=2_000, request_timeout_ms=1_000)
        client.produce(ORDER).get(PATIENCE)
        set_wall_clock(lambda: 1_700_000_000.0)
        results = client.produce_batch([ORDER] * 1000).get(PATIENCE)
        assert {(result.error, result.timestamp_ms) for result in results} == {(None, 1_700_000_000_000)}
        cluster[1].always(ProduceRequest, silent)
        began = time.monotonic()
        with pytest.raises(DeliveryTimeout):
            client.produce(ORDER).get(PATIENCE)
        assert time.monotonic() - began > 1.99


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_is_set(start_client: Any, set_wall_clock: Any, hours: int) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=20)
        client.produce(ORDER).get(PATIENCE)
        held, real = Event(), time.time
        cluster[1].script(ProduceRequest, after(held))
        before = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest, 2)
        lingering = client.produce(ORDER)
        set_wall_clock(lambda: real() + hours * 3600)
        later = client.produce(ORDER)
        held.set()
        assert [delivery.get(PATIENCE).offset for delivery in (before, lingering, later)] == [1, 2, 3]
        assert client.produce(ORDER).get(PATIENCE).offset == 4


@pytest.mark.parametrize("clock", ["set back", "frozen"])
def test_a_tight_loop_of_produce_lets_others_run_whatever_the_wall_clock_does(
    start_client: Any, set_wall_clock: Any, clock: str
) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        real = time.time
        set_wall_clock((lambda: real() - 3600) if clock == "set back" else (lambda: 1_700_000_000.0))
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            while True:
                gevent.sleep(0.001)
                ticks += 1

        ticker = gevent.spawn(tick)
        gevent.sleep(0)
        for _ in range(100_000):  # a tenth of a second's work, and much less than what fills the buffer
            client.produce_async(ORDER)
        ticker.kill()
        assert ticks > (5 if clock == "set back" else 1)  # frozen, it is noticed from batch to batch


def test_a_full_buffer_is_left_in_the_order_it_was_waited_for(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_buffered_bytes=10_000, max_block_ms=60_000)
        client.produce(ORDER).get(PATIENCE)
        stalled = Event()
        cluster[1].script(ProduceRequest, after(stalled))
        accepted: list[int] = []

        def produce(who: int) -> Delivery:
            delivery = client.produce(Record("orders", b"%04d" % who + bytes(900)))
            accepted.append(who)
            return delivery

        greenlets = []
        for who in [*range(100), 1000]:
            greenlets.append(gevent.spawn(produce, who))
            while len(accepted) + client.status().waiting_for_buffer < len(greenlets):
                gevent.sleep(0)  # the next one comes when this one has its place in the line
        impatient = greenlets.pop()
        assert 5 < len(accepted) < 20
        assert client.status().waiting_for_buffer == 101 - len(accepted)
        impatient.kill()
        stalled.set()
        gevent.joinall(greenlets, raise_error=True, timeout=PATIENCE)
        assert all(greenlet.value.get(PATIENCE).error is None for greenlet in greenlets)
        assert accepted == list(range(100))
        assert [value[:4] for value in cluster.log("orders")[1:]] == [b"%04d" % who for who in range(100)]
        assert (client.status().buffered_bytes, client.status().waiting_for_buffer) == (0, 0)


def test_a_full_buffer_whose_waiters_gave_up_is_as_good_as_new(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_buffered_bytes=10_000, max_block_ms=50, topics=[{"name": "orders"}])
        client.wait_ready(PATIENCE)
        client.produce(ORDER).get(PATIENCE)
        stalled = Event()
        cluster[1].script(ProduceRequest, after(stalled))
        greenlets = [gevent.spawn(client.produce, Record("orders", bytes(900))) for _ in range(30)]
        gevent.joinall(greenlets, timeout=PATIENCE)
        gave_up = [greenlet for greenlet in greenlets if greenlet.exception is not None]
        assert gave_up
        assert all(isinstance(greenlet.exception, BufferFull) for greenlet in gave_up)
        stalled.set()
        client.flush(PATIENCE)
        assert len(cluster.log("orders")) == 31 - len(gave_up)
        assert all(client.produce(Record("orders", bytes(900))).get(PATIENCE).error is None for _ in range(30))


def test_after_an_outage_what_was_held_drains_in_few_requests_over_one_connection(start_client: Any, never_late: None) -> None:
    with ScriptedCluster(topics={"orders": 8}) as cluster:
        client = start_client(cluster, max_buffered_bytes=200_000, max_block_ms=60_000, reconnect_backoff_max_ms=100)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        greenlets = [
            gevent.spawn(lambda who=who: client.produce(Record("orders", bytes(900), partition=who % 8)).get(PATIENCE))
            for who in range(800)
        ]
        wait_until(lambda: client.status().waiting_for_buffer > 500 and "refused" in str(broker_status(client, 1).last_error))
        requests, connections = len(cluster[1].got(ProduceRequest)), cluster[1].connections
        cluster[1].listen()
        gevent.joinall(greenlets, raise_error=True, timeout=PATIENCE)
        assert sum(len(cluster.log("orders", partition)) for partition in range(8)) == 801
        assert cluster[1].connections - connections <= 2  # one to look around, one to produce
        assert len(cluster[1].got(ProduceRequest)) - requests < 40


def test_a_leaderless_moment_of_all_partitions_passes(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 4}) as cluster:
        client = start_client(cluster)
        for partition in range(4):
            client.produce(Record("orders", b"0", partition=partition)).get(PATIENCE)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        deliveries = [client.produce(Record("orders", b"1", partition=partition)) for partition in range(4)]
        cluster[1].wait_for(ProduceRequest, 5)
        for partition in range(4):
            cluster.move("orders", partition, -1)
        held.set()
        asked = len(cluster[1].got(MetadataRequest))
        deliveries += [client.produce(Record("orders", b"2", partition=partition)) for partition in range(4)]
        cluster[1].wait_for(MetadataRequest, asked + 2)
        assert not any(delivery.done() for delivery in deliveries)
        for partition in range(4):
            cluster.move("orders", partition, 1)
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [1] * 4 + [2] * 4
        assert all(cluster.log("orders", partition) == [b"0", b"1", b"2"] for partition in range(4))


def test_a_broker_that_is_back_without_the_last_records_it_had_confirmed(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        for number in range(5):
            client.produce(Record("orders", b"%d" % number)).get(PATIENCE)
        partition = cluster.topics["orders"].partitions[0]
        del partition.log[3:]  # an unclean election: what only the old leader had is gone
        (entry,) = partition.producers.values()
        del entry.batches[3:]
        assert client.produce(Record("orders", b"5")).get(PATIENCE).offset == 3
        assert client.produce(Record("orders", b"6")).get(PATIENCE).offset == 4
        assert cluster.log("orders") == [b"0", b"1", b"2", b"5", b"6"]


def test_a_broker_that_is_back_without_any_memory_of_the_producer(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        cluster.topics["orders"].partitions[0].producers.clear()  # its id expired (producer.id.expiration.ms)
        assert [client.produce(Record("orders", b"%d" % number)).get(PATIENCE).offset for number in (1, 2)] == [1, 2]


def test_produce_during_stop(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"first")).get(PATIENCE)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        deliveries: list[tuple[bytes, Delivery]] = []

        def produce(who: int) -> None:
            number = 0
            while True:
                value = b"%d %d" % (who, number)
                deliveries.append((value, client.produce(Record("orders", value))))
                number += 1
                gevent.sleep(0)

        producers = [gevent.spawn(produce, who) for who in range(10)]
        cluster[1].wait_for(ProduceRequest, 2)
        stopping = gevent.spawn(client.stop, PATIENCE)
        gevent.joinall(producers, timeout=PATIENCE)
        assert all(isinstance(producer.exception, ClientClosed) for producer in producers)
        held.set()
        assert stopping.get(timeout=PATIENCE).undelivered == 0
        assert all(delivery.get(0).error is None for _, delivery in deliveries)
        assert sorted(cluster.log("orders")[1:]) == sorted(value for value, _ in deliveries)


FLUSHING = """
import signal, sys
import gevent
from klife import Client, Record

def terminate(*_):
    print("terminated", flush=True)
    sys.exit(7)

signal.signal(signal.SIGTERM, terminate)
client = Client.start(sys.argv[1], linger_ms=0)
client.partitions("orders")
for number in range(100):
    client.produce_async(Record("orders", b"%d" % number))
print("flushing", flush=True)
client.flush()
print("not reached", flush=True)
"""


def test_sigterm_inside_flush() -> None:
    in_thread = get_hub().threadpool.apply
    with ScriptedCluster() as cluster:
        held = Event()
        cluster[1].always(ProduceRequest, after(held))
        command = [sys.executable, "-c", FLUSHING, cluster.bootstrap_servers]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert in_thread(process.stdout.readline) == "flushing\n"
            cluster[1].wait_for(ProduceRequest)
            process.send_signal(signal.SIGTERM)
            assert in_thread(process.stdout.readline) == "terminated\n"
            held.set()  # what is left is delivered while the program exits
            assert in_thread(process.wait, (30,)) == 7
            assert "not reached" not in in_thread(process.stdout.read)
        assert cluster.log("orders") == [b"%d" % number for number in range(100)]
