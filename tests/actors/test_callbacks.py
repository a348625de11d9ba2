"""Callbacks: in order, off everybody's way, and not without bound."""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event

from klife import Record
from tests.support.producer_parts import Parts
from tests.support.told_logs import told_logs


def ran(parts: Parts) -> None:
    callbacks = parts.producer.callbacks
    while unfinished := callbacks.unfinished():
        assert callbacks.wait_for(unfinished, monotonic() + 5)


def test_callbacks_of_a_partition_run_in_the_order_of_its_batches() -> None:
    parts, seen = Parts(), []
    parts.producer.hub_watch.due = 1e12  # on a busy machine a record would let the hub run, and callbacks with it
    batches = []
    for number in range(3):
        batch = parts.sent(2)
        parts.producer.callbacks.add(batch, 1, lambda record, number=number: seen.append((number, record.offset)))
        parts.delivered(batch, 10 * number)
        batches.append(batch)
    assert seen == []
    ran(parts)
    assert seen == [(0, 1), (1, 11), (2, 21)]


def test_one_that_raises_is_logged_without_contents_and_the_next_runs() -> None:
    parts, seen = Parts(), []
    batch = parts.sent()

    def broken(_record: Any) -> None:
        raise LookupError("mine")

    parts.producer.callbacks.add(batch, 0, broken)
    parts.producer.callbacks.add(batch, 0, lambda record: seen.append(record.offset))
    with told_logs() as logs:
        parts.delivered(batch)
        ran(parts)
    assert seen == [0]
    assert [entry["event"] for entry in logs] == ["delivery_callback_failed"]


def test_thousands_of_quick_ones_let_the_hub_run_meanwhile() -> None:
    parts, turns = Parts(), []
    count = 64 * 20
    batch = parts.sent(count)

    def takes_a_tenth_of_a_millisecond(_record: Any) -> None:
        began = monotonic()
        while monotonic() - began < 0.0001:
            pass
        turns.append(ticks)

    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while len(turns) < count:
            gevent.idle(priority=get_hub().loop.MAXPRI)
            ticks += 1

    ticker = gevent.spawn(tick)
    for index in range(count):
        parts.producer.callbacks.add(batch, index, takes_a_tenth_of_a_millisecond)
    parts.delivered(batch)
    ran(parts)
    ticker.join(5)
    assert len(turns) == count
    assert len(set(turns)) > 5, "the hub ran between them, and not only before and after"
    assert max(Counter(turns).values()) < 50, "twenty use up a turn, and there is a look before as many again have run"


def test_one_that_blocks_holds_up_its_own_partition_only() -> None:
    parts, seen, release = Parts([1, 1]), [], Event()
    slow, next_one, other = parts.sent(), parts.batch(), parts.sent(partition=1)
    parts.producer.callbacks.add(slow, 0, lambda _record: release.wait())
    for batch in (next_one, other):
        parts.producer.callbacks.add(batch, 0, lambda record: seen.append(record.partition))
    parts.delivered(slow)
    parts.send(next_one)
    parts.delivered(next_one)
    parts.delivered(other)
    gevent.sleep(0)
    gevent.sleep(0)
    assert seen == [1]
    release.set()
    ran(parts)
    assert seen == [1, 0]


def test_one_added_after_the_outcome_runs_soon() -> None:
    parts, seen = Parts(), []
    batch = parts.sent()
    parts.delivered(batch, 4)
    parts.producer.callbacks.add(batch, 0, lambda record: seen.append(record.offset))
    assert seen == []
    ran(parts)
    assert seen == [4]
    assert parts.producer.pool.used == 0


def test_one_added_by_a_callback_runs_too() -> None:
    parts, seen = Parts(), []
    batch = parts.sent()
    callbacks = parts.producer.callbacks
    callbacks.add(batch, 0, lambda _record: callbacks.add(batch, 0, lambda record: seen.append(record.offset)))
    parts.delivered(batch)
    ran(parts)
    assert seen == [0]


def test_one_added_from_another_thread_runs_in_the_home_thread() -> None:
    parts, seen, done = Parts(), [], Event()
    batch = parts.sent()
    parts.delivered(batch)

    def callback(record: Any) -> None:
        seen.append(record.offset)
        done.set()

    gevent.spawn(get_hub().threadpool.apply, parts.producer.callbacks.add, (batch, 0, callback))
    assert done.wait(5)
    assert seen == [0]


