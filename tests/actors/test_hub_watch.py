"""`HubWatch`: who produces in a tight loop lets the hub run, and nobody else does."""

from __future__ import annotations

import gevent
import pytest
from producer_parts import Parts

from klife import ClientClosed, Record
from klife.actors.producer.hub_watch import HubWatch

YEARS_MS = 10**11


def test_where_the_hub_did_not_run_between_two_looks_it_is_let_run() -> None:
    watch, ran = HubWatch(), []
    gevent.spawn(ran.append, True)
    looks = [watch.look(now_ms) for now_ms in (1_000, 1_001, 1_002)]
    assert not any(looks)
    assert not ran
    assert watch.look(1_003)
    assert ran


def test_where_the_hub_ran_by_itself_nobody_yields() -> None:
    watch = HubWatch()
    for now_ms in range(1_000, 1_100, 3):
        assert not watch.look(now_ms)
        gevent.sleep(0)


def test_where_a_batcher_says_that_the_hub_ran_nobody_yields() -> None:
    watch = HubWatch()
    for now_ms in range(1_000, 1_100):
        assert not watch.look(now_ms)
        watch.hub_ran(now_ms / 1000)


def test_a_wall_clock_that_is_set_back_stops_no_watch() -> None:
    watch = HubWatch()
    watch.hub_ran(YEARS_MS / 1000)
    assert not watch.look(1_000)
    assert watch.look(1_003)


def test_what_is_produced_is_not_queued_when_the_client_was_stopped_while_the_hub_ran() -> None:
    parts = Parts()
    parts.accumulator.hub_watch.look(1)
    gevent.spawn(parts.accumulator.close, "it was stopped")
    with pytest.raises(ClientClosed, match="it was stopped"):
        parts.route.append(Record("t", b"v", partition=0))
    assert parts.accumulator.unsettled == parts.accumulator.pool.used == 0
