"""Timed out, or fenced? Brokers answer both with the same codes (47, 48, 49, 90), and they ask opposite things
of a program: run it again, or stop.

The coordinator is asked, first by an abort at the producer's own epoch. Answered with 0, the transaction was
the producer's own until now, or the coordinator had aborted it at its timeout (which v2 answers so); either
way it is aborted, and nobody else has the id. What the abort does not settle DescribeTransactions does: at our
epoch, or in one of `own_ends` at our epoch + 1, the id is ours. Brokers before 3.0 do not know that request;
there the clock tells. Last, where requests had no answer, what looks like somebody else may be what these have
left (`is_own_doing`).

A commit that was sent without an answer, and was then refused so, stays unknown whatever the coordinator says
now: it may have been done, and what is seen may be of a later owner. `settles_commit` tells the answers after
which it is not.
"""

from __future__ import annotations

from enum import Enum

from klife.actors.transactions.policy import Action, Request, action_for
from klife.actors.transactions.state import State
from klife.protocol.error_codes import ErrorCode as Code


class Verdict(Enum):
    """What an answer to a question means."""

    TIMED_OUT = "timed out"  # aborted, and the id is still ours: initialise it anew, run the transaction again
    FENCED = "fenced"  # somebody else has the id
    DESCRIBE = "describe"  # not settled: ask by DescribeTransactions
    CLOCK = "clock"  # the broker does not know DescribeTransactions, or may not tell: see `by_clock`
    AGAIN = "again"  # the same question, after a backoff
    FIND = "find"  # the same question, to the coordinator that has to be looked up first


def after_abort(error_code: int) -> Verdict:
    """What the answer to the abort means."""
    match action_for(Request.END_TXN, error_code, state=State.ABORTING).action:
        case Action.DONE:
            return Verdict.TIMED_OUT
        case Action.AGAIN:
            return Verdict.AGAIN
        case Action.FIND:
            return Verdict.FIND
        case _:
            return Verdict.DESCRIBE


_BEING_ENDED = ("PrepareAbort", "PrepareEpochFence", "PrepareCommit")
_GONE = ("Dead",)
_COMMITTED, _ABORTED = "CompleteCommit", "CompleteAbort"


def own_ends(*, is_v2: bool, was_open: bool, end_in_doubt: bool, is_overdue: bool) -> tuple[str, ...]:
    """The states that only our own transaction can have left at our epoch + 1.

    The coordinator's timeout leaves CompleteAbort there, and never before `txn_timeout` has passed since we
    began. Whoever takes an id over from an open transaction raises the epoch twice, and between the two leaves
    the same. In v2 our own EndTxn raises it, too, and may have been done if it is in doubt. In v1 it does not,
    and one that was done has left an idle id: who takes that raises the epoch once, and what is seen may be
    the end of *their* transaction.

    `was_open` where the coordinator knew of the transaction: it had answered an AddPartitionsToTxn, or a
    leader a Produce. One that it never knew can not have ended. `is_overdue` if that was `txn_timeout` ago.
    """
    if not was_open:
        return ()
    if is_v2 and end_in_doubt:
        return (_ABORTED, _COMMITTED)
    return (_ABORTED,) if is_overdue else ()


def after_description(
    error_code: int, state: str, producer_id: int, producer_epoch: int, *, own_id: int, own_epoch: int, own_ends: tuple[str, ...]
) -> Verdict:
    """What DescribeTransactions means, answered with `error_code`, or with `state`, id and epoch, for a
    producer that has `own_id` and `own_epoch`.
    """
    if error_code != Code.NONE:
        return _described_with_error(error_code)
    if state in _GONE:
        return Verdict.TIMED_OUT
    ours = producer_id == own_id
    if state in _BEING_ENDED and ours and producer_epoch <= own_epoch + 1:
        return Verdict.AGAIN
    if ours and producer_epoch == own_epoch:
        return Verdict.TIMED_OUT  # nobody has taken it: whatever was refused, the id is ours
    if ours and state in own_ends and producer_epoch == own_epoch + 1:
        return Verdict.TIMED_OUT
    return Verdict.FENCED


def _described_with_error(error_code: int) -> Verdict:
    match error_code:
        case Code.TRANSACTIONAL_ID_NOT_FOUND:  # it rested too long, and was forgotten: nobody else has it
            return Verdict.TIMED_OUT
        case Code.COORDINATOR_NOT_AVAILABLE | Code.NOT_COORDINATOR | Code.NETWORK_EXCEPTION:
            return Verdict.FIND
    known = next((code for code in Code if code == error_code), None)
    return Verdict.AGAIN if known is not None and known.retriable else Verdict.CLOCK


def by_clock(*, was_open: bool, is_overdue: bool) -> Verdict:
    """What is likelier when nobody tells; the facts are those of `own_ends`."""
    return Verdict.TIMED_OUT if was_open and is_overdue else Verdict.FENCED


def is_own_doing(*, initialised_last: bool, may_fence_itself: bool, was_touched: bool, is_overdue: bool) -> bool:
    """Whether what looks like another owner was left by requests of our own: by a renewal of the id whose answer was
    lost, or that found a transaction open, or came late and ended the next one; or by a transaction that the
    coordinator ended at its timeout.

    It was, if there may be such, and nobody but us has initialised the id, so that nobody else was given an epoch
    (`PoolTerms.initialised_last`). If there can be none, somebody is about to take the id, and has ended what was
    open first.
    """
    return initialised_last and (may_fence_itself or (was_touched and is_overdue))


MAY_BE_DONE = frozenset({Code.COORDINATOR_NOT_AVAILABLE, Code.NOT_COORDINATOR, Code.REQUEST_TIMED_OUT, Code.UNKNOWN_SERVER_ERROR})
"""What a coordinator may answer although what it was asked is done, or will be: it has written it to its log, and
then its replicas were too slow, or it lost that log to another broker, which goes on with what is in it.
"""


def settles_commit(error_code: int) -> bool:
    """Whether an answer to a *repeated* commit tells the fate of the earlier attempt, too, which got none.

    0: committed, now or then. 48: not committed, for a commit that was done is answered with 0 as long as
    nobody has taken the id over. 120: not committed, for it says that the transaction can be aborted, which one
    that was committed can not; coordinators up to Kafka 4.3 answer no EndTxn so, and Java's producer aborts then,
    too. Any other refusal is of this attempt alone.
    """
    return error_code in (Code.NONE, Code.INVALID_TXN_STATE, Code.TRANSACTION_ABORTABLE)
