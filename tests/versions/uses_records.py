"""Uses of a producer with brokers that are well: what is in the log is what was produced, whichever way."""

from __future__ import annotations

from collections import defaultdict

import gevent

from klife import Record, RecordTooLarge
from tests.support.reader import codecs_in
from tests.versions.world import WAIT_SECONDS, World, equal, in_order, in_the_log_once, raises

HEADERS = [("trace", b"1"), ("trace", b"2"), ("none", None), ("ünï", b"\x00\xff")]
A_TIME = 1_600_000_000_123


def round_trip(world: World) -> None:
    """One record, waited for: key, value, headers, timestamp; a tombstone, an empty value, no key"""
    topic = world.topic(3)
    records = [
        Record(topic, b"value \x00\xff", b"key", HEADERS, timestamp_ms=A_TIME),
        Record(topic, None, b"key"),
        Record(topic, b"", b""),
        Record(topic, b"no key"),
        Record(topic, b"chosen", partition=2),
    ]
    with world.client() as client:
        results = [client.produce(record).get(WAIT_SECONDS) for record in records]
    for record, result in zip(records, results, strict=True):
        equal((result.key, result.value, tuple(result.headers)), (record.key, record.value, tuple(record.headers)), "a result")
    equal(results[0].timestamp_ms, A_TIME, "the timestamp of a result")
    equal(results[4].partition, 2, "the partition of a result")
    equal(results[1].partition, results[0].partition, "the partition of the same key")
    in_the_log_once(results, world.read(topic, len(results)))


def callbacks(world: World) -> None:
    """Callbacks: each called once, with its record's place, in the order of the partition"""
    topic, told = world.topic(3), []
    with world.client() as client:
        for number in range(1_000):
            client.produce_async(Record(topic, b"a:%d" % number, partition=number % 3), told.append)
        client.flush(WAIT_SECONDS)
    equal(len(told), 1_000, "calls")
    for partition in range(3):
        numbers = [int((each.value or b"")[2:]) for each in told if each.partition == partition]
        equal(numbers, list(range(partition, 1_000, 3)), f"the order of the calls of partition {partition}")
    found = world.read(topic, 1_000)
    in_the_log_once(told, found)
    in_order(found)


def batch(world: World) -> None:
    """A batch of records over two topics: results in its order"""
    topics = [world.topic(3), world.topic(1)]
    records = [Record(topics[number % 2], b"a:%d" % number, b"%d" % (number % 7)) for number in range(1_000)]
    with world.client() as client:
        results = Record.verify_batch(client.produce_batch(records).get(WAIT_SECONDS))
    equal([result.value for result in results], [record.value for record in records], "the order of the results")
    for topic in topics:
        of_topic = [result for result in results if result.topic == topic]
        in_the_log_once(of_topic, world.read(topic, len(of_topic)))


def keys(world: World) -> None:
    """Keyed records of eight greenlets: a key has one partition, and there the order of `produce`"""
    topic = world.topic(6)

    def work(worker: int) -> list[Record]:
        deliveries = [client.produce(Record(topic, b"%d:%d" % (worker, number), b"k%d" % worker)) for number in range(200)]
        return [delivery.get(WAIT_SECONDS) for delivery in deliveries]

    with world.client(batch_size_bytes=2_000) as client:
        workers = [gevent.spawn(work, worker) for worker in range(8)]
        gevent.joinall(workers, raise_error=True)
    results = [result for worker in workers for result in worker.value]
    found = world.read(topic, len(results))
    in_the_log_once(results, found)
    in_order(found)
    partitions = defaultdict(set)
    for read in found:
        partitions[read.key].add(read.partition)
    equal({len(used) for used in partitions.values()}, {1}, "partitions of a key")
    assert len(set().union(*partitions.values())) > 1, "all keys are in one partition"


