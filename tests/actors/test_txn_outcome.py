"""What the owner of a transaction reads when it does not commit."""

from __future__ import annotations

import pytest

import klife
from klife import (
    PoolExhausted,
    ProduceError,
    RecordTooLarge,
    TransactionAborted,
    TransactionError,
    TransactionFenced,
    TransactionMisused,
)
from klife.actors.transactions import outcome
from klife.actors.transactions.outcome import Whose
from klife.actors.transactions.policy import Request, action_for
from klife.actors.transactions.state import State
from klife.protocol.error_codes import describe

WHOSE = Whose("money", "orders-3")
WORDS = {
    "aborted": WHOSE.aborted_by(action_for(Request.END_TXN, 120, state=State.COMMITTING), 120),
    "timed out": WHOSE.timed_out(90.0),
    "no permission": WHOSE.refused(action_for(Request.INIT_PRODUCER_ID, 53, state=State.INITIALIZING), 53),
    "timeout not allowed": WHOSE.refused(action_for(Request.INIT_PRODUCER_ID, 50, state=State.INITIALIZING), 50),
    "not delivered": WHOSE.not_delivered(ProduceError("a record was lost", error_code=7, retriable=True)),
    "fenced": WHOSE.fenced(error_code=90),
    "unknown": WHOSE.unknown("no coordinator was reached within txn_timeout_ms (90000)"),
    "exhausted": PoolExhausted("money", 2, 5.0, [1.0, 7.25]),
}
SAYS = {
    "aborted": ["aborted", describe(120), "Run it again"],
    "timed out": ["aborted", "txn_timeout_ms (90000)", "Run it again"],
    "no permission": ["could be begun", "'money'", "Grant", "Write on the transactional id"],
    "timeout not allowed": ["txn_timeout_ms", "transaction.max.timeout.ms"],
    "not delivered": ["aborted", "a record was lost", "Run it again"],
    "fenced": ["'orders-3'", "base_txn_id", "newer copy", "was aborted"],
    "unknown": ["commit was sent", "not known", "check"],
    "exhausted": ["'money'", "2", "5 s", "7.2 s, 1.0 s", "pool_size", "checkout_timeout_ms"],
}


@pytest.mark.parametrize("what", WORDS)
def test_the_text_says_what_happened_and_what_to_do(what: str) -> None:
    text = str(WORDS[what])
    assert [word for word in SAYS[what] if word not in text] == []
    assert WORDS[what].pool == "money"
    assert isinstance(WORDS[what], TransactionError)


def test_what_programs_decide_by() -> None:
    facts = {what: (type(error), error.retriable, error.possibly_committed) for what, error in WORDS.items()}
    assert facts == {
        "aborted": (TransactionAborted, True, False),
        "timed out": (TransactionAborted, True, False),
        "no permission": (TransactionError, False, False),
        "timeout not allowed": (TransactionError, False, False),
        "not delivered": (TransactionAborted, True, False),
        "fenced": (TransactionFenced, False, False),
        "unknown": (TransactionError, False, True),
        "exhausted": (PoolExhausted, True, False),
    }
    assert issubclass(PoolExhausted, TimeoutError)


def test_a_commit_that_met_fenced_when_it_was_repeated_is_unknown() -> None:
    error = WHOSE.fenced(possibly_committed=True)
    assert error.possibly_committed
    assert "check whether" in str(error)
    assert "was aborted" not in str(error)


def test_a_record_too_large_is_named_and_running_it_again_does_not_help() -> None:
    cause = RecordTooLarge("a record of orders-3 is too large", size=7, limit=5, topic="orders", partition=3, error_code=10)
    error = WHOSE.not_delivered(cause)
    assert "a record of orders-3 is too large" in str(error)
    assert (error.retriable, error.error_code, error.__cause__) == (False, 10, cause)


def test_a_delivery_that_ran_out_of_time_is_worth_running_again() -> None:
    assert WHOSE.not_delivered(klife.DeliveryTimeout("too late", retriable=True, possibly_persisted=True)).retriable


def test_what_the_client_itself_refused_for_good_is_not_worth_running_again() -> None:
    error = WHOSE.not_delivered(RecordTooLarge("too large for any buffer.", size=7, limit=5, topic="orders"))
    assert not error.retriable
    assert str(error) == (
        "the transaction was aborted: a record was not delivered: too large for any buffer. Run again as it is, it ends the same way"
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (outcome.nested("money"), "within another"),
        (outcome.ended("money", "committed"), "is committed"),
        (outcome.other_producer("money", "fast"), "producer='fast'"),
        (outcome.of_the_parent("money"), "forked"),
        (outcome.forked("money"), "after the fork"),
    ],
)
def test_what_does_not_fit_says_what_does(error: TransactionMisused, says: str) -> None:
    assert says in str(error)
    assert isinstance(error, RuntimeError)
    assert (error.pool, error.retriable, error.possibly_committed) == ("money", False, False)


def test_many_open_transactions_are_not_all_listed() -> None:
    error = PoolExhausted("money", 100, 5.0, [float(age) for age in range(100)])
    assert len(error.ages) == 100
    assert len(str(error)) < 600
