"""`let_hub_run`: a full turn of the loop for everybody else, whoever asks for it and however many do."""

from __future__ import annotations

from time import monotonic

import gevent
import pytest

from klife_supervision.let_hub_run import let_hub_run


def work(seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        pass


def test_what_is_ready_runs_before_the_caller_goes_on() -> None:
    ran: list[str] = []
    loop = gevent.get_hub().loop
    loop.run_callback(ran.append, "callback")
    timer = loop.timer(0.001)
    timer.start(ran.append, "timer")
    work(0.003)
    let_hub_run()
    assert sorted(ran) == ["callback", "timer"]
    timer.close()


def test_it_takes_no_time_when_nothing_is_ready() -> None:
    let_hub_run()

    def seconds() -> float:
        began = monotonic()
        for _ in range(100):
            let_hub_run()
        return monotonic() - began

    assert min(seconds() for _ in range(10)) < 0.1  # a timer's millisecond each would be as much, each time


def test_many_who_work_in_slices_hold_a_timer_up_no_longer_than_some_of_them() -> None:
    slices: list[int] = []

    def busy(number: int) -> None:
        for _ in range(3):
            work(0.002)
            slices.append(number)
            let_hub_run()

    greenlets = [gevent.spawn(busy, number) for number in range(30)]
    gevent.sleep(0)  # each is in its first wait
    before = len(slices)
    gevent.sleep(0.001)
    assert len(slices) - before < 10
    gevent.joinall(greenlets, raise_error=True)
    rounds = [slices[start : start + 30] for start in range(0, 90, 30)]
    assert rounds == [list(range(30))] * 3, "each has its turn before any has another"


def test_one_that_is_killed_meanwhile_takes_no_other_s_turn() -> None:
    went_on: list[str] = []

    def waiting(name: str) -> None:
        let_hub_run()
        went_on.append(name)

    first, second, third = (gevent.spawn(waiting, name) for name in ("first", "second", "third"))
    gevent.sleep(0)
    second.kill()
    gevent.joinall([first, second, third], timeout=5)
    assert went_on == ["first", "third"]


def test_an_exception_thrown_into_it_ends_the_wait() -> None:
    greenlet = gevent.spawn(let_hub_run)
    gevent.sleep(0)
    greenlet.kill(ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        greenlet.get()
    let_hub_run()
