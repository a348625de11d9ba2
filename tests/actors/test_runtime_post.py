"""`Post`: what an actor is asked is answered by whoever holds the post, within the asker's deadline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import gevent
import pytest

from klife import ClientClosed, WaitTimeout
from klife.actors.runtime.actor import POSTPONED, GeventActor
from klife.actors.runtime.post import ActorMessage, Post
from klife.actors.runtime.ref import GeventActorRef

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class GetAnswer(ActorMessage[str]):
    about: str = "life"


class Answers(GeventActor):
    """Answers what it is told to `know`, and who it is; `known` outlives it."""

    def __init__(self, known: dict[str, str]) -> None:
        super().__init__()
        self.known = known
        self.handled = 0

    def on_receive(self, message: GetAnswer) -> Any:
        self.handled += 1
        if message.about == "crash":
            raise LookupError("mine to raise, the asker's to handle")
        return self.known.get(message.about, POSTPONED)


class Place:
    """A post, and what its holders know."""

    def __init__(self) -> None:
        self.post = Post()
        self.known: dict[str, str] = {}
        self.holders: list[GeventActorRef[Answers]] = []

    def begin(self) -> GeventActorRef[Answers]:
        holder = self.post.start(lambda: Answers.start(self.known))
        self.holders.append(holder)
        return holder

    def ask(self, message: GetAnswer | None = None, seconds: float = PATIENCE) -> Any:
        """A greenlet that asks, and has begun to wait."""
        asking = gevent.spawn(self.post.ask, message or GetAnswer(), monotonic() + seconds)
        gevent.idle()
        return asking

    def learn(self, answer: str) -> None:
        self.known["life"] = answer
        self.holders[-1].actor_inbox.wake()  # type: ignore[attr-defined]


@pytest.fixture
def place() -> Iterator[Place]:
    """A place of which nobody is left when the test is over."""
    place = Place()
    yield place
    for holder in place.holders:
        holder.kill()
        assert holder.wait(PATIENCE)


def test_an_answer_that_is_there_comes_at_once(place: Place) -> None:
    place.begin()
    place.known["life"] = "42"
    answer: str = place.post.ask(GetAnswer(), monotonic() + PATIENCE)
    assert answer == "42"


def test_a_postponed_question_is_answered_once_the_actor_has_looked_and_knows(place: Place) -> None:
    place.begin()
    askers = [place.ask() for _ in range(3)]
    assert not any(asker.ready() for asker in askers)
    place.learn("42")
    gevent.joinall(askers, timeout=PATIENCE)
    assert [asker.value for asker in askers] == ["42"] * 3


def test_many_postponed_questions_do_not_keep_the_hub(place: Place) -> None:
    turns, loop = [], gevent.get_hub().loop

    class Slow(Answers):
        def on_receive(self, message: GetAnswer) -> Any:
            turns.append(loop.iteration)
            until = monotonic() + 0.001
            while monotonic() < until:
                pass
            return super().on_receive(message)

    place.holders.append(place.post.start(lambda: Slow.start(place.known)))
    askers = [place.ask() for _ in range(20)]
    turns.clear()
    place.learn("42")
    gevent.joinall(askers, timeout=PATIENCE)
    assert [asker.value for asker in askers] == ["42"] * 20
    assert len(turns) == 20, "each was handled once"
    assert max(Counter(turns).values()) <= 3


def test_who_asks_before_anybody_holds_the_post_is_answered_by_the_first(place: Place) -> None:
    asker = place.ask()
    place.begin()
    place.learn("42")
    assert asker.get(timeout=PATIENCE) == "42"


@pytest.mark.parametrize("times", [1, 3])
def test_a_holder_that_is_killed_costs_the_asker_nothing(place: Place, times: int) -> None:
    place.begin()
    asker = place.ask()
    for _ in range(times):
        place.holders[-1].kill()
        assert place.holders[-1].wait(PATIENCE)
        place.begin()
        gevent.idle()
    assert not asker.ready()
    place.learn("42")
    assert asker.get(timeout=PATIENCE) == "42"


def test_a_holder_that_is_killed_before_it_has_seen_the_question_costs_nothing_either(place: Place) -> None:
    place.begin()
    place.known["life"] = "42"
    place.holders[-1].kill()
    asker = gevent.spawn(place.post.ask, GetAnswer(), monotonic() + PATIENCE)  # reaches the inbox of one that is about to die
    assert place.holders[-1].wait(PATIENCE)
    place.begin()
    assert asker.get(timeout=PATIENCE) == "42"


def test_a_holder_that_crashes_when_it_looks_costs_nothing_either(place: Place) -> None:
    crashing = place.begin()
    asker = place.ask()
    crashing._actor_weakref().on_wake = lambda: 1 / 0  # type: ignore[union-attr, method-assign]
    crashing.actor_inbox.wake()  # type: ignore[attr-defined]
    assert crashing.wait(PATIENCE)
    place.begin()
    place.learn("42")
    assert asker.get(timeout=PATIENCE) == "42"


def test_the_deadline_holds_whether_the_holder_does_not_know_or_there_is_none(place: Place) -> None:
    for _ in range(2):
        with pytest.raises(WaitTimeout):
            place.post.ask(GetAnswer(), monotonic() + 0.01)
        place.begin()
    place.holders[-1].kill()
    with pytest.raises(WaitTimeout):
        place.post.ask(GetAnswer(), monotonic() + 0.01)


def test_a_question_whose_asker_has_left_is_not_handled_again(place: Place) -> None:
    holder = place.begin()
    leaving = [place.ask(seconds=0.01), place.ask()]
    leaving[1].kill()
    gevent.joinall(leaving, timeout=PATIENCE)
    actor = holder._actor_weakref()
    assert actor is not None
    handled = actor.handled
    place.learn("42")
    assert place.ask().get(timeout=PATIENCE) == "42"
    assert actor.handled == handled + 1
    assert holder.is_alive()


def test_what_the_actor_raises_is_the_asker_s_and_the_actor_goes_on(place: Place) -> None:
    holder = place.begin()
    with pytest.raises(LookupError, match="mine to raise"):
        place.post.ask(GetAnswer("crash"), monotonic() + PATIENCE)
    assert holder.is_alive()


@pytest.mark.parametrize("held", [True, False])
def test_a_post_that_is_closed_tells_who_waits_and_who_asks_later(place: Place, held: bool) -> None:
    if held:
        place.begin()
    asker = place.ask()
    place.post.close(lambda: ClientClosed("it was stopped"))
    with pytest.raises(ClientClosed, match="it was stopped"):
        asker.get(timeout=PATIENCE)
    with pytest.raises(ClientClosed, match="it was stopped"):
        place.post.ask(GetAnswer(), monotonic() + PATIENCE)
    if held:
        place.learn("42")  # it still has the question, and nobody wants the answer
        place.holders[-1].stop(timeout=PATIENCE)
