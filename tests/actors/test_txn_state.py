"""The life of a transactional producer: which state each event leads to, and what others paid dearly for."""

from __future__ import annotations

import pytest

from klife.actors.transactions.ending import EndingStep, Facts, next_step
from klife.actors.transactions.state import OPEN, TRANSITIONS, Event, ImpossibleTransition, State, after

# state -> event -> state; any other event is impossible. Written out again here on purpose.
TABLE = {
    "UNINITIALIZED": {"INITIALIZE": "INITIALIZING"},
    "INITIALIZING": {"INITIALIZED": "READY", "LOSE": "UNINITIALIZED"},
    "READY": {"BEGIN": "IN_TRANSACTION", "LOSE": "UNINITIALIZED"},
    "IN_TRANSACTION": {"COMMIT": "COMMITTING", "ABORT": "ABORTING", "END": "READY", "FAIL": "ABORTABLE_ERROR"},
    "COMMITTING": {"END": "READY", "FAIL": "ABORTABLE_ERROR", "LOSE": "UNINITIALIZED"},
    "ABORTING": {"END": "READY", "FAIL": "ABORTING", "LOSE": "UNINITIALIZED"},
    "ABORTABLE_ERROR": {"ABORT": "ABORTING", "END": "READY", "FAIL": "ABORTABLE_ERROR", "LOSE": "UNINITIALIZED"},
    "FATAL_ERROR": {},
}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_event_in_every_state(state: State, event: Event) -> None:
    name = "FATAL_ERROR" if event is Event.FENCE else TABLE[state.name].get(event.name)
    if name is None:
        with pytest.raises(ImpossibleTransition, match=f"{state.value} .*{event.value}"):
            after(state, event)
    else:
        assert after(state, event) is State[name]


def test_from_every_state_but_the_last_there_is_a_way_to_the_next_transaction() -> None:
    able = {State.READY}
    while more := {source for (source, _), target in TRANSITIONS.items() if target in able} - able:
        able |= more
    assert able == set(State) - {State.FATAL_ERROR}


def test_nothing_leaves_fenced() -> None:
    assert {target for (source, _), target in TRANSITIONS.items() if source is State.FATAL_ERROR} == {State.FATAL_ERROR}


def test_an_open_transaction_is_always_ended_before_the_next_one_begins() -> None:
    for (source, event), target in TRANSITIONS.items():
        if source in OPEN and target not in OPEN:
            assert event in (Event.END, Event.LOSE, Event.FENCE)
    assert {source for (source, event) in TRANSITIONS if event is Event.BEGIN} == {State.READY}


def test_a_commit_that_was_sent_is_never_followed_by_an_abort_unless_it_was_refused() -> None:
    """librdkafka 4016, confluent-kafka-python 1125: commit times out, abort follows, illegal transition."""
    with pytest.raises(ImpossibleTransition):
        after(State.COMMITTING, Event.ABORT)
    assert after(after(State.COMMITTING, Event.FAIL), Event.ABORT) is State.ABORTING


def test_a_producer_whose_end_got_no_answer_is_initialised_before_it_is_used_again() -> None:
    """librdkafka 5423: a late EndTxn that ends the next transaction."""
    for state in (State.COMMITTING, State.ABORTING, State.ABORTABLE_ERROR):
        lost = after(state, Event.LOSE)
        assert lost is State.UNINITIALIZED
        with pytest.raises(ImpossibleTransition):
            after(lost, Event.BEGIN)


# how a transaction is ended


def facts(**changes: object) -> Facts:
    usual: dict[str, object] = {
        "is_v2": True,
        "commits": True,
        "touched": True,
        "in_flight": False,
        "late_may_join": False,
        "end_asked_at": 0.0,
        "end_sent_at": None,
        "txn_timeout": 90.0,
    }
    return Facts(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("is_v2", [False, True])
@pytest.mark.parametrize("commits", [False, True])
def test_no_end_is_sent_for_an_empty_transaction(is_v2: bool, commits: bool) -> None:
    """KAFKA-18464: an empty abort after a commit fences itself in v2; in v1 it is INVALID_TXN_STATE."""
    assert next_step(facts(is_v2=is_v2, commits=commits, touched=False), 0) is EndingStep.NOTHING
    assert next_step(facts(is_v2=is_v2, commits=commits), 0) is EndingStep.SEND


def test_an_abort_waits_for_what_is_in_flight_in_v1_and_need_not_in_v2() -> None:
    """KAFKA-14053: a record that comes after the marker stays open for ever."""
    assert next_step(facts(is_v2=False, commits=False, in_flight=True), 0) is EndingStep.WAIT
    assert next_step(facts(is_v2=True, commits=False, in_flight=True), 0) is EndingStep.SEND


def test_an_abort_before_which_a_record_may_arrive_late_is_a_renewal_and_a_commit_or_what_is_being_ended_is_not() -> None:
    """KAFKA-14402: only markers of the next epoch keep it out, where leaders ask nobody."""
    late = facts(is_v2=False, commits=False, late_may_join=True, end_asked_at=100.0)
    assert next_step(late, 100.0) is EndingStep.RENEW
    assert next_step(late._replace(in_flight=True), 100.0) is EndingStep.WAIT
    assert next_step(late._replace(touched=False), 100.0) is EndingStep.NOTHING
    assert next_step(late._replace(commits=True), 100.0) is EndingStep.SEND
    assert next_step(late._replace(end_sent_at=100.0), 100.0) is EndingStep.SEND
    assert next_step(late, 190.0) is EndingStep.GIVE_UP


@pytest.mark.parametrize("is_v2", [False, True])
def test_a_commit_waits_for_what_is_in_flight(is_v2: bool) -> None:
    assert next_step(facts(is_v2=is_v2, in_flight=True), 0) is EndingStep.WAIT


@pytest.mark.parametrize("is_v2", [False, True])
@pytest.mark.parametrize("others", [{}, {"in_flight": True}, {"touched": False}])
def test_an_end_that_was_sent_is_repeated_and_nothing_else_until_the_timeout(is_v2: bool, others: dict[str, bool]) -> None:
    sent = facts(is_v2=is_v2, end_sent_at=100.0, **others)
    assert next_step(sent, 100.0) is EndingStep.SEND
    assert next_step(sent, 189.9) is EndingStep.SEND
    assert next_step(sent, 190.0) is EndingStep.GIVE_UP


@pytest.mark.parametrize("commits", [False, True])
def test_an_end_that_can_not_even_be_sent_is_given_up_at_the_timeout(commits: bool) -> None:
    asked = facts(commits=commits, end_asked_at=100.0)
    assert next_step(asked, 189.9) is EndingStep.SEND
    assert next_step(asked, 190.0) is EndingStep.GIVE_UP
