"""What each answer to a transactional producer's requests means: one row for every request and error code, and
nothing decided anywhere else.

The rows are written where they differ from what the code means for any request (`_passing`). Sources: KIP-98,
KIP-360, KIP-890, the transaction coordinator, and the Java client's `TransactionManager`; where a row differs
from the latter its comment says why. It calls fenced, fatal and for ever what brokers may answer to a
transaction that merely timed out (47, 48, 49, 90). Here those codes are a reason to ask the coordinator
(`fate`), and the producer lives on unless somebody else has its id.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from klife.actors.transactions.state import State
from klife.protocol.error_codes import ErrorCode as Code
from klife.protocol.error_codes import describe


class Request(Enum):
    """What a transactional producer asks. The value is Kafka's name."""

    FIND_COORDINATOR = "FindCoordinator"
    INIT_PRODUCER_ID = "InitProducerId"
    ADD_PARTITIONS = "AddPartitionsToTxn"  # v1 only
    PRODUCE = "Produce"  # what a batch ended with, after its own retries (`klife.actors.producer.policy`)
    END_TXN = "EndTxn"


class Action(Enum):
    """What is done then."""

    DONE = "done"
    AGAIN = "again"  # the same, after a backoff
    FIND = "find"  # look up the coordinator, and then the same again, after a backoff
    ABORT = "abort"  # the transaction is over: abort it, and the producer can go on
    ASK = "ask"  # timed out, or fenced: ask the coordinator (`fate`)
    ANEW = "anew"  # nothing is open any more that an abort could reach: initialise the producer before its next use
    REFUSED = "refused"  # the call fails, and says what is missing; the next one tries again


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `text` says what was answered, `advice` (which may be "") what a user can do about it.

    `retriable` where the same transaction may well succeed when it is run again without anybody's help; `soon`
    where the backoff begins short, as what is in the way passes in milliseconds.
    """

    action: Action
    text: str = ""
    advice: str = ""
    retriable: bool = True
    soon: bool = False


def action_for(request: Request, error_code: int | None, *, state: State, principal: object = "the client's principal") -> Rule:
    """The row for an answer to `request`, as it is met in `state`, with its text.

    `error_code` is None where no broker refused anything: a record's delivery timed out, or an answer did not
    come (which is 13, NETWORK_EXCEPTION, for a request that is sent again). The advice names the client's
    `principal`.
    """
    if error_code is None:
        return Rule(_WITHOUT_CODE[request], f"{request.value} got no answer in time")
    aborting = request is Request.END_TXN and state is State.ABORTING
    rules, otherwise = (RULES_OF_ABORT, ANEW) if aborting else (RULES[request], _UNKNOWN_CODE[request])
    rule = rules.get(error_code, otherwise)
    text = f"{request.value} was answered with {describe(error_code)}"
    return replace(rule, text=text, advice=rule.advice.format(principal=principal))


DONE, AGAIN, FIND, ABORT, ASK, ANEW, REFUSED = map(Rule, Action)
_AGAIN_SOON = Rule(Action.AGAIN, soon=True)


def _for_good(action: Action, advice: str) -> Rule:
    """A row whose transaction fails again until somebody does what `advice` says."""
    return Rule(action, advice=advice, retriable=False)


_WRITE_ID = "grant {principal} Write on the transactional id (kafka-acls), or use another principal or base_txn_id"
_WRITE_TOPIC = "grant {principal} Write on the topic (kafka-acls), or use another principal"
_CLUSTER = "grant {principal} IdempotentWrite on the cluster (kafka-acls), or use another principal"
_TOO_OLD = "the broker is too old for this request; Kafka 2.4 or newer is needed"
_INVALID = "the broker calls the request invalid; please report this with the broker's version"
_TIMEOUT = "lower txn_timeout_ms of the pool, or raise the brokers' transaction.max.timeout.ms"


def _passing(otherwise: Rule) -> dict[int, Rule]:
    """What the codes mean for any request to a coordinator: `otherwise` for those that Kafka does not call
    retriable.
    """
    return {
        **{code: AGAIN if code.retriable else otherwise for code in Code},
        Code.NONE: DONE,
        Code.COORDINATOR_NOT_AVAILABLE: FIND,
        Code.NOT_COORDINATOR: FIND,
        Code.NETWORK_EXCEPTION: FIND,
        # Markers of the id's last transaction are not written yet. (Java: so soon only to the first AddPartitionsToTxn.)
        Code.CONCURRENT_TRANSACTIONS: _AGAIN_SOON,
    }


_TIMED_OUT_OR_FENCED: dict[int, Rule] = {
    Code.INVALID_PRODUCER_EPOCH: ASK,
    Code.PRODUCER_FENCED: ASK,
    Code.INVALID_TXN_STATE: ASK,
    # Of an id that rested longer than the brokers' transactional.id.expiration.ms, or that another producer
    # has used up the epochs of.
    Code.INVALID_PRODUCER_ID_MAPPING: ASK,
}

# Nothing is open while a producer is initialised, so the call fails, whatever the code, and the next one may
# try again: permissions are granted and brokers upgraded while programs run. (Java: 53 and 31 only, and every
# other code ends the producer.)
_FIND_COORDINATOR: dict[int, Rule] = {
    **_passing(_for_good(Action.REFUSED, "")),
    Code.COORDINATOR_NOT_AVAILABLE: AGAIN,
    Code.NOT_COORDINATOR: AGAIN,
    Code.NETWORK_EXCEPTION: AGAIN,
    Code.TRANSACTION_ABORTABLE: AGAIN,
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _for_good(Action.REFUSED, _WRITE_ID),
    Code.UNSUPPORTED_VERSION: _for_good(Action.REFUSED, _TOO_OLD),
    Code.INVALID_REQUEST: _for_good(Action.REFUSED, _INVALID),
}

_INIT_PRODUCER_ID: dict[int, Rule] = {
    **_passing(_for_good(Action.REFUSED, "")),
    Code.INVALID_PRODUCER_EPOCH: ASK,
    Code.PRODUCER_FENCED: ASK,
    Code.TRANSACTION_ABORTABLE: AGAIN,
    Code.INVALID_TRANSACTION_TIMEOUT: _for_good(Action.REFUSED, _TIMEOUT),
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _for_good(Action.REFUSED, _WRITE_ID),
    Code.CLUSTER_AUTHORIZATION_FAILED: _for_good(Action.REFUSED, _CLUSTER),
    Code.UNSUPPORTED_VERSION: _for_good(Action.REFUSED, _TOO_OLD),
    Code.INVALID_REQUEST: _for_good(Action.REFUSED, _INVALID),
}

_ADD_PARTITIONS: dict[int, Rule] = {
    **_passing(ABORT),
    **_TIMED_OUT_OR_FENCED,
    Code.TOPIC_AUTHORIZATION_FAILED: _for_good(Action.ABORT, _WRITE_TOPIC),
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _for_good(Action.ABORT, _WRITE_ID),
    Code.UNSUPPORTED_VERSION: _for_good(Action.ABORT, _TOO_OLD),
    Code.INVALID_REQUEST: _for_good(Action.ABORT, _INVALID),
}

# A batch has been tried again already wherever that helps: what a delivery ended with is the transaction's
# end. (Java: 53, 31, 35, 49 and 90 end the producer.)
_PRODUCE: dict[int, Rule] = {
    **dict.fromkeys(Code, ABORT),
    **_TIMED_OUT_OR_FENCED,
    Code.NONE: DONE,
    Code.DUPLICATE_SEQUENCE_NUMBER: DONE,
    Code.TOPIC_AUTHORIZATION_FAILED: _for_good(Action.ABORT, _WRITE_TOPIC),
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _for_good(Action.ABORT, _WRITE_ID),
    Code.CLUSTER_AUTHORIZATION_FAILED: _for_good(Action.ABORT, _CLUSTER),
    Code.UNSUPPORTED_VERSION: _for_good(Action.ABORT, _TOO_OLD),
    Code.INVALID_REQUEST: _for_good(Action.ABORT, _INVALID),
    Code.MESSAGE_TOO_LARGE: _for_good(Action.ABORT, "raise the topic's max.message.bytes, or send smaller records"),
    Code.RECORD_LIST_TOO_LARGE: _for_good(Action.ABORT, "raise the topic's segment.bytes, or send smaller records"),
    Code.INVALID_RECORD: _for_good(Action.ABORT, "the record breaks a rule of the topic, e.g. a compacted topic wants a key"),
    Code.INVALID_TIMESTAMP: _for_good(Action.ABORT, "its timestamp is out of bounds (message.timestamp.*.max.ms), or its form"),
}

# A commit: whatever does not say that it was refused before anything was done leaves its fate open, so that it
# is sent again, unknown codes included. (Java: they end the producer.)
_COMMITTING: dict[int, Rule] = {
    **_passing(AGAIN),
    **_TIMED_OUT_OR_FENCED,
    Code.TRANSACTION_ABORTABLE: ABORT,
    Code.UNKNOWN_PRODUCER_ID: ABORT,
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _for_good(Action.ANEW, _WRITE_ID),
    Code.UNSUPPORTED_VERSION: _for_good(Action.ANEW, _TOO_OLD),
    Code.INVALID_REQUEST: _for_good(Action.ANEW, _INVALID),
}

# An abort that is refused: the coordinator's own timeout aborts then, or the producer's next initialisation.
# (Java: it ends the producer.)
RULES_OF_ABORT: dict[int, Rule] = {
    **_passing(ANEW),
    **_TIMED_OUT_OR_FENCED,
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _for_good(Action.ANEW, _WRITE_ID),
    Code.UNSUPPORTED_VERSION: _for_good(Action.ANEW, _TOO_OLD),
    Code.INVALID_REQUEST: _for_good(Action.ANEW, _INVALID),
}

RULES: dict[Request, dict[int, Rule]] = {
    Request.FIND_COORDINATOR: _FIND_COORDINATOR,
    Request.INIT_PRODUCER_ID: _INIT_PRODUCER_ID,
    Request.ADD_PARTITIONS: _ADD_PARTITIONS,
    Request.PRODUCE: _PRODUCE,
    Request.END_TXN: _COMMITTING,  # of a commit; those of an abort are `RULES_OF_ABORT`
}

# Codes that are not Kafka's (yet).
_UNKNOWN_CODE = {
    Request.FIND_COORDINATOR: _for_good(Action.REFUSED, ""),
    Request.INIT_PRODUCER_ID: _for_good(Action.REFUSED, ""),
    Request.ADD_PARTITIONS: ABORT,
    Request.PRODUCE: ABORT,
    Request.END_TXN: AGAIN,
}

_WITHOUT_CODE = {
    Request.FIND_COORDINATOR: Action.AGAIN,
    Request.INIT_PRODUCER_ID: Action.FIND,
    Request.ADD_PARTITIONS: Action.FIND,
    Request.PRODUCE: Action.ABORT,
    Request.END_TXN: Action.FIND,
}
