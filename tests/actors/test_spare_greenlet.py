"""`SpareGreenlet`: calls meet nothing of each other, wait for nobody, and mostly need one greenlet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from threading import Thread
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent
from gevent.event import Event
from gevent.local import local

from klife.actors.runtime.latch import Latch
from klife.actors.runtime.spare_greenlet import SpareGreenlet

SPOKEN: ContextVar[str] = ContextVar("spoken", default="nothing")


@pytest.fixture
def spare() -> Iterator[SpareGreenlet]:
    spare = SpareGreenlet(get_hub())
    yield spare
    spare.close()


def called(spare: SpareGreenlet, function: Callable[[], object]) -> int:
    """The number of the greenlet in which `function` was called, and had ended."""
    where: list[int] = []
    over = Latch()

    def call() -> None:
        where.append(id(getcurrent()))
        try:
            function()
        finally:
            over.set()

    spare.call(call)
    assert over.wait(5)
    gevent.sleep(0)
    return where.pop()


def nothing() -> None:
    pass


def test_one_greenlet_has_all_calls_that_leave_nothing_behind(spare: SpareGreenlet) -> None:
    def waits() -> None:
        with gevent.Timeout(5):
            gevent.sleep(0)

    first = called(spare, nothing)
    assert [called(spare, waits), called(spare, nothing), called(spare, nothing)] == [first] * 3
    assert spare.parked is not None


def test_who_waits_holds_up_nobody(spare: SpareGreenlet) -> None:
    release, seen = Event(), []

    def slow(number: int) -> None:
        release.wait()
        seen.append(number)

    for number in range(3):
        spare.call(slow, number)
        spare.call(seen.append, -number)
    gevent.sleep(0)
    assert seen == [0, -1, -2]
    release.set()
    gevent.sleep(0.01)
    assert sorted(seen[3:]) == [0, 1, 2]


@pytest.mark.parametrize("leaves", ["a local", "an attribute", "a link", "a timeout", "a reference"])
def test_what_is_left_on_its_greenlet_no_other_call_meets(spare: SpareGreenlet, leaves: str) -> None:
    mine, held = local(), []

    def leave() -> None:
        me = getcurrent()
        if leaves == "a local":
            mine.value = 1
        elif leaves == "an attribute":
            me.value = 1
        elif leaves == "a link":
            me.link(held.append)
        elif leaves == "a timeout":
            held.append(gevent.Timeout.start_new(60))
        else:
            held.append(me)

    called(spare, leave)
    assert spare.parked is None  # its greenlet has ended
    found: list[Any] = []
    called(spare, lambda: found.append((getattr(mine, "value", None), getattr(getcurrent(), "value", None))))
    assert found == [(None, None)]
    for left in held:
        if isinstance(left, gevent.Timeout):
            left.close()


def test_what_is_set_in_the_context_no_other_call_meets(spare: SpareGreenlet) -> None:
    heard: list[str] = []
    first = called(spare, lambda: SPOKEN.set("secret"))
    assert called(spare, lambda: heard.append(SPOKEN.get())) == first
    assert heard == ["nothing"]


@pytest.mark.parametrize("with_work", [False, True])
def test_killed_while_it_waits_it_is_made_anew_and_nothing_is_left_out(spare: SpareGreenlet, with_work: bool) -> None:
    called(spare, nothing)
    seen: list[int] = []
    if with_work:
        spare.call(seen.append, 1)
    spare.parked.kill(block=not with_work)
    spare.call(seen.append, 2)
    gevent.sleep(0.01)
    assert seen == ([1, 2] if with_work else [2])


def test_what_ends_the_greenlet_of_one_call_leaves_the_others_theirs(spare: SpareGreenlet) -> None:
    seen: list[int] = []

    def ends() -> None:
        raise gevent.GreenletExit

    spare.call(ends)
    spare.call(seen.append, 1)
    gevent.sleep(0.01)
    assert seen == [1]


def test_closed_it_calls_on_and_keeps_none(spare: SpareGreenlet) -> None:
    called(spare, nothing)
    kept = spare.parked
    spare.close()
    kept.join(5)
    assert kept.dead
    seen: list[int] = []
    spare.call(seen.append, 1)
    gevent.sleep(0.01)
    assert seen == [1]
    assert spare.parked is None


def test_closed_by_another_thread_it_keeps_none(spare: SpareGreenlet) -> None:
    called(spare, nothing)
    kept = spare.parked
    thread = Thread(target=spare.close)
    thread.start()
    thread.join()
    kept.join(5)
    assert kept.dead


def test_nobody_keeps_what_it_was_called_for(spare: SpareGreenlet) -> None:
    from weakref import ref

    class Heavy:
        def call(self) -> None:
            pass

    heavy = Heavy()
    gone = ref(heavy)
    spare.call(heavy.call)
    del heavy
    gevent.sleep(0.01)
    assert spare.parked is not None
    assert gone() is None