def codecs(world: World) -> None:
    """gzip, snappy, lz4, zstd: read by another client, which checks the checksums"""
    numbers = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
    with world.client(producers=[{"name": codec, "compression_type": codec} for codec in numbers]) as client:
        for codec, number in numbers.items():
            topic = world.topic(1)
            records = [Record(topic, b"a:%d:" % each + b"x" * 1_000 + bytes(range(256)), b"k") for each in range(200)]
            results = Record.verify_batch(client.produce_batch(records, producer=codec).get(WAIT_SECONDS))
            in_the_log_once(results, world.read(topic, len(results)))
            with world.cluster.admin() as admin:
                equal(codecs_in(admin, topic), {number}, f"the codec in the log of {codec}")


def lower_promises(world: World) -> None:
    """acks 1, acks 0, and acks all without idempotence: all arrive, in order"""
    with world.client(
        batch_size_bytes=2_000,
        producers=[{"name": "one", "acks": 1}, {"name": "none", "acks": 0}, {"name": "plain", "enable_idempotence": False}],
    ) as client:
        for name in ("one", "none", "plain"):
            topic = world.topic(2)
            records = [Record(topic, b"a:%d" % number, partition=number % 2) for number in range(500)]
            results = Record.verify_batch(client.produce_batch(records, producer=name).get(WAIT_SECONDS))
            found = world.read(topic, 500)
            in_order(found)
            if name == "none":
                equal({result.offset for result in results}, {None}, "offsets with acks 0")
                equal(sorted(read.value for read in found), sorted(record.value for record in records), "with acks 0, the log")
            else:
                in_the_log_once(results, found)


def five_in_flight(world: World) -> None:
    """Five requests in flight, small batches, one partition: once each, in order"""
    topic = world.topic(1)
    seen: set[int] = set()

    def look() -> None:
        while True:
            seen.update(broker.in_flight for broker in client.status().brokers)
            gevent.sleep(0)

    with world.client(max_in_flight_requests=5, batch_size_bytes=1_000) as client:
        looking = gevent.spawn(look)
        deliveries = [client.produce(Record(topic, b"a:%d" % number + bytes(50))) for number in range(3_000)]
        results = [delivery.get(WAIT_SECONDS) for delivery in deliveries]
        looking.kill()
        equal(client.status().producers[0].retries, 0, "retries")
    assert max(seen) > 1, f"only {seen} requests were in flight"
    found = world.read(topic, len(results))
    equal([read.value for read in found], [result.value for result in results], "the log")
    in_the_log_once(results, found)


def too_large(world: World) -> None:
    """A batch over the topic's limit is split and arrives; a record over it is refused, and harms no other"""
    topic = world.topic(1, max_message_bytes=10_000)
    with world.client(linger_ms=50) as client:
        deliveries = [client.produce(Record(topic, b"a:%d:" % number + bytes(1_000))) for number in range(200)]
        refused = client.produce(Record(topic, bytes(20_000)))
        after = [client.produce(Record(topic, b"b:%d:" % number + bytes(1_000))) for number in range(20)]
        error = raises(RecordTooLarge, lambda: refused.get(WAIT_SECONDS))
        equal((error.error_code, error.possibly_persisted), (10, False), "code and fate of the large record")
        results = [delivery.get(WAIT_SECONDS) for delivery in deliveries + after]
    found = world.read(topic, len(results))
    in_the_log_once(results, found)
    in_order(found)


def append_time(world: World) -> None:
    """A topic of LogAppendTime: the result has the broker's time"""
    topic = world.topic(2, message_timestamp_type="LogAppendTime")
    with world.client() as client:
        records = [Record(topic, b"a:%d" % number, partition=number % 2, timestamp_ms=A_TIME) for number in range(20)]
        results = Record.verify_batch(client.produce_batch(records).get(WAIT_SECONDS))
    assert all((result.timestamp_ms or 0) > A_TIME for result in results), "the time is the record's own"
    in_the_log_once(results, world.read(topic, len(results)))


USES = [round_trip, callbacks, batch, keys, codecs, lower_promises, five_in_flight, too_large, append_time]
