"""What each answer to a transactional producer's requests means. The table is written out again here on
purpose, for every request, code and state.
"""

from __future__ import annotations

import pytest

from klife.actors.transactions.policy import RULES, RULES_OF_ABORT, Action, Request, action_for
from klife.actors.transactions.state import State
from klife.protocol.error_codes import ErrorCode, describe, is_retriable

ASK = {47, 48, 49, 90}
LOOK_UP = {13, 15, 16}
PASSING = {int(code) for code in ErrorCode if code.retriable} - LOOK_UP
NOT_KAFKAS = [4711, -2]

# request, whether it aborts -> the codes of each action; all others have the last one
TABLE: dict[tuple[Request, bool], tuple[dict[Action, set[int]], Action]] = {
    (Request.FIND_COORDINATOR, False): ({Action.DONE: {0}, Action.AGAIN: PASSING | LOOK_UP | {120}}, Action.REFUSED),
    (Request.INIT_PRODUCER_ID, False): (
        {Action.DONE: {0}, Action.AGAIN: PASSING | {120}, Action.FIND: LOOK_UP, Action.ASK: {47, 90}},
        Action.REFUSED,
    ),
    (Request.ADD_PARTITIONS, False): (
        {Action.DONE: {0}, Action.AGAIN: PASSING, Action.FIND: LOOK_UP, Action.ASK: ASK},
        Action.ABORT,
    ),
    (Request.PRODUCE, False): ({Action.DONE: {0, 46}, Action.ASK: ASK}, Action.ABORT),
    (Request.END_TXN, False): (
        {Action.DONE: {0}, Action.FIND: LOOK_UP, Action.ASK: ASK, Action.ABORT: {59, 120}, Action.ANEW: {35, 42, 53}},
        Action.AGAIN,
    ),
    (Request.END_TXN, True): ({Action.DONE: {0}, Action.AGAIN: PASSING, Action.FIND: LOOK_UP, Action.ASK: ASK}, Action.ANEW),
}


def expected(request: Request, code: int, state: State) -> Action:
    named, otherwise = TABLE[request, request is Request.END_TXN and state is State.ABORTING]
    return next((action for action, codes in named.items() if code in codes), otherwise)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
@pytest.mark.parametrize("request_", Request, ids=lambda request: request.name)
def test_every_code_of_every_request_in_every_state(request_: Request, state: State) -> None:
    codes = [*map(int, ErrorCode), *NOT_KAFKAS]
    found = {code: action_for(request_, code, state=state).action for code in codes}
    assert found == {code: expected(request_, code, state) for code in codes}
    soon = {code for code in codes if action_for(request_, code, state=state).soon}
    assert soon == ({51} & {code for code, action in found.items() if action is Action.AGAIN})


@pytest.mark.parametrize("request_", Request, ids=lambda request: request.name)
def test_there_is_a_row_for_every_code_of_kafkas(request_: Request) -> None:
    assert set(RULES[request_]) == set(RULES_OF_ABORT) == {int(code) for code in ErrorCode}


@pytest.mark.parametrize("request_", Request, ids=lambda request: request.name)
def test_what_ends_a_transaction_for_good_says_what_to_do_and_in_kafkas_words_why(request_: Request) -> None:
    for code in ErrorCode:
        for state in (State.INITIALIZING, State.COMMITTING, State.ABORTING):
            rule = action_for(request_, code, state=state)
            assert describe(code) in rule.text
            assert request_.value in rule.text
            if code in (35, 53) and not rule.retriable:
                assert rule.advice


@pytest.mark.parametrize("code", [10, 18, 29, 31, 32, 35, 53, 87])
def test_a_record_that_ends_the_same_way_each_time_is_not_run_again(code: int) -> None:
    rule = action_for(Request.PRODUCE, code, state=State.IN_TRANSACTION)
    assert (rule.action, rule.retriable) == (Action.ABORT, False)
    assert rule.advice


@pytest.mark.parametrize("request_", [Request.INIT_PRODUCER_ID, Request.FIND_COORDINATOR])
def test_a_missing_permission_for_the_id_names_it_and_the_next_call_tries_again(request_: Request) -> None:
    rule = action_for(request_, 53, state=State.INITIALIZING)
    assert rule.action is Action.REFUSED
    assert "Write on the transactional id" in rule.advice


def test_a_timeout_that_the_brokers_do_not_allow_names_both_settings() -> None:
    rule = action_for(Request.INIT_PRODUCER_ID, 50, state=State.INITIALIZING)
    assert "txn_timeout_ms" in rule.advice
    assert "transaction.max.timeout.ms" in rule.advice


@pytest.mark.parametrize("request_", Request, ids=lambda request: request.name)
def test_no_answer_is_no_refusal(request_: Request) -> None:
    action = action_for(request_, None, state=State.COMMITTING).action
    assert action in ((Action.ABORT,) if request_ is Request.PRODUCE else (Action.AGAIN, Action.FIND))


def test_a_commit_is_only_ever_given_up_by_an_answer_that_says_it_was_not_done() -> None:
    """librdkafka 3928: a commit that may have been done, and was then called abortable."""
    for code in [*ErrorCode, *NOT_KAFKAS]:
        action = action_for(Request.END_TXN, code, state=State.COMMITTING).action
        if action not in (Action.DONE, Action.AGAIN, Action.FIND):
            assert int(code) in {35, 42, 53, 59, 120} | ASK


def test_what_a_timeout_answers_is_never_taken_for_fenced_unasked() -> None:
    """librdkafka 3297, KAFKA-20785: a lone producer that is told it is fenced."""
    for request in (Request.ADD_PARTITIONS, Request.PRODUCE, Request.END_TXN):
        for state in (State.IN_TRANSACTION, State.COMMITTING, State.ABORTING):
            assert {action_for(request, code, state=state).action for code in ASK} == {Action.ASK}


def test_concurrent_transactions_is_waited_out_by_whoever_meets_it() -> None:
    """KAFKA-18654: the markers of the last transaction are not written yet."""
    for request in set(Request) - {Request.PRODUCE}:
        assert action_for(request, 51, state=State.COMMITTING).action is Action.AGAIN
    assert is_retriable(51)
