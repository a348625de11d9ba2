"""What happens to records when the brokers are away: for a moment, or for good. On a cluster of its own, of
one broker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import get_hub

from klife import Client, DeliveryTimeout, FlushTimeout, NotReady, Record
from klife.admin import AdminClient
from klife.testing.cluster import KafkaCluster
from tests.support.own_cluster import own_cluster
from tests.support.reader import Read, by_partition, read_topic
from tests.support.waiting import wait_until

BROKER = 1
MINUTES, MINUTES_MS = 200.0, 200_000
"""For a broker to start: on a busy machine it may take more than the one that a record has by default."""


@pytest.fixture(scope="module")
def lone_cluster() -> Iterator[KafkaCluster]:
    """A broker that may be paused and killed, unlike those that other tests share."""
    with own_cluster(1) as cluster:
        yield cluster


@pytest.fixture
def topic(lone_cluster: KafkaCluster) -> str:
    name = f"lone-{uuid.uuid4().hex[:8]}"
    lone_cluster.create_topic(name, partitions=3)
    return name


@pytest.fixture
def paused(lone_cluster: KafkaCluster) -> Iterator[list[int]]:
    """The brokers that `freeze` paused; resumed after the test."""
    waiting: list[int] = []
    yield waiting
    for node_id in waiting:
        lone_cluster.resume(node_id)
    lone_cluster.wait_until_ready()


def freeze(cluster: KafkaCluster, paused: list[int]) -> None:
    """Pause the broker, and return when it really answers nobody: on a busy machine its threads run on for a
    moment.
    """
    address = cluster.bootstrap_servers
    cluster.pause(BROKER)
    paused.append(BROKER)
    with gevent.Timeout(20):
        while answers(address):
            pass


def answers(address: str) -> bool:
    """Whether the broker answers somebody new within 0.3 s."""
    with AdminClient(address) as admin, gevent.Timeout(0.3, False):
        return bool(admin.live_brokers(address))
    return False


def read(cluster: KafkaCluster, topic: str) -> list[Read]:
    return read_topic(cluster.bootstrap_servers, topic)


def test_stop_with_the_broker_gone_returns_by_its_timeout_and_reports_what_was_left(
    lone_cluster: KafkaCluster, topic: str, paused: list[int]
) -> None:
    client = Client.start(lone_cluster.bootstrap_servers)
    client.produce(Record(topic, b"v", partition=0)).get(30)
    freeze(lone_cluster, paused)
    deliveries = [client.produce(Record(topic, b"%d" % number, partition=number % 3)) for number in range(60)]
    began = monotonic()
    report = client.stop(1.5)
    assert 1.5 <= monotonic() - began < 30
    assert (report.delivered, report.failed, report.undelivered) == (1, 0, 60)
    not_written = set()
    for number, delivery in enumerate(deliveries):
        error = delivery.exception(0)
        assert error is not None
        assert "was stopped before the brokers had confirmed" in str(error)
        if not error.possibly_persisted:
            not_written.add(b"%d" % number)
    assert len(not_written) < 60, "what was in flight may be in the log"
    lone_cluster.resume(paused.pop())
    lone_cluster.wait_until_ready()
    assert not not_written & {each.value for each in read(lone_cluster, topic)}


def test_a_flush_and_a_delivery_timeout_end_on_time_while_the_broker_stalls(
    lone_cluster: KafkaCluster, topic: str, paused: list[int]
) -> None:
    client = Client.start(lone_cluster.bootstrap_servers, delivery_timeout_ms=2_000, request_timeout_ms=1_000)
    client.produce(Record(topic, b"v", partition=0)).get(30)
    freeze(lone_cluster, paused)
    delivery = client.produce(Record(topic, b"v", partition=0))
    began = monotonic()
    with pytest.raises(FlushTimeout, match=r"1 record was not settled within 0\.3 s"):
        client.flush(0.3)
    assert not delivery.done()
    with pytest.raises(DeliveryTimeout, match=r"not delivered within delivery_timeout_ms \(2000 ms\)") as raised:
        delivery.get(10)
    assert 1.9 < monotonic() - began < 30
    assert raised.value.possibly_persisted
    client.stop(1)


def test_a_stall_delays_nothing_but_its_records(lone_cluster: KafkaCluster, topic: str, paused: list[int]) -> None:
    client = Client.start(lone_cluster.bootstrap_servers)
    client.produce(Record(topic, b"first", partition=0)).get(30)
    freeze(lone_cluster, paused)
    delivery = client.produce(Record(topic, b"second", partition=0))
    slowest = 0.0
    for _ in range(100):
        before = monotonic()
        gevent.sleep(0.005)
        slowest = max(slowest, monotonic() - before)
    assert not delivery.done()
    assert slowest < 2.0, "the hub runs on (5 ms, and room for a busy machine)"
    lone_cluster.resume(paused.pop())
    assert delivery.get(30).offset == 1
    client.stop()


def test_a_broker_that_restarts_under_load_costs_no_record_and_no_order(lone_cluster: KafkaCluster, topic: str) -> None:
    client = Client.start(lone_cluster.bootstrap_servers, max_in_flight_requests=5, delivery_timeout_ms=MINUTES_MS)
    client.produce_batch([Record(topic, b"warm", partition=partition) for partition in range(3)]).get(30)
    going = True
    results: list[list[Record]] = [[] for _ in range(6)]

    def work(worker: int) -> None:
        number = 0
        while going:
            deliveries = []
            for _ in range(20):
                deliveries.append(client.produce(Record(topic, b"%d" % number, key=b"%d" % worker, partition=worker % 3)))
                number += 1
                gevent.sleep(0)
            results[worker] += [delivery.get(MINUTES) for delivery in deliveries]

    workers = [gevent.spawn(work, worker) for worker in range(6)]
    for way in (lone_cluster.stop, lone_cluster.kill):
        gevent.sleep(0.5)  # load before, between and after
        way(BROKER)
        gevent.sleep(0.5)
        lone_cluster.start(BROKER)
    seen = [len(of_worker) for of_worker in results]
    wait_until(lambda: all(len(of_worker) > before for of_worker, before in zip(results, seen, strict=True)), timeout=60)
    going = False
    gevent.joinall(workers, timeout=60, raise_error=True)
    assert client.stop().undelivered == 0
    found = by_partition(read(lone_cluster, topic))
    for worker, of_worker in enumerate(results):
        log = [each for each in found[worker % 3] if each.key == b"%d" % worker]
        assert [int(each.value or b"") for each in log] == list(range(len(of_worker)))
        assert all(result.offset in (None, each.offset) for result, each in zip(of_worker, log, strict=True))


def test_a_client_starts_while_kafka_is_away_and_is_ready_when_it_comes(lone_cluster: KafkaCluster, topic: str) -> None:
    lone_cluster.kill(BROKER)
    patience = {"max_block_ms": MINUTES_MS, "delivery_timeout_ms": MINUTES_MS}
    with Client.start(lone_cluster.bootstrap_servers, reconnect_backoff_max_ms=500, **patience) as client:
        with pytest.raises(NotReady, match=r"127\.0\.0\.1:.*refused"):
            client.wait_ready(1)
        waiting = gevent.spawn(lambda: client.produce(Record(topic, b"early")).get(MINUTES))
        lone_cluster.start(BROKER)
        client.wait_ready(30)
        assert waiting.get(timeout=30).offset == 0


EXITING = """
import sys
import gevent
from klife import Client, Record

