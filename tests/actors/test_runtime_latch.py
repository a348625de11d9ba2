"""`Latch`: greenlets and threads wait for one event, and nobody is woken who is not waiting any more."""

from __future__ import annotations

import gc
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import GreenletExit, get_hub, getcurrent
from gevent.monkey import get_original
from greenlet import greenlet as bare_greenlet

import klife
from klife.actors.runtime.latch import Latch
from klife_supervision.let_hub_run import let_hub_run
from tests.support.interruptions import KLIFE, Interrupted, at_place

start_thread = get_original("_thread", "start_new_thread")
allocate_lock = get_original("_thread", "allocate_lock")
sleep_thread = get_original("time", "sleep")


def in_thread(function: Any) -> Any:
    """Run `function` in an OS thread; the result waits for it in this thread's hub, which goes on running."""
    return gevent.spawn(get_hub().threadpool.apply, function)


def test_a_set_latch_lets_everyone_through_at_once() -> None:
    latch = Latch()
    latch.set()
    latch.set()
    assert latch.wait()
    assert latch.wait(0)


def test_a_wait_of_no_time_looks_and_goes() -> None:
    assert not Latch().wait(0)
    assert not Latch().wait(-1)
    assert not Latch().wait(float("nan"))  # a timer of so many seconds would hold the loop, and all greenlets, for good


def test_greenlets_are_woken_in_the_order_they_came_and_in_one_turn_of_the_loop(never_late: None) -> None:
    latch, woken, loop = Latch(), [], get_hub().loop
    greenlets = [gevent.spawn(lambda number=number: (latch.wait(), woken.append((number, loop.iteration)))) for number in range(10)]
    gevent.sleep(0)
    latch.set()
    assert woken == []
    gevent.joinall(greenlets)
    numbers, turns = zip(*woken, strict=True)
    assert numbers == tuple(range(10))
    assert len(set(turns)) == 1


def test_latches_set_in_one_turn_let_their_waiters_go_in_the_order_they_were_set() -> None:
    first, second, woken = Latch(), Latch(), []
    greenlets = [gevent.spawn(lambda latch=latch: (latch.wait(), woken.append(latch))) for latch in (second, first, second, first)]
    gevent.sleep(0)
    first.set()
    second.set()
    gevent.joinall(greenlets)
    assert woken == [first, first, second, second]


def test_many_waiters_that_take_their_time_do_not_keep_the_hub() -> None:
    loop = get_hub().loop  # first: a latch that is made where there is no hub has none for its home
    latches, turns = [Latch() for _ in range(10)], []

    def work(latch: Latch) -> None:
        latch.wait()
        turns.append((latch, loop.iteration))
        until = monotonic() + 0.001
        while monotonic() < until:
            pass

    greenlets = [gevent.spawn(work, latch) for latch in latches for _ in range(2)]
    gevent.sleep(0)
    for latch in latches:
        latch.set()
    gevent.joinall(greenlets)
    assert [latch for latch, _ in turns] == [latch for latch in latches for _ in range(2)]
    in_a_turn = Counter(iteration for _, iteration in turns)
    assert max(in_a_turn.values()) <= 3  # two milliseconds are over with the second or third


def test_waiters_that_wake_one_another_share_their_turns_too() -> None:
    loop = get_hub().loop
    latches, turns = [Latch() for _ in range(11)], []

    def work(number: int) -> None:
        latches[number].wait()
        turns.append(loop.iteration)
        until = monotonic() + 0.001
        while monotonic() < until:
            pass
        latches[number + 1].set()

    greenlets = [gevent.spawn(work, number) for number in range(10)]
    gevent.sleep(0)
    latches[0].set()
    gevent.joinall(greenlets)
    assert max(Counter(turns).values()) <= 3


