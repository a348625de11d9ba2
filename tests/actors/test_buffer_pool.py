"""`BufferPool`: bytes are neither made nor lost, and who came first is served first."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klife import BufferFull
from klife.actors.producer.buffer_pool import BufferPool


def take(pool: BufferPool, size: int, served: list[int] | None = None, timeout: float = 5.0) -> Any:
    def run() -> None:
        pool.take(size, monotonic() + timeout, timeout)
        if served is not None:
            served.append(size)

    greenlet = gevent.spawn(run)
    gevent.sleep(0)
    return greenlet


def test_room_is_taken_and_given_back() -> None:
    pool = BufferPool(100, block=True)
    pool.take(60, monotonic(), 0)
    assert (pool.used, pool.room, pool.waiting) == (60, 40, 0)
    pool.give(60)
    assert (pool.used, pool.room) == (0, 100)


def test_waiters_are_served_in_the_order_they_came_even_if_a_later_one_would_fit() -> None:
    pool, served = BufferPool(100, block=True), []
    pool.take(100, monotonic(), 0)
    greenlets = [take(pool, size, served) for size in (80, 10, 30)]
    assert (pool.waiting, pool.used) == (3, 100)
    pool.give(50)
    gevent.sleep(0)
    assert served == []
    pool.give(40)
    gevent.joinall(greenlets[:2], timeout=5)
    assert served == [80, 10]
    pool.give(100)
    gevent.joinall(greenlets, timeout=5)
    assert served == [80, 10, 30]


def test_a_newcomer_queues_up_behind_those_who_wait() -> None:
    pool, served = BufferPool(100, block=True), []
    pool.take(90, monotonic(), 0)
    first = take(pool, 50, served)
    newcomer = take(pool, 5, served)
    assert pool.room == 0
    assert pool.waiting == 2
    pool.give(90)
    gevent.joinall([first, newcomer], timeout=5)
    assert served == [50, 5]


def test_a_wait_ends_at_its_deadline_and_the_next_in_line_is_not_held_up() -> None:
    pool, served = BufferPool(100, block=True), []
    pool.take(90, monotonic(), 0)
    impatient = take(pool, 50, timeout=0.01)
    next_one = take(pool, 10, served)
    with pytest.raises(BufferFull, match=r"max_block_ms \(10 ms\)") as caught:
        impatient.get(timeout=5)
    assert caught.value.retriable
    gevent.joinall([next_one], timeout=5)
    assert served == [10]
    assert pool.used == 100


def test_a_waiter_that_is_killed_leaves_the_queue() -> None:
    pool = BufferPool(100, block=True)
    pool.take(100, monotonic(), 0)
    waiting = take(pool, 10)
    waiting.kill()
    assert pool.waiting == 0
    pool.give(100)
    assert pool.room == 100


def test_a_waiter_killed_after_it_was_granted_gives_it_back() -> None:
    pool = BufferPool(100, block=True)
    pool.take(100, monotonic(), 0)
    waiting = take(pool, 10)
    waiting.kill(block=False)
    pool.give(100)
    gevent.joinall([waiting], timeout=5)
    assert (pool.used, pool.waiting) == (0, 0)


def test_in_raise_mode_nobody_waits() -> None:
    pool = BufferPool(100, block=False)
    pool.take(100, monotonic(), 0)
    with pytest.raises(BufferFull, match="on_buffer_full is 'raise'"):
        pool.take(1, monotonic() + 60, 60)
    assert pool.waiting == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(1, 60)),
            st.tuples(st.just("give"), st.integers(0, 10)),
            st.tuples(st.just("kill"), st.integers(0, 10)),
            st.tuples(st.just("turn"), st.just(0)),
        ),
        max_size=40,
    )
)
def test_whatever_is_done_bytes_are_conserved_and_order_is_kept(steps: list[tuple[str, int]]) -> None:
    pool = BufferPool(100, block=True)
    held: list[int] = []
    waiting: list[Any] = []
    asked, served = [], []

    def run(ticket: int, size: int) -> None:
        waits = size > pool.room
        pool.take(size, monotonic() + 60, 60)
        if waits:
            served.append(ticket)
        held.append(size)

    for ticket, (what, number) in enumerate(steps):
        if what == "take":
            asked.append(ticket)
            waiting.append(gevent.spawn(run, ticket, number))
            gevent.sleep(0)
        elif what == "give" and held:
            pool.give(held.pop(number % len(held)))
        elif what == "kill" and waiting:
            waiting[number % len(waiting)].kill(block=False)
        else:
            gevent.sleep(0)
        assert 0 <= pool.used <= pool.limit
        assert pool.room >= 0
        assert not (pool.waiting and pool.room)
    with gevent.Timeout(60):
        while not all(greenlet.dead for greenlet in waiting):
            gevent.sleep(0)
            while held:
                pool.give(held.pop())
    while held:
        pool.give(held.pop())
    assert (pool.used, pool.waiting, pool.room) == (0, 0, 100)
    assert served == sorted(served)
    assert set(served) <= set(asked)
