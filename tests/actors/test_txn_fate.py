"""Timed out, or fenced: what brokers answered when they were asked (3.9 in v1, 4.3 in v2), as a table."""

from __future__ import annotations

import pytest

from klife.actors.transactions.fate import (
    Verdict,
    after_abort,
    after_description,
    by_clock,
    own_ends,
    settles_commit,
)
from klife.protocol.error_codes import ErrorCode

ID, EPOCH = 7, 3

# what happened, the abort's answer, state and epoch of the description -> the verdict
OBSERVED = [
    ("another producer took the id of an open transaction, v1", 90, "Empty", EPOCH + 2, Verdict.FENCED),
    ("another producer took the id of an idle producer, v1", 90, "Empty", EPOCH + 1, Verdict.FENCED),
    ("the coordinator's timeout, v1", 90, "CompleteAbort", EPOCH + 1, Verdict.TIMED_OUT),
    ("another producer took the id of an open transaction, v2", 90, "Empty", EPOCH + 2, Verdict.FENCED),
    ("another producer took the id of an idle producer, v2", 90, "Empty", EPOCH + 1, Verdict.FENCED),
    ("the coordinator's timeout, v2", 0, None, None, Verdict.TIMED_OUT),
    ("a thief that has begun a transaction", 90, "Ongoing", EPOCH + 2, Verdict.FENCED),
    ("a thief that has committed one", 90, "CompleteCommit", EPOCH + 2, Verdict.FENCED),
    ("a thief that has aborted one", 90, "CompleteAbort", EPOCH + 2, Verdict.FENCED),
]


def ends(**facts: bool) -> tuple[str, ...]:
    return own_ends(**{"is_v2": False, "was_open": True, "end_in_doubt": False, "is_overdue": False, **facts})


@pytest.mark.parametrize(("what", "abort", "state", "epoch", "verdict"), OBSERVED, ids=[row[0] for row in OBSERVED])
def test_what_was_observed(what: str, abort: int, state: str | None, epoch: int | None, verdict: Verdict) -> None:
    found = after_abort(abort)
    if state is not None:
        assert found is Verdict.DESCRIBE
        assert epoch is not None
        found = after_description(
            0, state, ID, epoch, own_id=ID, own_epoch=EPOCH, own_ends=ends(is_v2=what.endswith("v2"), is_overdue="timeout" in what)
        )
    assert found is verdict


def described(code: int = 0, state: str = "Empty", producer_id: int = ID, epoch: int = EPOCH, **facts: bool) -> Verdict:
    return after_description(code, state, producer_id, epoch, own_id=ID, own_epoch=EPOCH, own_ends=ends(**facts))


@pytest.mark.parametrize("code", [*ErrorCode, 4711])
def test_what_the_answer_to_the_abort_means(code: int) -> None:
    verdict = after_abort(code)
    if code == 0:
        assert verdict is Verdict.TIMED_OUT
    elif code in (13, 15, 16):
        assert verdict is Verdict.FIND
    elif code != 4711 and ErrorCode(code).retriable:
        assert verdict is Verdict.AGAIN
    else:
        assert verdict is Verdict.DESCRIBE


@pytest.mark.parametrize("code", [*(code for code in ErrorCode if code), 4711])
def test_what_an_error_in_the_description_means(code: int) -> None:
    verdict = described(code)
    if code == 105:
        assert verdict is Verdict.TIMED_OUT
    elif code in (13, 15, 16):
        assert verdict is Verdict.FIND
    elif code != 4711 and ErrorCode(code).retriable:
        assert verdict is Verdict.AGAIN
    else:
        assert verdict is Verdict.CLOCK


def test_a_transaction_that_is_just_being_ended_is_asked_about_again() -> None:
    for state in ("PrepareAbort", "PrepareEpochFence", "PrepareCommit"):
        assert described(state=state) is Verdict.AGAIN
        assert described(state=state, epoch=EPOCH + 1) is Verdict.AGAIN
        assert described(state=state, epoch=EPOCH + 2) is Verdict.FENCED
        assert described(state=state, producer_id=ID + 1) is Verdict.FENCED


def test_an_idle_producer_cannot_have_timed_out() -> None:
    """Somebody took its id and aborted a transaction of their own: the same state and epoch as a timeout."""
    assert described(state="CompleteAbort", epoch=EPOCH + 1, is_overdue=True, was_open=False) is Verdict.FENCED
    assert described(state="CompleteAbort", epoch=EPOCH + 1, is_overdue=True, was_open=True) is Verdict.TIMED_OUT


@pytest.mark.parametrize("is_v2", [True, False])
def test_who_takes_over_an_open_transaction_leaves_what_a_timeout_does_and_too_early(is_v2: bool) -> None:
    """For a moment: then they raise the epoch once more."""
    assert described(state="CompleteAbort", epoch=EPOCH + 1, is_v2=is_v2) is Verdict.FENCED


def test_at_the_own_epoch_nobody_has_taken_it() -> None:
    for state in ("Empty", "Ongoing", "CompleteAbort", "CompleteCommit"):
        assert described(state=state, was_open=False) is Verdict.TIMED_OUT


def test_another_producer_id_is_somebody_elses() -> None:
    assert described(state="Empty", producer_id=ID + 1, epoch=0) is Verdict.FENCED


def test_an_id_that_rested_too_long_is_nobody_elses() -> None:
    assert described(state="Dead", producer_id=-1, epoch=-1) is Verdict.TIMED_OUT


@pytest.mark.parametrize("state", ["CompleteCommit", "CompleteAbort"])
def test_an_end_in_doubt_that_was_done_is_ours_in_v2_alone(state: str) -> None:
    """In v1 it was done at our own epoch: at the next one somebody has taken the idle id, and ended theirs."""
    after_doubt = {"state": state, "epoch": EPOCH + 1, "end_in_doubt": True}
    assert described(**after_doubt, is_v2=True) is Verdict.TIMED_OUT
    assert described(**after_doubt, is_v2=True, was_open=False) is Verdict.FENCED
    assert described(**after_doubt) is Verdict.FENCED
    aborted_at_its_timeout = state == "CompleteAbort"
    assert described(**after_doubt, is_overdue=True) is (Verdict.TIMED_OUT if aborted_at_its_timeout else Verdict.FENCED)


@pytest.mark.parametrize("is_v2", [True, False])
def test_a_commit_that_was_never_sent_was_not_done(is_v2: bool) -> None:
    assert described(state="CompleteCommit", epoch=EPOCH + 1, is_v2=is_v2, is_overdue=True) is Verdict.FENCED


def test_where_nobody_tells_the_clock_does() -> None:
    assert by_clock(was_open=True, is_overdue=True) is Verdict.TIMED_OUT
    assert by_clock(was_open=True, is_overdue=False) is Verdict.FENCED
    assert by_clock(was_open=False, is_overdue=True) is Verdict.FENCED


def test_a_repeated_commit_that_meets_fenced_stays_unknown() -> None:
    """The first may have been done before the id was taken."""
    assert {int(code) for code in ErrorCode if settles_commit(code)} == {0, 48, 120}
