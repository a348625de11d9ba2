"""How a transaction is ended: what is done next, from a few facts. Pure, as `next_step` of a batcher is.

Each rule here has cost some client dearly. An EndTxn for a transaction that the coordinator has not heard of
is an error, or, in v2, fences the producer that sent it (KAFKA-18464). One that overtakes the
AddPartitionsToTxn before it is the same (librdkafka 4849); here a producer's actor has one request to the
coordinator under way, and asks what is next when that was answered. A commit that was sent may be done at any
time, so that after it nothing but the same may be said (librdkafka 4016). And brokers that do not
ask the coordinator may write a record that comes after the abort, which then stays open for ever, or becomes part
of the producer's next transaction (KAFKA-14053, KAFKA-14402).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class EndingStep(Enum):
    """What is done next."""

    WAIT = "wait"  # for answers that are under way
    SEND = "send"  # EndTxn, for the first time or once more
    RENEW = "renew"  # abort it by a renewal of the id, whose markers have the next epoch: they keep late records out
    NOTHING = "nothing"  # there is nothing to end
    GIVE_UP = "give up"  # no coordinator answered for too long


class Facts(NamedTuple):
    """What is known of a transaction that is to end.

    Its owner asks for a commit only when all deliveries are there, and none failed.
    """

    is_v2: bool
    commits: bool
    touched: bool  # something was sent that may have made the coordinator add a partition (v1: AddPartitionsToTxn, v2: Produce)
    in_flight: bool  # a Produce is under way
    late_may_join: bool  # one had no answer, may arrive yet, and would be written as long as its epoch is the current one
    end_asked_at: float  # monotonic seconds
    end_sent_at: float | None  # of the first EndTxn
    txn_timeout: float  # seconds; what the coordinator has not ended by then, it aborts by itself


def next_step(facts: Facts, now: float) -> EndingStep:
    """What to do at `now` (monotonic seconds)."""
    since = facts.end_sent_at
    if since is None:
        if facts.in_flight and (facts.commits or not facts.is_v2):
            return EndingStep.WAIT  # in v2 a record that comes after the abort is refused, for its epoch is of the past
        if not facts.touched:
            return EndingStep.NOTHING
        since = facts.end_asked_at  # it may be that it can not even be sent
        if facts.late_may_join and not facts.commits and now - since < facts.txn_timeout:
            return EndingStep.RENEW
    return EndingStep.GIVE_UP if now - since >= facts.txn_timeout else EndingStep.SEND
