"""An actor whose looking waits for nothing is not switched to: it looks in the hub, and all else is as ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent

from klife.actors.runtime.actor import POSTPONED, GeventActor
from klife_supervision.logs import fields_here, telling
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until


class Looker(GeventActor):
    looks_in_hub = True

    def __init__(self) -> None:
        super().__init__()
        self.looked: list[Any] = []
        self.heard: list[Any] = []
        self.exits: list[Any] = []
        self.next: list[Any] = []  # called by `on_wake`, in turn

    def on_wake(self) -> None:
        self.looked.append((getcurrent() is get_hub(), dict(fields_here.get())))
        if self.next:
            self.next.pop(0)()

    def on_receive(self, message: Any) -> Any:
        self.heard.append((message, getcurrent() is get_hub()))

    def on_exit(self, reason: Any) -> None:
        self.exits.append(reason)


@pytest.fixture
def looker() -> Iterator[Looker]:
    with telling(client="of the test"):
        ref = Looker.start()
    actor = ref._actor_weakref()
    gevent.sleep(0)
    yield actor
    ref.stop()


def woken(actor: Looker) -> None:
    actor.actor_inbox.wake()
    gevent.sleep(0)
    gevent.sleep(0)


def test_it_looks_in_the_hub_and_tells_as_whose_it_is(looker: Looker) -> None:
    woken(looker)
    assert looker.looked == [(True, {"client": "of the test"})]


def test_what_wakes_it_while_it_looks_has_it_look_once_more(looker: Looker) -> None:
    looker.next.append(looker.actor_inbox.wake)
    woken(looker)
    assert len(looker.looked) == 2


def test_messages_are_its_greenlet_s_also_one_that_comes_while_it_looks(looker: Looker) -> None:
    looker.actor_ref.tell("before")
    woken(looker)
    looker.next.append(lambda: looker.actor_ref.tell("meanwhile"))
    woken(looker)
    wait_until(lambda: len(looker.heard) == 2)
    assert looker.heard == [("before", False), ("meanwhile", False)]


def test_what_it_raises_ends_it_and_nothing_else(looker: Looker) -> None:
    def fails() -> None:
        raise LookupError("mine")

    looker.next.append(fails)
    with told_logs() as logs:
        woken(looker)
    assert [reason.exception.args for reason in looker.exits] == [("mine",)]
    assert [entry["event"] for entry in logs] == ["actor_crashed"]
    looker.actor_inbox.wake()
    gevent.sleep(0)
    assert len(looker.looked) == 1


def test_what_a_signal_handler_raises_there_is_heard_by_the_main_greenlet(looker: Looker) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    looker.next.append(interrupted)
    with pytest.raises(KeyboardInterrupt):
        woken(looker)
    assert len(looker.exits) == 1


def test_killed_it_looks_no_more(looker: Looker) -> None:
    looker.actor_inbox.wake()
    looker._life.greenlet.kill(block=False)
    gevent.sleep(0)
    gevent.sleep(0)
    assert len(looker.exits) == 1
    seen = len(looker.looked)
    woken(looker)
    assert len(looker.looked) == seen


def test_disowned_it_looks_no_more(looker: Looker) -> None:
    looker.disown()
    woken(looker)
    assert looker.looked == []


def test_what_it_would_have_to_wait_for_its_greenlet_does(looker: Looker) -> None:
    def look_in_hub() -> bool:
        return True

    looker.actor_inbox.look = look_in_hub
    woken(looker)
    assert [in_hub for in_hub, _ in looker.looked] == [False]
    woken(looker)
    assert [in_hub for in_hub, _ in looker.looked] == [False, False], "it is parked, and can be woken, as before"


def test_a_postponed_message_is_handled_in_its_greenlet_after_the_next_look() -> None:
    class Postponing(Looker):
        answer: Any = POSTPONED

        def on_receive(self, message: Any) -> Any:
            return self.answer if self.looked else POSTPONED

    ref = Postponing.start()
    actor: Any = ref._actor_weakref()
    asked = gevent.spawn(ref.ask, "when?", timeout=10)
    wait_until(lambda: bool(actor._postponed))
    actor.answer = "now"
    actor.actor_inbox.wake()
    assert asked.get(timeout=10) == "now"
    assert [in_hub for in_hub, _ in actor.looked] == [False]
    ref.stop()
