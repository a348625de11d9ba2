"""When an inbox wakes its actor."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest
from gevent import get_hub

from klife.actors.runtime.inbox import Inbox
from tests.support.broker_thread import in_thread

LATEST_SECONDS = 0.001


@pytest.fixture
def busy_loop() -> Iterator[None]:
    """A loop that always has an event, so that nothing which waits for it to be idle ever comes."""
    watcher = get_hub().loop.async_()
    watcher.start(watcher.send)
    watcher.send()
    yield
    watcher.stop()
    watcher.close()


def gathered(inbox: Inbox) -> float:
    """Seconds from `wake_when_idle` to the wake-up."""
    began = monotonic()
    get_hub().loop.update_now()  # its time is that of the turn's begin; on a busy machine the wait might be over by now
    inbox.wake_when_idle()
    inbox.park()
    inbox.woken = False
    return monotonic() - began


def test_an_idle_loop_wakes_at_once_when_it_was_asked_to_wait_for_that() -> None:
    inbox = Inbox()
    assert gathered(inbox) < 10.0
    assert inbox.idle


def test_a_loop_that_never_idles_leaves_each_time_as_long_for_company(busy_loop: None) -> None:
    inbox = Inbox()
    # Each wait is a whole one, also after others that were ended before their time.
    assert min(gathered(inbox) for _ in range(5)) >= 0.9 * LATEST_SECONDS


def test_waits_that_an_idle_loop_ended_take_nothing_from_later_ones(request: pytest.FixtureRequest) -> None:
    inbox = Inbox()
    for _ in range(200):
        gathered(inbox)
    request.getfixturevalue("busy_loop")
    assert gathered(inbox) >= 0.9 * LATEST_SECONDS


def test_who_wants_no_company_is_woken_after_the_greenlets_that_are_ready_now(busy_loop: None) -> None:
    inbox = Inbox()
    ran: list[str] = []
    gevent.spawn(ran.append, "ready")
    inbox.wake_after_ready()
    inbox.wake_after_ready()  # nothing more
    assert inbox.gathering
    turn = get_hub().loop.iteration
    inbox.park()
    assert (ran, inbox.idle, inbox.gathering) == (["ready"], True, False)
    assert get_hub().loop.iteration <= turn + 1


def test_a_wake_up_that_was_lost_before_a_request_is_made_up_for() -> None:
    inbox = Inbox()
    inbox.gathering = True  # as a signal handler's exception leaves it, in the callback
    inbox.look_again()
    inbox.park()
    assert not inbox.gathering
    inbox.woken = False
    inbox.wake_when_idle()
    inbox.park()
    assert inbox.idle


def test_a_wake_up_from_another_thread_just_before_it_sleeps_is_not_lost() -> None:
    inbox = Inbox()

    class Interrupting(deque[object]):
        """The last that is looked at before sleeping."""

        interrupts = 2

        def __len__(self) -> int:
            if self.interrupts:
                self.interrupts -= 1
                inbox.woken = False
                in_thread(inbox.wake)
                inbox.woken = self.interrupts == 0  # as if it had been looked at before
            return 0

    inbox.queue = Interrupting()
    with gevent.Timeout(10.0):
        inbox.park()
    assert inbox.woken
