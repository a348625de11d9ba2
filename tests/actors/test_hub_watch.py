"""`HubWatch`: who produces in a tight loop lets the hub run, and nobody else does."""

from __future__ import annotations

from time import time_ns

import gevent
import pytest
from gevent.event import Event

from klife import ClientClosed, Record
from klife.actors.producer.hub_watch import HubWatch
from tests.support.producer_parts import Parts


def test_where_the_hub_did_not_run_between_two_looks_it_is_let_run() -> None:
    watch, ran = HubWatch(), []
    gevent.spawn(ran.append, True)
    looks = [watch.look(1_000 + ms, 1 + ms * 0.0009) for ms in range(2)]
    assert not any(looks)
    assert not ran
    assert watch.look(1_002, 1.002)
    assert ran


def test_a_record_that_let_the_hub_run_has_the_time_of_afterwards() -> None:
    watch, began = HubWatch(), time_ns() // 1_000_000

    def take_time() -> None:
        while time_ns() // 1_000_000 < began + 4:
            pass

    watch.look(began, 1.0)
    gevent.spawn(take_time)
    assert watch.look(began + 1, 1.01)
    assert watch.stamp >= began + 4


def test_where_the_hub_ran_by_itself_nobody_yields() -> None:
    watch = HubWatch()
    for now_ms in range(1_000, 1_100, 3):
        assert not watch.look(now_ms, now_ms / 1000)
        gevent.sleep(0)


def test_a_batch_is_opened_as_if_a_millisecond_had_begun_where_the_wall_clock_stands_still() -> None:
    parts = Parts()
    watch = parts.producer.hub_watch
    for due, looks_next in ((1e12, False), (0.0, True)):
        parts.topic.append(Record("t", b"v", partition=0))
        parts.partition().close()
        watch.looked_ms, watch.due = 2**60, due
        parts.topic.append(Record("t", b"v", partition=0), None, None, looks=False)
        assert (watch.looked_ms == -1) is looks_next


def test_a_callback_of_the_loop_is_not_made_to_wait_for_the_loop() -> None:
    watch, looks, done = HubWatch(), [], Event()

    def produce() -> None:
        looks.extend(watch.look(1_000 + ms, 1 + ms / 1000) for ms in range(10))
        done.set()

    gevent.get_hub().loop.run_callback(produce)
    assert done.wait(5)
    assert looks == [False] * 10


def test_what_is_produced_is_not_queued_when_the_client_was_stopped_while_the_hub_ran() -> None:
    parts = Parts()
    parts.producer.hub_watch.look(1, 0.0)
    gevent.spawn(parts.producer.close, "it was stopped")
    with pytest.raises(ClientClosed, match="it was stopped"):
        parts.topic.append(Record("t", b"v", partition=0))
    assert parts.producer.unsettled == parts.producer.pool.used == 0