servers, topic = sys.argv[1:]
client = Client.start(servers, name="careless", linger_ms=20_000)
client.partitions(topic)
client.produce(Record(topic, b"ready", partition=0))
client.flush()
print("ready", flush=True)
gevent.get_hub().threadpool.apply(sys.stdin.readline)
for number in range(100):
    client.produce_async(Record(topic, b"%d" % number, partition=0))
"""


def run_careless(cluster: KafkaCluster, topic: str, before_exit: Callable[[], object]) -> tuple[int, str, float]:
    """A program that exits without stopping its client; its exit status, standard error, and how long its
    exit took.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", EXITING, cluster.bootstrap_servers, topic],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    in_thread = get_hub().threadpool.apply
    with process:
        assert process.stdout is not None
        assert in_thread(process.stdout.readline) == "ready\n"
        before_exit()
        began = monotonic()
        _, errors = in_thread(process.communicate, ("go\n",), {"timeout": 60})
    return process.returncode, errors, monotonic() - began


def test_exit_without_stop_delivers_what_it_can_and_says_so(lone_cluster: KafkaCluster, topic: str) -> None:
    status, errors, took = run_careless(lone_cluster, topic, lambda: None)
    assert status == 0
    assert took < 15
    assert "client 'careless' was not stopped before exit; 100 records were undelivered, and all is delivered now" in errors
    assert "Call client.stop() before the program ends" in errors
    assert [each.value for each in read(lone_cluster, topic)] == [b"ready"] + [b"%d" % number for number in range(100)]


