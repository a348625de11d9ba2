"""The smoke suite, a program of its own: the same checks unpatched, monkey-patched, and from several OS
threads at once.

    python smoke.py HOST:PORT,... plain|patched [threads]

Clients are given the options in CLIENT_OPTIONS, JSON, besides: other addresses, and `tls` and `sasl`. Exits
with 0 when every check holds. It is a script because monkey patching must come before anything else is
imported, and is for ever.
"""

import sys

if "patched" in sys.argv[2:]:
    import gevent.monkey

    gevent.monkey.patch_all()

import json
import os
import threading
import traceback
import uuid
from collections.abc import Callable
from time import monotonic

import gevent
from gevent.monkey import get_original

os.environ["KLIFE_TEST_BOOTSTRAP"] = sys.argv[1]

from klife import BufferFull, Client, InvalidRecordType, ProduceError, Record, UnknownTopic, WaitTimeout
from klife.testing import all_produced, setup
from klife.testing.cluster import KafkaCluster

OPTIONS = {"bootstrap_servers": sys.argv[1], **json.loads(os.environ.get("CLIENT_OPTIONS", "{}"))}
PARTITIONS = 6
THREADS = 4
LONGEST_SECONDS = 25.0  # less than any wait below may take


def check_one_record(client: Client, topic: str) -> None:
    mark = uuid.uuid4().bytes
    result = client.produce(Record(topic, b"one", key=mark, headers=[("h", b"1")], partition=2)).get(30)
    (found,) = all_produced(client, topic, value=b"one", key=mark, headers=[("h", b"1")])
    assert (result.partition, result.offset) == (found.partition, found.offset) == (2, found.offset)


def check_a_batch(client: Client, topic: str) -> None:
    results = client.produce_batch([Record(topic, b"batch-%d" % number) for number in range(200)]).get(30)
    assert len(Record.verify_batch(results)) == 200
    found = {(record.value, record.partition, record.offset) for record in all_produced(client, topic)}
    assert {(result.value, result.partition, result.offset) for result in results} <= found


def check_callbacks(client: Client, topic: str) -> None:
    told: list[Record] = []
    for number in range(100):
        client.produce_async(Record(topic, b"async-%d" % number, partition=3), told.append)
    client.flush(30)
    assert [record.value for record in told] == [b"async-%d" % number for number in range(100)]
    offsets = [record.offset or 0 for record in told]
    assert offsets == sorted(offsets)


def check_order(client: Client, topic: str) -> None:
    mark = uuid.uuid4().bytes
    deliveries = [client.produce(Record(topic, b"%d" % number, key=mark)) for number in range(300)]
    for delivery in deliveries:
        delivery.get(30)
    assert [record.value for record in all_produced(client, topic, key=mark)] == [b"%d" % number for number in range(300)]


def check_bad_input(client: Client, topic: str) -> None:
    raises(InvalidRecordType, lambda: client.produce(Record(topic, "text")))  # type: ignore[arg-type]
    raises(UnknownTopic, lambda: client.produce(Record("no-such-topic", b"v")))
    raises(InvalidRecordType, lambda: client.produce_batch([Record(topic, b"v"), None]))  # type: ignore[list-item]


def check_waiting(client: Client, topic: str) -> None:
    delivery = client.produce(Record(topic, b"late"), producer="slow")
    error = raises(WaitTimeout, lambda: delivery.get(0.01))
    assert isinstance(error, TimeoutError)
    assert delivery.exception(30) is None
    assert delivery.done()


def check_failure(client: Client, topic: str) -> None:
    error = raises(ProduceError, lambda: client.produce(Record(topic, bytes(30_000))).get(30))
    assert error.error_code == 10


def check_backpressure(client: Client, topic: str) -> None:
    options = {"linger_ms": 20_000, "max_buffered_bytes": 50_000, "on_buffer_full": "raise"}
    with Client.start(OPTIONS, **options) as small:
        raises(BufferFull, lambda: [small.produce_async(Record(topic, bytes(9_000))) for _ in range(10)])
        small.flush(30)
        assert small.status().producers[0].delivered == 5


def check_looking(client: Client, topic: str) -> None:
    assert len(client.partitions(topic)) == PARTITIONS
    assert client.status().state == "running"
    assert "metadata" in str(client.tree())
    assert Client.get(client.name).produce(Record(topic, b"v")).get(30).error is None


CHECKS = [
    check_one_record,
    check_a_batch,
    check_callbacks,
    check_order,
    check_bad_input,
    check_waiting,
    check_failure,
    check_backpressure,
    check_looking,
]


def raises(kind: type[BaseException], call: Callable[[], object]) -> "ProduceError":
    try:
        call()
    except kind as error:
        return error  # type: ignore[return-value]
    raise AssertionError(f"{kind.__name__} was not raised")


def run_all(client: Client, topic: str, failures: list[str]) -> None:
    for check in CHECKS:
        began = monotonic()
        try:
            check(client, topic)
        except BaseException:
            failures.append(f"{check.__name__}: {traceback.format_exc()}")
        if (took := monotonic() - began) > LONGEST_SECONDS:
            failures.append(f"{check.__name__} took {took:.1f} s: somebody was not woken")


def run_in_threads(client: Client, topic: str, failures: list[str]) -> None:
    """Everything at once from several OS threads, while the main thread stays in gevent, as it must."""
    done: list[int] = []

    def work() -> None:
        run_all(client, topic, failures)
        done.append(threading.get_native_id())

    for _ in range(THREADS):
        get_original("_thread", "start_new_thread")(work, ())
    while len(done) < THREADS:
        gevent.sleep(0.02)
    assert len({*done, threading.get_native_id()}) == THREADS + 1, "threads of the system, not greenlets"


def main() -> int:
    failures: list[str] = []
    topic = f"smoke-{uuid.uuid4().hex[:8]}"
    options = {"max_block_ms": 1_000, "producers": [{"name": "slow", "linger_ms": 1_000}], "metadata_max_age_ms": 500}
    with KafkaCluster(brokers=1) as cluster:  # or however many there are
        cluster.create_topic(topic, PARTITIONS, config={"max.message.bytes": 20_000})
        client = Client.start(OPTIONS, **options)
        client.wait_ready(30)
        setup(client)
        if "threads" in sys.argv:
            run_in_threads(client, topic, failures)
        else:
            gevent.joinall([gevent.spawn(run_all, client, topic, failures) for _ in range(3)])
        report = client.stop(20)
        if report.undelivered:
            failures.append(f"stop left {report.undelivered} records")
    print("\n".join(failures) or "all checks hold")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
