"""The life of a transactional producer, as a table: `TRANSITIONS` is the whole of it, and nothing else changes
the state. docs/transactions.md has the picture that is drawn from it.

The states are those of Kafka's own client. Two things differ. A commit is COMMITTING from the moment it is
sent: waiting for the deliveries comes before, IN_TRANSACTION, so that a delivery that fails meanwhile is an
abort like any other. And from COMMITTING there is no way to ABORTING: a commit that was sent is repeated, and
nothing else, until a coordinator has answered.
"""

from __future__ import annotations

from klife.actors.key_enum import KeyEnum


class State(KeyEnum):
    """Where a transactional producer is."""

    UNINITIALIZED = "uninitialized"  # no identity, or one that must not be used before the coordinator renewed it
    INITIALIZING = "initializing"
    READY = "ready"
    IN_TRANSACTION = "in transaction"
    COMMITTING = "committing"  # the commit was sent, or is about to be
    ABORTING = "aborting"
    ABORTABLE_ERROR = "abortable error"  # the transaction is over, and is still to be aborted
    FATAL_ERROR = "fatal error"  # fenced: the id belongs to somebody else


class Event(KeyEnum):
    """What may happen to it."""

    INITIALIZE = "initialize"
    INITIALIZED = "initialized"
    BEGIN = "begin"
    COMMIT = "commit"
    ABORT = "abort"
    END = "end"  # the coordinator ended it, or there was nothing to end: an empty transaction is told to nobody
    FAIL = "fail"  # it can only be aborted
    LOSE = "lose"  # the identity is in doubt: no answer, refused, or timed out at the coordinator
    FENCE = "fence"


class ImpossibleTransition(RuntimeError):
    """Our side wants something that the state does not allow: a bug."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.UNINITIALIZED, Event.INITIALIZE): State.INITIALIZING,
    (State.INITIALIZING, Event.INITIALIZED): State.READY,
    (State.INITIALIZING, Event.LOSE): State.UNINITIALIZED,
    (State.READY, Event.BEGIN): State.IN_TRANSACTION,
    (State.READY, Event.LOSE): State.UNINITIALIZED,
    (State.IN_TRANSACTION, Event.COMMIT): State.COMMITTING,
    (State.IN_TRANSACTION, Event.ABORT): State.ABORTING,
    (State.IN_TRANSACTION, Event.END): State.READY,
    (State.IN_TRANSACTION, Event.FAIL): State.ABORTABLE_ERROR,
    (State.COMMITTING, Event.END): State.READY,
    (State.COMMITTING, Event.FAIL): State.ABORTABLE_ERROR,
    (State.COMMITTING, Event.LOSE): State.UNINITIALIZED,
    (State.ABORTING, Event.END): State.READY,
    (State.ABORTING, Event.FAIL): State.ABORTING,
    (State.ABORTING, Event.LOSE): State.UNINITIALIZED,
    (State.ABORTABLE_ERROR, Event.ABORT): State.ABORTING,
    (State.ABORTABLE_ERROR, Event.END): State.READY,
    (State.ABORTABLE_ERROR, Event.FAIL): State.ABORTABLE_ERROR,
    (State.ABORTABLE_ERROR, Event.LOSE): State.UNINITIALIZED,
    **{(state, Event.FENCE): State.FATAL_ERROR for state in State},
}

OPEN = frozenset({State.IN_TRANSACTION, State.COMMITTING, State.ABORTING, State.ABORTABLE_ERROR})
"""The states in which a transaction is under way: there is something to end, or to be told how it ended."""


def after(state: State, event: Event) -> State:
    """The state that `event` leads to.

    Raises:
        ImpossibleTransition: there is none.
    """
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise ImpossibleTransition(f"a transactional producer that is {state.value} was told to {event.value}")
    return following