def test_the_bytes_of_a_batch_come_free_when_its_callbacks_begin_and_once() -> None:
    parts, used = Parts(), []
    batch = parts.sent(3)
    parts.producer.callbacks.add(batch, 0, lambda _record: used.append(parts.producer.pool.used))
    parts.delivered(batch)
    assert parts.producer.pool.used > 0
    ran(parts)
    assert used == [0]
    assert parts.producer.pool.used == 0


def test_callbacks_of_a_split_batch_run_when_all_of_it_is_settled() -> None:
    parts, seen = Parts(), []
    batch = parts.sent(2)
    parts.producer.callbacks.add(batch, 1, lambda record: seen.append(record.offset))
    parts.refused(batch, 10)
    for offset, piece in enumerate(list(parts.partition().pending)):
        parts.send(piece)
        parts.delivered(piece, offset)
        gevent.sleep(0)
    ran(parts)
    assert seen == [1]
    assert parts.producer.pool.used == 0


def test_one_that_produces_need_not_wait_behind_those_who_wait_for_it() -> None:
    parts, seen = Parts(), []
    pool = parts.producer.pool
    pool.block = True
    batch = parts.sent(2)

    def produces(_record: Any) -> None:
        began = monotonic()
        for _ in range(2):  # as much as it was called for
            parts.topic.append(Record("t", b"0123456789", partition=0))
        seen.append(monotonic() - began)

    parts.producer.callbacks.add(batch, 0, produces)
    pool.take(pool.room, 0.0, 0.0)  # the buffer is full
    others = [gevent.spawn(pool.take, pool.limit, monotonic() + 5, 5.0) for _ in range(3)]
    gevent.sleep(0)
    assert pool.waiting == 3
    parts.delivered(batch)
    ran(parts)
    assert seen, "it did not wait"
    assert pool.waiting == 3
    gevent.killall(others)
    assert pool.used == pool.limit


def test_one_that_waits_for_another_greenlet_that_produces_has_left_room_for_it() -> None:
    parts, seen = Parts(), []
    pool = parts.producer.pool
    pool.block = True
    batch = parts.sent(2)

    def hands_over(_record: Any) -> None:
        producing = gevent.spawn(parts.topic.append, Record("t", b"0123456789", partition=0))
        producing.join(5)
        seen.append(producing.ready())

    parts.producer.callbacks.add(batch, 0, hands_over)
    pool.take(pool.room, 0.0, 0.0)
    parts.delivered(batch)
    ran(parts)
    assert seen == [True]


def test_a_flush_does_not_wait_for_the_callbacks_of_later_records() -> None:
    parts, seen, release = Parts([1, 1]), [], Event()
    callbacks = parts.producer.callbacks
    first, later = parts.sent(), parts.sent(partition=1)
    callbacks.add(first, 0, lambda record: seen.append(record.partition))
    callbacks.add(later, 0, lambda _record: release.wait())
    parts.delivered(first)
    unfinished = callbacks.unfinished()
    parts.delivered(later)
    assert callbacks.wait_for(unfinished, monotonic() + 5)
    assert seen == [0]
    assert not callbacks.wait_for(callbacks.unfinished(), monotonic() + 0.01)
    release.set()
    ran(parts)


def test_what_an_exception_of_a_signal_handler_leaves_out_is_called_after_it() -> None:
    parts, seen = Parts(), []
    batch, next_one = parts.sent(3), parts.batch()

    def interrupted(_record: Any) -> None:
        raise SystemExit

    for index, callback in enumerate((interrupted, lambda _record: seen.append("second"), lambda _record: seen.append("third"))):
        parts.producer.callbacks.add(batch, index, callback)
    parts.producer.callbacks.add(next_one, 0, lambda _record: seen.append("of the next batch"))
    parts.delivered(batch)
    parts.send(next_one)
    parts.delivered(next_one)
    with pytest.raises(SystemExit):  # gevent hands it to the main greenlet
        ran(parts)
    ran(parts)
    assert seen == ["second", "third", "of the next batch"]
    assert parts.producer.pool.used == 0