def test_exit_without_stop_while_the_broker_is_away_ends_soon_and_says_what_is_lost(
    lone_cluster: KafkaCluster, topic: str, paused: list[int]
) -> None:
    status, errors, took = run_careless(lone_cluster, topic, lambda: freeze(lone_cluster, paused))
    assert status == 0
    assert took < 15
    assert "client 'careless' was not stopped before exit; 100 records were undelivered" in errors
    assert "100 are LOST" in errors


HOLDING = """
import json, sys
from time import monotonic
from typing import Any
import gevent, structlog
from klife import BufferFull, Client, Record

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
servers, topic = sys.argv[1:]
WORKERS, EACH = 300, 400  # three times as many records as fit

def resident(kind):  # VmRSS, now; VmHWM, the most so far. (getrusage would count the process this one was forked from.)
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(kind))

def answer(**what):
    print(json.dumps(what), flush=True)

def go_on():
    gevent.get_hub().threadpool.apply(sys.stdin.readline)

client = Client.start(
    servers, topics=[{"name": topic}], max_block_ms=5, delivery_timeout_ms=180_000, reconnect_backoff_max_ms=500
)
client.wait_ready(30)
Record.verify_batch(client.produce_batch([Record(topic, b"warm", partition=partition) for partition in range(3)]).get(30))
answer(limit=client.status().max_buffered_bytes)
go_on()
before, held, slowest, refused = resident("VmRSS"), [], 0.0, 0

def work(worker):
    global slowest, refused
    for number in range(EACH):
        record = Record(topic, (b"%d %d " % (worker, number)).ljust(1_000, b"."), partition=worker % 3)
        began = monotonic()
        try:
            held.append((worker, number, client.produce(record)))
        except BufferFull:
            refused += 1
        slowest = max(slowest, monotonic() - began)

gevent.joinall([gevent.spawn(work, worker) for worker in range(WORKERS)], raise_error=True)
grown = resident("VmHWM") - before
answer(held=len(held), refused=refused, slowest=slowest, grown=grown, buffered=client.status().buffered_bytes)
go_on()
results = [delivery.exception(120) for _, _, delivery in held]
answer(errors=sorted({str(error) for error in results if error is not None}))
answer(sent=[(worker, number) for worker, number, _ in held])
client.stop()
"""


def test_with_the_broker_gone_memory_is_bounded_and_what_was_held_arrives_once_and_in_order(
    lone_cluster: KafkaCluster, topic: str
) -> None:
    in_thread = get_hub().threadpool.apply
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, lone_cluster.bootstrap_servers, topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def next_answer() -> dict[str, Any]:
            return json.loads(in_thread(process.stdout.readline))  # type: ignore[union-attr, no-any-return]

        def go_on() -> None:
            process.stdin.write("go on\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        limit = next_answer()["limit"]
        lone_cluster.kill(BROKER)
        go_on()
        answer = next_answer()
        lone_cluster.start(BROKER)
        go_on()
        errors, sent = next_answer()["errors"], next_answer()["sent"]
        assert in_thread(process.wait, (60,)) == 0
    assert answer["held"] + answer["refused"] == 120_000
    assert limit - 300 * 1_100 < answer["buffered"] <= limit
    assert answer["grown"] < 2.5 * limit, answer
    assert answer["slowest"] < 0.005 + 10, "a produce waits its max_block_ms (and for its turn on a busy machine), and no longer"
    assert errors == []
    found = by_partition(read(lone_cluster, topic))
    for partition in range(3):
        log = [tuple(map(int, (each.value or b"").split()[:2])) for each in found[partition][1:]]
        assert log == [(worker, number) for worker, number in sent if worker % 3 == partition]