def hold_the_hub(seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        pass


def test_many_whose_time_is_up_at_once_do_not_keep_the_hub() -> None:
    loop = get_hub().loop
    latch, turns = Latch(), []

    def work() -> None:
        assert not latch.wait(0.01)
        turns.append(loop.iteration)
        hold_the_hub(0.001)

    greenlets = [gevent.spawn(work) for _ in range(20)]
    gevent.sleep(0)  # all have begun to wait
    hold_the_hub(0.02)  # until all are due
    gevent.joinall(greenlets)
    assert len(turns) == 20
    assert max(Counter(turns).values()) <= 3


def test_who_is_killed_when_its_time_is_up_is_not_switched_to_again() -> None:
    latch, seen = Latch(), []

    def use_the_turn_up() -> None:
        latch.wait(0.01)
        hold_the_hub(0.005)

    def be_late() -> None:
        try:
            latch.wait(0.015)
        except GreenletExit:
            seen.append("killed")
        get_hub().switch()  # nobody knows of it, so nobody wakes it
        seen.append("woken")

    first, second = gevent.spawn(use_the_turn_up), gevent.spawn(be_late)
    gevent.sleep(0)
    hold_the_hub(0.03)
    first.join(5)
    second.kill(block=False)
    for _ in range(10):
        let_hub_run()
    assert seen == ["killed"]


if not klife.compiled:  # where signal handlers are called in the middle, and may raise

    @contextmanager
    def interrupted(number: int, *within: str) -> Iterator[list[bool]]:
        """The block is interrupted at the place of that number; told is whether there was one."""
        me = getcurrent()

        def interrupt() -> None:
            raise Interrupted

        with at_place(number, interrupt, within or (KLIFE,), lambda: getcurrent() is me) as ran, suppress(Interrupted):
            yield ran

    def check_that_nothing_switches_here() -> None:
        assert not gevent.event.Event().wait(0.005), "an event is switched to by nobody else"

    @pytest.mark.parametrize("is_set", [False, True])
    def test_who_is_interrupted_when_its_time_is_up_is_not_switched_to_again_either(is_set: bool) -> None:
        for number in count():
            latch = Latch(get_hub())
            if is_set:
                get_hub().loop.timer(0.001).start(latch.set)
            with interrupted(number) as ran:
                latch.wait(0.001)
            latch.set()
            check_that_nothing_switches_here()
            if not ran[0]:
                break
        assert number > 10, "there are places"

    def test_who_is_interrupted_away_from_home_leaves_nothing_that_keeps_the_loop() -> None:
        def kept() -> int:
            return sum(type(each).__name__ == "async_" and each.active for each in gc.get_objects())

        before = kept()
        for number in count():
            latch = Latch("elsewhere")
            with interrupted(number) as ran:
                latch.wait(0.001)
            assert kept() == before
            latch.set()
            check_that_nothing_switches_here()
            if not ran[0]:
                break
        assert number > 10, "there are places"

    def test_nor_who_is_interrupted_while_it_lets_the_hub_run() -> None:
        for number in count():
            with interrupted(number, str(Path(let_hub_run.__code__.co_filename).parent)) as ran:
                let_hub_run()
            check_that_nothing_switches_here()
            if not ran[0]:
                break
        assert number > 5, "there are places"


def test_a_waiter_that_ends_with_an_exception_takes_no_other_along() -> None:
    latch, woken = Latch(), []

    def fail() -> None:
        latch.wait()
        raise ZeroDivisionError

    bare = bare_greenlet(fail, gevent.get_hub())  # a gevent.Greenlet would keep its exception to itself
    gevent.get_hub().loop.run_callback(bare.switch)
    greenlets = [gevent.spawn(lambda number=number: (latch.wait(), woken.append(number))) for number in range(2)]
    gevent.sleep(0)
    latch.set()
    gevent.joinall(greenlets, timeout=5)
    assert woken == [0, 1]
    assert bare.dead


def test_a_wait_that_times_out_never_ends_early() -> None:
    for timeout in (0.001, 0.0015, 0.003):
        for _ in range(10):
            began = monotonic()
            assert not Latch().wait(timeout)
            assert monotonic() - began >= timeout


def test_a_waiter_that_timed_out_is_not_woken_by_a_later_set() -> None:
    latch = Latch()
    assert not latch.wait(0.001)
    latch.set()
    began = monotonic()
    gevent.sleep(0.005)
    assert monotonic() - began >= 0.004


def test_a_killed_waiter_gets_no_stray_switch_in_its_next_wait() -> None:
    latch, later = Latch(), Latch()
    seen = []

    def waiter() -> None:
        try:
            latch.wait()
        except gevent.GreenletExit:
            seen.append(later.wait(0.01))

    greenlet = gevent.spawn(waiter)
    gevent.sleep(0)
    greenlet.kill(block=False)
    latch.set()  # the kill and the wake-up come in the same turn of the loop
    greenlet.join()
    assert seen == [False]


def test_a_switch_from_elsewhere_does_not_end_a_wait() -> None:
    latch = Latch()
    greenlet = gevent.spawn(latch.wait)
    gevent.sleep(0)
    get_hub().loop.run_callback(greenlet.switch)
    gevent.sleep(0)
    assert not greenlet.dead
    latch.set()
    assert greenlet.get(timeout=10)


def test_waiting_in_the_hub_is_refused_instead_of_stopping_everything() -> None:
    raised: list[Any] = []

    def in_hub() -> None:
        assert getcurrent() is get_hub()
        try:
            Latch().wait()
        except RuntimeError as error:
            raised.append(error)

    get_hub().loop.run_callback(in_hub)
    gevent.sleep(0)
    assert "gevent.spawn" in str(raised[0])


def test_a_thread_waits_without_stopping_the_hub() -> None:
    latch = Latch()
    waiting = in_thread(lambda: latch.wait(5))
    for _ in range(3):
        gevent.sleep(0)
    latch.set()
    assert waiting.get(timeout=5) is True


def test_a_thread_may_wait_for_ever() -> None:
    latch = Latch()
    waiting = in_thread(lambda: latch.wait(float("inf")))
    while not latch._locks:
        gevent.idle()
    latch.set()
    assert waiting.get(timeout=5)


def test_a_thread_s_wait_times_out() -> None:
    latch = Latch()
    assert in_thread(lambda: latch.wait(0.01)).get(timeout=5) is False
    assert not latch._locks


def test_a_thread_wakes_the_greenlets_of_another() -> None:
    latch = Latch()
    greenlets = [gevent.spawn(latch.wait, 5) for _ in range(3)]
    gevent.sleep(0)
    in_thread(latch.set).get(timeout=5)
    gevent.joinall(greenlets, timeout=5)
    assert [greenlet.value for greenlet in greenlets] == [True] * 3


def test_many_threads_that_come_and_go_while_it_is_set_all_get_through() -> None:
    for _ in range(30):
        latch, done, finished = Latch(), [], allocate_lock()
        finished.acquire()

        def waiter(latch: Latch = latch, done: list[bool] = done, finished: Any = finished) -> None:
            done.append(latch.wait(5))
            if len(done) == 4:
                finished.release()

        for _ in range(4):
            start_thread(waiter, ())
        latch.set()
        assert finished.acquire(True, 5)
        assert done == [True] * 4


def test_a_home_given_by_number_makes_the_maker_a_stranger() -> None:
    latch = Latch(home=-1)
    assert not latch.wait(0.001)
    latch.set()
    assert latch.wait(1)


@pytest.mark.parametrize("count", [1, 50])
def test_kills_of_some_waiters_leave_the_others(count: int) -> None:
    latch = Latch()
    greenlets = [gevent.spawn(latch.wait) for _ in range(2 * count)]
    gevent.sleep(0)
    for greenlet in greenlets[::2]:
        greenlet.kill(block=False)
    latch.set()
    gevent.joinall(greenlets, timeout=5)
    assert [greenlet.value for greenlet in greenlets[1::2]] == [True] * count


def test_after_a_hub_that_stood_still_what_has_arrived_counts_though_the_time_is_up() -> None:
    latch, loop = Latch(), get_hub().loop
    ours, theirs = socket.socketpair()
    reader = loop.io(ours.fileno(), 1)

    def can_read() -> None:  # as a connection does: what it reads is judged in a later turn
        reader.stop()
        loop.run_callback(loop.run_callback, loop.run_callback, latch.set)

    reader.start(can_read)
    waiter = gevent.spawn(latch.wait, 0.1)
    gevent.sleep(0)
    theirs.send(b"answer")
    time.sleep(1.3)
    assert waiter.get(timeout=5)
    reader.close()
    ours.close()
    theirs.close()


def test_a_latch_of_no_hub_is_waited_for_in_each_thread_s_own() -> None:
    latch = Latch(home=object())
    greenlets = [gevent.spawn(latch.wait, 5) for _ in range(2)]
    gevent.sleep(0)
    in_thread(latch.set).get(timeout=5)
    gevent.joinall(greenlets, timeout=5)
    assert [greenlet.value for greenlet in greenlets] == [True] * 2
