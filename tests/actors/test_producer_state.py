"""`Producer`: the identity, the books and the end of a producer."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

import gevent
import pytest

from klife import ClientClosed, ProduceError, Record
from klife.actors.producer.batch import Batch
from klife.actors.producer.batcher import Batcher, Batchers
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.producer.identity import Identities, Identity
from klife.actors.producer.partition import Partition
from klife.actors.producer.producer import Producer
from klife.actors.producer.topic import Topic
from klife.actors.runtime import loop_budget
from tests.support.producer_parts import Parts

# identity


def test_an_epoch_is_bumped_only_from_the_one_that_was_lost() -> None:
    parts = Parts()
    parts.producer.identities.bump(Identity(9, 0))
    assert parts.producer.identity is parts.identity
    parts.producer.identities.bump(parts.identity)
    parts.producer.identities.bump(parts.identity)
    assert parts.producer.identity.epoch == 1


def test_nothing_below_the_producer_has_the_identities_that_it_could_bump() -> None:
    parts = Parts([1, 1])
    parts.sent()
    producer = parts.producer
    seen: dict[int, Any] = {}
    left: list[Any] = [parts.topic, parts.partition(), parts.batcher(), producer.batchers, producer.routing, producer.deadlines]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if isinstance(each, (list, tuple, set, deque)):
            left += each
        elif isinstance(each, dict):
            left += [*each, *each.values()]
        elif type(each).__module__.startswith("klife.actors.producer."):
            fields = [name for cls in type(each).__mro__ for name in vars(cls)] + list(getattr(each, "__dict__", ()))
            left += [getattr(each, name, None) for name in fields if not name.startswith("__")]
    kinds = {type(each) for each in seen.values()}
    assert {Topic, Partition, Batch, Batcher, Batchers, Identity} <= kinds
    assert Identities not in kinds
    assert Producer not in kinds


# the end


def test_what_is_abandoned_is_failed_or_possibly_persisted_and_counted() -> None:
    parts = Parts()
    in_flight, queued = parts.sent(2), parts.batch(3)
    open_one = parts.topic.append(Record("t", b"v", partition=0))._batch
    assert parts.producer.abandon("the end came") == 6
    for batch, unknown in ((in_flight, True), (queued, False), (open_one, False)):
        error = batch.result(0).error
        assert isinstance(error, ProduceError)
        assert error.possibly_persisted is unknown
        assert "the end came" in str(error)
    assert (parts.producer.unsettled, parts.producer.settlement.failed_records, parts.producer.pool.used) == (0, 6, 0)
    assert parts.partition().empty


def test_the_hub_runs_while_much_is_abandoned_and_what_is_settled_meanwhile_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts([1] * 4)
    batches = [parts.sent(1, partition) for partition in range(4)]
    monkeypatch.setattr(loop_budget, "TURN_SECONDS", 0)  # each turn is over at once
    answered = gevent.spawn(lambda: parts.producer.settlement.delivered(parts.partition(3), batches[3], 7, -1))
    assert parts.producer.abandon("the end came", lets_hub_run=True) == 3
    assert answered.ready()
    assert [batch.result(0).error is None for batch in batches] == [False, False, False, True]
    assert parts.producer.unsettled == 0


def test_the_hub_runs_while_thousands_flush_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, turns = Parts(), []
    loop = gevent.get_hub().loop
    monkeypatch.setattr(loop_budget, "TURN_SECONDS", 0)

    def flush() -> None:
        parts.producer.flush(monotonic() + 5)  # there is nothing to wait for
        turns.append(loop.iteration)

    gevent.joinall([gevent.spawn(flush) for _ in range(10)], timeout=5)
    assert len(turns) == 10
    assert turns[0] < turns[-1], "the first begins a turn, and the others find it over"


def test_only_what_was_never_sent_fails_when_it_never_can_be() -> None:
    parts = Parts()
    in_flight, queued = parts.sent(), parts.batch()
    parts.producer.fail_unsent(lambda topic, partition: ProduceError(f"no id for {topic}-{partition}"))
    assert not in_flight.is_set
    assert str(queued.result(0).error) == "no id for t-0"
    assert parts.partition().empty


def test_a_closed_producer_says_why() -> None:
    parts = Parts()
    parts.producer.close("it was stopped")
    parts.producer.close("twice")
    error = parts.producer.closed_error()
    assert isinstance(error, ClientClosed)
    assert "it was stopped" in str(error)


def test_the_counters_count_records() -> None:
    parts = Parts()
    parts.delivered(parts.sent(3))
    parts.refused(parts.sent(2), 29)
    parts.batch(4)
    producer = parts.producer
    assert (producer.settlement.delivered_records, producer.settlement.failed_records, producer.unsettled) == (3, 2, 4)


def test_an_outcome_is_final() -> None:
    parts = Parts()
    batch = parts.sent()
    parts.delivered(batch, 7)
    parts.failed(batch, ProduceError("too late"))
    assert batch.result(0).offset == 7
    assert (parts.producer.settlement.delivered_records, parts.producer.settlement.failed_records, parts.producer.pool.used) == (
        1,
        0,
        0,
    )


def test_nothing_lingers_while_callers_wait_for_buffer_space() -> None:
    parts = Parts(linger=15.0)
    changes: list[float] = []
    pool = BufferPool(100, block=True)
    pool.on_pressure = parts.producer.skip_linger
    pool.take(pool.limit, monotonic() + 60, 60)
    waiting = gevent.spawn(pool.take, 1, monotonic() + 60, 60)
    gevent.sleep(0)
    changes.append(parts.producer.terms.linger)
    pool.give(pool.limit)
    waiting.get()
    changes.append(parts.producer.terms.linger)
    assert changes == [0.0, 15.0]


# the two ways in which a batch is delivered


class AnyWaiter:
    """Waits for a batch, and is called back by it."""

    def __init__(self, parts: Parts, batch: Batch, callback: bool) -> None:
        self.called: list[int | None] = []
        self.greenlet = gevent.spawn(batch.wait, 10.0)
        if callback:
            parts.producer.callbacks.add(batch, 1, lambda record: self.called.append(record.offset))
        gevent.sleep(0)


def all_that_is_seen(parts: Parts, batch: Batch, waiter: AnyWaiter | None) -> list[object]:
    producer, partition = parts.producer, parts.partition()
    if waiter is not None:
        assert waiter.greenlet.get(timeout=10.0)
        gevent.sleep(0)
    results = [batch.result(index) for index in range(batch.count)]
    return [
        [(each.offset, each.timestamp_ms, each.value, each.error) for each in results],
        (batch.is_set, batch.base_offset, batch.append_time_ms, batch.error, batch.wire, batch.in_flight),
        (producer.settlement.delivered_records, producer.settlement.failed_records, producer.unsettled, producer.pool.used),
        (partition.in_flight, partition.log.accepted is batch.identity, partition.log.accepted_ordinal, partition.failures),
        waiter.called if waiter is not None else None,
    ]


@pytest.mark.parametrize("offset", [7, 0, -1])
@pytest.mark.parametrize("append_time_ms", [-1, 123_456])
@pytest.mark.parametrize("waits", [None, False, True])
def test_the_short_way_to_deliver_a_batch_comes_to_what_the_long_one_does(offset: int, append_time_ms: int, waits: bool | None) -> None:
    seen = []
    for short in (True, False):
        parts = Parts()
        for time in (988, 989):
            batch = parts.topic.append(Record("t", b"v", partition=0, timestamp_ms=time))._batch
        parts.partition().close()
        parts.send(batch)
        waiter = AnyWaiter(parts, batch, waits) if waits is not None else None
        if short:
            parts.delivered(batch, offset, append_time_ms)
        else:
            assert parts.partition().written(batch) is None
            parts.producer.settlement._end_in_log(None, batch, offset, append_time_ms)
        seen.append(all_that_is_seen(parts, batch, waiter))
    assert seen[0] == seen[1]
