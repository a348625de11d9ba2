"""Actors that wait for each other: the wait that closes the circle raises, and says who is in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gevent.event import Event

from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.ref import GeventActorRef
from tests.support.ask_cycle import AskCycle
from tests.support.told_logs import told_logs

Job = Callable[["Worker"], Any]


class Worker(GeventActor):
    """Does whatever function it is sent."""

    peer: Any = None

    def on_receive(self, message: Job) -> Any:
        return message(self)


class Alice(Worker):
    pass


class Bob(Worker):
    pass


class Carol(Worker):
    pass


def answers(_actor: Worker) -> str:
    return "fine"


def asks_its_peer(job: Job) -> Job:
    return lambda actor: actor.peer.ask(job, timeout=5)


@pytest.fixture
def start() -> Iterator[Callable[..., list[Any]]]:
    """Actors, each of which has the next as its peer, and the last the first."""
    started: list[Any] = []

    def start(*kinds: type[Worker]) -> list[Any]:
        refs: list[Any] = [kind.start() for kind in kinds]
        started.extend(refs)
        for ref, peer in zip(refs, [*refs[1:], refs[0]], strict=True):
            ref.proxy().peer = peer
        return refs

    yield start
    for ref in started:
        ref.kill()
        assert ref.wait(5)


def names(error: AskCycle) -> list[str]:
    return [actor.partition(" ")[0] for actor in error.actors]


def test_two_that_ask_each_other_are_told_so_and_live_on(start: Any, ask_cycles: list[AskCycle]) -> None:
    alice, bob = start(Alice, Bob)
    with pytest.raises(AskCycle, match=r"Alice \(.*\) -> Bob \(.*\) -> Alice \(.*\); let one of them tell") as raised:
        alice.ask(asks_its_peer(asks_its_peer(answers)), timeout=5)
    assert names(raised.value) == ["Alice", "Bob"]
    assert [alice.ask(answers, timeout=5), bob.ask(answers, timeout=5)] == ["fine", "fine"]
    assert ask_cycles == [raised.value]
    ask_cycles.clear()


def test_a_longer_circle_is_named_in_order(start: Any, ask_cycles: list[AskCycle]) -> None:
    alice, _, _ = start(Alice, Bob, Carol)
    with pytest.raises(AskCycle) as raised:
        alice.ask(asks_its_peer(asks_its_peer(asks_its_peer(answers))), timeout=5)
    assert names(raised.value) == ["Alice", "Bob", "Carol"]
    ask_cycles.clear()


def test_one_that_asks_itself_is_a_circle_too(start: Any, ask_cycles: list[AskCycle]) -> None:
    (alice,) = start(Alice)
    with pytest.raises(AskCycle) as raised:
        alice.ask(asks_its_peer(answers), timeout=5)
    assert names(raised.value) == ["Alice"]
    ask_cycles.clear()


def test_a_circle_through_proxies_and_futures_waited_for_later_is_seen(start: Any, ask_cycles: list[AskCycle]) -> None:
    alice, _ = start(Alice, Bob)
    bob_asks = Event()

    def asks_back(bob: Worker) -> Any:
        bob_asks.set()
        return bob.peer.ask(answers, timeout=5)

    def asks_now_and_waits_later(alice: Worker) -> Any:
        answer = alice.peer.proxy().on_receive(asks_back)
        bob_asks.wait(5)
        return answer.map(str).get(timeout=5)

    with pytest.raises(AskCycle) as raised:
        alice.ask(asks_now_and_waits_later, timeout=5)
    assert names(raised.value) == ["Bob", "Alice"]
    ask_cycles.clear()


def test_waiting_for_an_actor_to_start_or_to_stop_is_waiting_for_it(start: Any, ask_cycles: list[AskCycle]) -> None:
    class Child(GeventActor):
        def __init__(self, parent: Any) -> None:
            super().__init__()
            self.parent = parent

        def on_start(self) -> None:
            self.parent.ask(answers, timeout=5)

    (alice,) = start(Alice)
    with pytest.raises(AskCycle) as raised:
        alice.ask(lambda actor: Child.start(actor.actor_ref), timeout=5)
    assert names(raised.value) == ["Alice", "Child"]
    with pytest.raises(AskCycle):
        alice.ask(lambda actor: actor.actor_ref.stop(timeout=5), timeout=5)
    ask_cycles.clear()


def test_actors_that_wait_for_one_that_answers_are_left_alone(start: Any) -> None:
    alice, bob, carol = start(Alice, Bob, Carol)
    assert alice.ask(asks_its_peer(asks_its_peer(answers)), timeout=5) == "fine"
    answered = bob.ask(answers, block=False)
    bob.ask(answers, timeout=5)
    # Bob waits for Carol, who takes an answer that is there already.
    carol.proxy().peer = bob
    assert bob.ask(asks_its_peer(lambda _carol: answered.get(timeout=5)), timeout=5) == "fine"


def test_a_circle_whose_error_is_swallowed_is_still_found_and_logged(start: Any, ask_cycles: list[AskCycle]) -> None:
    alice, _ = start(Alice, Bob)

    def asks_back_and_shrugs(actor: Worker) -> str:
        try:
            return str(actor.peer.ask(answers, timeout=5))
        except AskCycle:
            return "never mind"

    with told_logs() as logs:
        assert alice.ask(asks_its_peer(asks_back_and_shrugs), timeout=5) == "never mind"
    assert [names(error) for error in ask_cycles] == [["Alice", "Bob"]]
    assert [entry["event"] for entry in logs] == ["ask_cycle"]
    ask_cycles.clear()


def test_outside_of_these_tests_nothing_is_watched(pytester: pytest.Pytester) -> None:
    program = "from klife.actors.runtime.actor import GeventActor\nprint(type(GeventActor.start()).__name__)"
    assert pytester.run(sys.executable, "-c", program).stdout.str().strip() == GeventActorRef.__name__
