"""The errors that a transaction's owner gets, with texts that say what to do; made from facts, and raised by
others.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from klife.actors.transactions.policy import Action, Request, Rule, action_for
from klife.actors.transactions.state import State
from klife.errors import KlifeError, ProduceError, TransactionAborted, TransactionError, TransactionFenced, TransactionMisused

_RUN_AGAIN = "Run it again"
_NO_ADVICE = "Look into the broker's log for the cause"
_UNKNOWN = "Whether it committed is not known: check whether its records are there before running it again"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose transaction it was."""

    pool: str
    transactional_id: str

    def aborted(self, why: str, *, error_code: int | None = None, advice: str = "", retriable: bool = True) -> TransactionAborted:
        """`why` is the rest of "the transaction was aborted: "."""
        return TransactionAborted(
            f"the transaction was aborted: {why}. {_what_to_do(advice, retriable)}",
            pool=self.pool,
            transactional_id=self.transactional_id,
            error_code=error_code,
            retriable=retriable,
        )

    def aborted_by(self, rule: Rule, error_code: int | None) -> TransactionAborted:
        """A request's answer ended it (ABORT, ANEW)."""
        return self.aborted(rule.text, error_code=error_code, advice=rule.advice, retriable=rule.retriable)

    def not_delivered(self, error: ProduceError) -> TransactionAborted:
        """A record's delivery failed. `error` says which and what to do, so the text has it."""
        code = error.error_code
        rule = action_for(Request.PRODUCE, code, state=State.IN_TRANSACTION)
        # Without a code the client itself gave up, and knows whether that was for good.
        final = not error.retriable if code is None else rule.action is Action.ABORT and not rule.retriable
        what_to_do = "Run again as it is, it ends the same way" if final else _RUN_AGAIN
        aborted = TransactionAborted(
            f"the transaction was aborted: a record was not delivered: {str(error).rstrip('.')}. {what_to_do}",
            pool=self.pool,
            transactional_id=self.transactional_id,
            error_code=code,
            retriable=not final,
        )
        aborted.__cause__ = error
        return aborted

    def timed_out(self, txn_timeout: float, *, error_code: int | None = None) -> TransactionAborted:
        """The coordinator aborted it at its timeout."""
        return self.aborted(
            f"the brokers ended it, for it was open longer than txn_timeout_ms ({txn_timeout * 1000:g})",
            error_code=error_code,
            advice="Do less in a transaction, or raise txn_timeout_ms, if it happens often",
        )

    def ended_early(self, *, error_code: int | None = None) -> TransactionAborted:
        """The coordinator aborted it before that, and nobody else has the id."""
        return self.aborted(
            "the brokers ended it before its time, as they do when a request that had no answer arrives late", error_code=error_code
        )

    def fenced(self, *, error_code: int | None = None, possibly_committed: bool = False) -> TransactionFenced:
        """Somebody else has the id."""
        return TransactionFenced(self.transactional_id, pool=self.pool, error_code=error_code, possibly_committed=possibly_committed)

    def unknown(self, why: str, *, error_code: int | None = None) -> TransactionError:
        """The commit was sent, and no coordinator said what became of it; `why` is the rest of "... got no
        certain answer: ".
        """
        return TransactionError(
            f"the commit was sent, and got no certain answer: {why}. {_UNKNOWN}",
            pool=self.pool,
            transactional_id=self.transactional_id,
            error_code=error_code,
            possibly_committed=True,
        )

    def refused(self, rule: Rule, error_code: int | None) -> TransactionError:
        """The producer was not initialised. Nothing was begun."""
        return TransactionError(
            f"no transaction of the pool {self.pool!r} could be begun: {rule.text}. {_what_to_do(rule.advice, rule.retriable)}",
            pool=self.pool,
            transactional_id=self.transactional_id,
            error_code=error_code,
            retriable=rule.retriable,
        )


def _what_to_do(advice: str, retriable: bool) -> str:
    advice = advice[:1].upper() + advice[1:]
    if retriable:
        return f"{_RUN_AGAIN}. {advice}" if advice else _RUN_AGAIN
    return f"{advice or _NO_ADVICE}; until then it ends the same way"


def told(error: KlifeError) -> KlifeError:
    """`error` as an object of its own, to be raised: a traceback in it would tie the transaction, which keeps it, to
    all that went on at the time, its owner's block included.
    """
    own = copy(error)
    own.__cause__ = error.__cause__
    return own


# Calls that do not fit. None of them changes anything.


def nested(pool: str) -> TransactionMisused:
    return TransactionMisused(
        "this greenlet has a transaction open already, and Kafka knows none within another: end it first, produce in the one "
        "that is open, or do the inner work in a greenlet of its own",
        pool=pool,
    )


def ended(pool: str, how: str) -> TransactionMisused:
    """`how` it ended: "committed" or "aborted"."""
    return TransactionMisused(
        f"the transaction is {how}, so nothing can join it any more: produce within its block and before txn.abort(), or begin another",
        pool=pool,
    )


def other_producer(pool: str, producer: str) -> TransactionMisused:
    return TransactionMisused(
        f"producer={producer!r} within a transaction: records of a transaction are sent by the producer of its pool. Leave "
        "producer= out; or, if the record must not be part of the transaction, produce it before or after the block",
        pool=pool,
    )


def of_the_parent(pool: str) -> TransactionMisused:
    """Of a transaction that was open when the process was forked."""
    return TransactionMisused(
        "the transaction was begun in the process that this one was forked from, which ends it; begin another here", pool=pool
    )


def forked(pool: str) -> TransactionMisused:
    """Of a pool with stable ids, in a forked child."""
    return TransactionMisused(
        f"the pool {pool!r} has a base_txn_id and belongs to the process that this one was forked from; used in both, they would "
        "fence each other. Make the client after the fork, with a base_txn_id of this worker's own (its number in the name)",
        pool=pool,
    )
