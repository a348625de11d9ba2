"""Keyless records of one call join their batch as if each had been queued by itself: in pure Python many at once,
in the compiled core one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from random import Random
from time import time_ns

import gevent
import pytest

import klife
from klife import Client, Murmur2Partitioner, Record
from klife.actors.producer import hub_watch, keyless_run, topic
from klife.actors.producer.delivery import Places
from tests.support.interruptions import Interrupted, at_place
from tests.support.producer_parts import Parts
from tests.support.scripted_broker import PATIENCE, ScriptedCluster

pure_only = pytest.mark.skipif(klife.compiled, reason="the compiled core queues each by itself")
LIMIT = 2_000


class Other(Record):
    """A record of a class of its own."""


def a_record(number: int, source: Random) -> Record:
    """Mostly a plain one."""
    value = b"%d " % number + bytes(source.randrange(60))
    kind = source.randrange(24)
    if kind == 0:
        return Record("orders", value, b"key")
    if kind == 1:
        return Record("orders", value, partition=0)
    if kind == 2:
        return Record("orders", value, headers=[("a", b"b")])
    if kind == 3:
        return Record("orders", value, timestamp_ms=1_700_000_000_000 + number)
    if kind == 4:
        return Record("orders", None)
    if kind == 5:
        return Other("orders", value)
    if kind == 6:
        return Record("payments", value)
    return Record("orders", value)


@pytest.mark.parametrize("seed", range(5))
def test_each_result_is_of_its_own_record(start_client: Callable[..., Client], seed: int) -> None:
    source = Random(seed)
    with ScriptedCluster(topics={"orders": 1, "payments": 1}) as cluster:
        client = start_client(cluster, batch_size_bytes=source.choice((300, LIMIT, 100_000)))
        for topic in ("orders", "payments"):
            client.produce(Record(topic, b"first")).get(PATIENCE)
        records = [a_record(number, source) for number in range(700)]
        results = client.produce_batch(records).get(PATIENCE)
        for topic in ("orders", "payments"):
            sent = [record for record in records if record.topic == topic]
            told = [result for result in results if result.topic == topic]
            assert cluster.log(topic)[1:] == [record.value or b"" for record in sent]
            assert [result.offset for result in told] == list(range(1, len(sent) + 1))
            for record, result in zip(sent, told, strict=True):
                assert (result.value, result.key, tuple(result.headers)) == (record.value, record.key, tuple(record.headers))
                if record.timestamp_ms is not None:
                    assert result.timestamp_ms == record.timestamp_ms
        assert client.status().buffered_bytes == 0


def sticking(**settings: int) -> Parts:
    """A producer whose keyless records stick to one of two partitions, where a batch is open."""
    parts = Parts(**settings)
    parts.producer.routing.topics.clear()
    parts.topic = parts.producer.routing.add_topic(parts.topic.info, Murmur2Partitioner())
    parts.topic.append(Record("t", b"first"))
    return parts


def test_in_the_middle_of_a_few_records_the_hub_is_not_let_run(
    start_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late the machine is: they leave in one request."""
    milliseconds = count(time_ns() // 1_000_000)
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"first")).get(PATIENCE)
        monkeypatch.setattr(hub_watch, "_EVERY", 0.0)
        for module in (topic, keyless_run):
            monkeypatch.setattr(module, "time_ns", lambda: next(milliseconds) * 1_000_000)
        gevent.sleep(0)  # the hub has run
        ran: list[bool] = []
        gevent.spawn(ran.append, True)
        delivery = client.produce_batch([Record("orders", b"v")] * 64)
        assert ran == []
        assert len(delivery.get(PATIENCE)) == 64


@pure_only
def test_as_many_join_as_the_batch_has_room_for() -> None:
    records = [Record("t", bytes(100)) for _ in range(50)]
    together, one_by_one = sticking(batch_size_bytes=LIMIT), sticking(batch_size_bytes=LIMIT)
    open_at_first = together.partition().open
    places = Places(len(records), None)
    joined = keyless_run.join(together.topic, records, 0, places, True)
    assert 0 < joined < len(records)
    for record in records[:joined]:
        one_by_one.topic.append(record)
    ours, theirs = together.partition().open, one_by_one.partition().open
    assert ours is not None
    assert theirs is not None
    assert ours is open_at_first
    assert (ours.count, ours.size) == (theirs.count, theirs.size)
    assert ours.size <= LIMIT < ours.size + (ours.size - 14) // joined
    assert together.producer.pool.used == one_by_one.producer.pool.used == ours.size
    assert places.batches[:joined] == [ours] * joined
    assert places.batches[joined:] == [None] * (len(records) - joined)
    assert list(places.indices[:joined]) == list(range(1, joined + 1))
    assert keyless_run.join(together.topic, records, joined, places, True) == 0


@pure_only
def test_none_joins_without_room_in_the_buffer() -> None:
    parts = sticking()
    pool = parts.producer.pool
    pool.take(pool.room - 300, 0.0, 0.0)
    records, places = [Record("t", bytes(100)) for _ in range(9)], Places(9, None)
    joined = keyless_run.join(parts.topic, records, 0, places, True)
    assert joined == 2
    assert keyless_run.join(parts.topic, records, joined, places, True) == 0
    assert 0 <= pool.room < 300


def what_interrupts(parts: Parts, values: list[bytes | None]) -> None:
    record = Record("t", b"in between")
    values.append(record.value)
    parts.topic.append(record)


def what_sends(parts: Parts, values: list[bytes | None]) -> None:
    what_interrupts(parts, values)
    for batch in parts.drained(1e12):
        parts.delivered(batch, 0)


@pure_only
@pytest.mark.parametrize("raises", [False, True], ids=["goes on", "raises"])
@pytest.mark.parametrize("intruder", [what_interrupts, what_sends], ids=lambda each: each.__name__)
def test_a_run_is_taken_whole_or_not_at_all(intruder: Callable[[Parts, list[bytes | None]], None], raises: bool) -> None:
    for number in count():
        parts, values = sticking(), []
        first = parts.partition().open
        records, places = [Record("t", b"%d" % each) for each in range(3)], Places(3, None)

        def run(parts: Parts = parts, values: list[bytes | None] = values) -> None:
            intruder(parts, values)
            if raises:
                raise Interrupted

        with suppress(Interrupted), at_place(number, run) as ran:
            keyless_run.join(parts.topic, records, 0, places, True)
        batches = {batch for batch in (first, parts.partition().open) if batch is not None}
        found = [value for batch in batches for value in batch.fields[1::4]]
        joined = [record.value for record, batch in zip(records, places.batches, strict=True) if batch is not None]
        assert joined in ([], [record.value for record in records])
        assert sorted(found) == sorted([b"first", *values, *joined])
        for batch in batches:
            assert batch.count == len(batch.fields) // 4
        for place, batch in enumerate(places.batches):
            assert batch is None or batch.fields[4 * places.indices[place] + 1] == records[place].value
        assert parts.producer.pool.used == sum(batch.size for batch in batches if not batch.is_set)
        if not ran[0]:
            break
    assert number > 10, "there are places"
    assert joined, "undisturbed, they join"
