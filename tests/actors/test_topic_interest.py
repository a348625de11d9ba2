"""Which topics the cluster is asked about, when, and whether it may create them."""

from __future__ import annotations

from typing import Any

import pytest

from klife.actors.metadata.interest import NEVER, TopicInterest, TopicQuestion
from tests.support.producer_parts import topic_info

MAX_AGE = 300.0


class Asking:
    """A `TopicInterest` with a clock that is a number, a cluster that is a dict, and records that are a set
    of names.
    """

    def __init__(self, *configured: str) -> None:
        self.interest = TopicInterest(configured, MAX_AGE)
        self.topics: dict[str, Any] = {}
        self.queued: set[str] = set()
        self.now = 1000.0

    def exists(self, name: str, partitions: int = 1) -> None:
        self.topics[name] = topic_info([1] * partitions, name)

    def begin(self, name: str, *, creates: bool = True, partitions: int = 1) -> None:
        self.interest.begin(name, creates=creates, partitions=partitions, now=self.now)

    def end(self, name: str, *, creates: bool = True, partitions: int = 1) -> None:
        self.interest.end(name, creates=creates, partitions=partitions, topics=self.topics, needed=self.queued.__contains__)

    @property
    def due_in(self) -> float:
        return self.interest.due(self.topics) - self.now

    def question(self) -> TopicQuestion:
        assert self.due_in <= 0
        return self.interest.question(self.topics, self.queued.__contains__, self.now)

    def answer(self, question: TopicQuestion) -> list[str]:
        return self.interest.answered(question, self.topics, self.queued.__contains__, self.now)

    def meet(self, name: str) -> None:
        """Somebody produces to a topic that exists."""
        self.begin(name)
        question = self.question()
        self.exists(name)
        self.answer(question)
        self.end(name)

    def ask(self) -> tuple[tuple[str, ...], bool]:
        """Ask when it is due; the names, and whether they may be created."""
        self.now += max(self.due_in, 0)
        question = self.question()
        self.answer(question)
        return question.names, question.creates

    def refresh(self) -> list[str]:
        return self.answer(self.interest.refresh())


def test_what_was_never_asked_is_due_at_once_and_alone() -> None:
    asking = Asking("configured")
    asking.exists("configured")
    asking.refresh()
    assert asking.due_in == NEVER
    for name in ("a", "b"):
        asking.begin(name)
        assert asking.due_in == 0
        assert asking.question() == TopicQuestion((name,), creates=False, everything=False)
        asking.end(name)
        asking.meet(name)
        assert asking.due_in == NEVER
    assert asking.interest.refresh() == TopicQuestion(("configured", "a", "b"), creates=False, everything=True)


def test_only_what_records_wait_for_may_be_created_and_only_what_is_missing() -> None:
    asking = Asking("configured")
    asking.refresh()
    asking.begin("looked-at", creates=False)
    asking.begin("produced-to")
    assert asking.ask() == (("looked-at", "produced-to"), False)
    assert asking.due_in == 0
    assert asking.ask() == (("produced-to",), True)
    asked = [asking.ask() for _ in range(20)]
    assert {creates for names, creates in asked if names == ("produced-to",)} == {True}
    assert {creates for names, creates in asked if "produced-to" not in names} == {False}
    assert ("produced-to", "looked-at") not in {names for names, _ in asked}


def test_a_produce_that_joins_those_who_only_look_has_the_topic_created() -> None:
    asking = Asking()
    asking.begin("t", creates=False)
    for _ in range(10):
        assert asking.ask() == (("t",), False)
    asking.now += 0.05
    asking.begin("t")
    assert asking.due_in == 0
    assert asking.ask() == (("t",), True)
    asking.end("t")
    assert asking.ask() == (("t",), False)


def test_a_refresh_creates_nothing_and_a_deleted_topic_nobody_needs_is_forgotten() -> None:
    asking = Asking()
    asking.meet("t")
    del asking.topics["t"]
    assert asking.interest.refresh() == TopicQuestion(("t",), creates=False, everything=True)
    asking.refresh()
    assert (asking.due_in, asking.interest.refresh().names) == (NEVER, ())


def test_a_deleted_topic_that_records_are_queued_for_is_asked_for_until_they_are_gone() -> None:
    asking = Asking()
    asking.meet("t")
    del asking.topics["t"]
    asking.queued.add("t")
    asking.refresh()
    assert asking.due_in == 0
    began = asking.now
    asked = [asking.ask() for _ in range(30)]
    assert set(asked) == {(("t",), True)}
    assert asking.now - began > 20  # a second apart after a while
    asking.queued.clear()
    asking.ask()
    assert (asking.due_in, asking.interest.refresh().names) == (NEVER, ())


def test_while_a_caller_waits_it_is_asked_for_often_and_not_too_often() -> None:
    asking = Asking()
    asking.begin("t")
    began = asking.now
    for _ in range(50):
        asking.ask()
    assert 8 < asking.now - began < 10  # five times a second


def test_a_configured_topic_that_does_not_exist_is_asked_for_ever_more_rarely_and_told_once() -> None:
    asking = Asking("t")
    told = asking.refresh()
    began, asked = asking.now, 0
    while asking.now < began + 3600:
        asking.now += asking.due_in
        told += asking.answer(asking.question())
        asked += 1
    assert told == ["t"]
    assert asked < 10 + 3600 / MAX_AGE
    assert 0 < asking.due_in <= MAX_AGE
    asking.exists("t")
    asking.refresh()
    assert asking.due_in == NEVER
    del asking.topics["t"]
    assert [name for _ in range(3) for name in asking.refresh()] == ["t"]


def test_a_configured_topic_that_a_caller_begins_to_wait_for_is_asked_for_at_once() -> None:
    asking = Asking("t")
    asking.refresh()
    for _ in range(10):
        asking.ask()
    asking.now += 60
    assert asking.due_in > 60
    asking.begin("t")
    assert asking.due_in == 0


def test_a_topic_with_too_few_partitions_is_asked_for_as_one_that_is_missing() -> None:
    asking = Asking()
    asking.exists("t", 2)
    asking.begin("t", partitions=3)
    assert asking.due_in == 0
    asking.ask()
    assert 0 < asking.due_in < 1
    asking.exists("t", 3)
    assert asking.due_in == NEVER
    asking.end("t", partitions=3)
    assert asking.interest.refresh().names == ("t",)


@pytest.mark.parametrize("creates", [True, False])
def test_who_stopped_waiting_in_vain_leaves_nothing_behind(creates: bool) -> None:
    asking = Asking()
    for _ in range(100):
        asking.begin("nope", creates=creates)
        asking.ask()
        asking.end("nope", creates=creates)
    assert (asking.due_in, asking.interest.refresh().names) == (NEVER, ())
