"""What to do with a partition's answer: one row for every error code of Kafka's, and nothing decided anywhere
else.

Facts about the codes (name, whether Kafka calls it retriable) are in `klife.protocol.error_codes`; this is
what *this producer* does. The actions are settling, trying the partition alone again, following the leader,
splitting, renumbering, dropping the guilty records, failing. A transactional producer renumbers nothing; its
column is `TRANSACTIONAL_RULES`. What a record ends as follows from them:
*delivered* by a row that says so; by any other row, or at its deadline, *failed*, unless an attempt of it
ended with its `fate_unknown`: then it is *possibly persisted*.

`fate_unknown` is for codes that a broker gives after it has written, or that it may give then. Most refusals
come before anything is written. Three of those (3, 6, 100) come later, too: a broker that loses the partition
while it waits for the replicas answers with them, and then its answer has the offset it had written at
(Kafka's `DelayedProduce`). So a refusal with an offset counts as fate unknown whatever its code; see
`refusal`.

Sources: KIP-360 (45, 59), KIP-467 (32, 87), KIP-580 (backoff), KIP-951 (leader hints), the brokers' append
path, and the Java producer's handling of each code; docs/outcomes.md has where this one differs from it, and
why.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from klife.protocol.error_codes import ErrorCode as Code


class Action(Enum):
    """What becomes of the batch."""

    DELIVERED = "delivered"  # settle
    RETRY = "retry"  # this partition alone, after a backoff
    REROUTE = "re-route"  # refresh metadata, then retry where the leader is
    SPLIT = "split"  # halve and retry; a record alone is failed
    RENUMBER = "renumber"  # the sequence was lost: next epoch, sequences from 0, retry
    NEW_ID = "new id"  # the producer id is refused: get another, renumber, retry
    REJECT_RECORDS = "reject records"  # fail those the broker names, retry the others
    FAIL = "fail"
    # Of transactional producers:
    OVER = "over"  # so is the transaction: fail, and renumber nothing
    OVER_IF_LOST = "over if lost"  # the same, once nothing before it is under way that it may only have overtaken


class Rule(NamedTuple):
    """One row. `advice` ends the error a user reads; it may name the client's `{principal}` (`advice_for`).

    `soon` where what is in the way passes in milliseconds, so that the backoff begins short (`SOON`).
    """

    action: Action
    fate_unknown: bool = False
    advice: str = ""
    soon: bool = False

    def advice_for(self, principal: object) -> str:
        """The advice, for a client whom brokers know so."""
        return self.advice.format(principal=principal)


DELIVERED, RETRY, REROUTE, SPLIT, RENUMBER, NEW_ID, REJECT, FAIL, OVER, OVER_IF_LOST = Action
_PERMISSION = "grant {{principal}} {} (kafka-acls), or use another principal"
_OR_WITHOUT = ", or set enable_idempotence=False"
_REPLICAS = "bring brokers back, or lower the topic's min.insync.replicas"

# Codes that Produce should never return. If one does, the batch's fate is unknown: retry if Kafka calls the
# code retriable, else fail.
_MISPLACED = Rule(FAIL, fate_unknown=True, advice="this code is not expected here; the broker's log may explain it")
_MISPLACED_PASSING = Rule(RETRY, fate_unknown=True, advice=_MISPLACED.advice)

RULES: dict[int, Rule] = {
    # what is not named below: codes of other requests, as fetching, groups, transactions, administration
    **{code: _MISPLACED_PASSING if code.retriable else _MISPLACED for code in Code},
    # in the log
    Code.NONE: Rule(DELIVERED),
    Code.DUPLICATE_SEQUENCE_NUMBER: Rule(DELIVERED),  # by an earlier attempt; the offset may be unknown
    # the leader is elsewhere, or nowhere for the moment
    Code.UNKNOWN_TOPIC_OR_PARTITION: Rule(REROUTE, advice="the topic may have been deleted; create it, or stop producing to it"),
    Code.LEADER_NOT_AVAILABLE: Rule(REROUTE, advice="look at the brokers that hold its replicas"),
    Code.NOT_LEADER_OR_FOLLOWER: Rule(REROUTE),
    Code.LISTENER_NOT_FOUND: Rule(REROUTE, advice="check the brokers' advertised.listeners"),
    Code.FENCED_LEADER_EPOCH: Rule(REROUTE),
    Code.UNKNOWN_LEADER_EPOCH: Rule(REROUTE),
    Code.UNKNOWN_TOPIC_ID: Rule(REROUTE, advice="create the topic, or stop producing to it"),
    Code.INCONSISTENT_TOPIC_ID: Rule(REROUTE),
    Code.KAFKA_STORAGE_ERROR: Rule(REROUTE, fate_unknown=True, advice="look at the leader's log"),
    Code.NETWORK_EXCEPTION: Rule(REROUTE, fate_unknown=True),
    # passing trouble of the broker
    Code.CORRUPT_MESSAGE: Rule(RETRY, advice="suspect memory, or the network on its way"),
    Code.REQUEST_TIMED_OUT: Rule(RETRY, fate_unknown=True, advice="look at the brokers' load"),
    Code.COORDINATOR_LOAD_IN_PROGRESS: Rule(RETRY),
    Code.COORDINATOR_NOT_AVAILABLE: Rule(RETRY),
    Code.NOT_COORDINATOR: Rule(RETRY),
    Code.NOT_ENOUGH_REPLICAS: Rule(RETRY, advice=_REPLICAS),
    Code.NOT_ENOUGH_REPLICAS_AFTER_APPEND: Rule(RETRY, fate_unknown=True, advice=_REPLICAS),
    Code.CONCURRENT_TRANSACTIONS: Rule(RETRY),
    Code.REASSIGNMENT_IN_PROGRESS: Rule(RETRY),
    Code.THROTTLING_QUOTA_EXCEEDED: Rule(RETRY, advice="produce slower, or raise the quota"),
    # too large
    Code.MESSAGE_TOO_LARGE: Rule(SPLIT, advice="raise the topic's max.message.bytes, or send smaller records"),
    Code.RECORD_LIST_TOO_LARGE: Rule(SPLIT, advice="raise the topic's segment.bytes, or send smaller records"),
    # idempotence
    Code.OUT_OF_ORDER_SEQUENCE_NUMBER: Rule(RENUMBER),
    Code.UNKNOWN_PRODUCER_ID: Rule(RENUMBER),
    Code.INVALID_PRODUCER_EPOCH: Rule(NEW_ID),
    Code.PRODUCER_FENCED: Rule(NEW_ID),
    # single records
    Code.INVALID_TIMESTAMP: Rule(REJECT, advice="its timestamp is out of bounds (message.timestamp.*.max.ms), or its form"),
    Code.INVALID_RECORD: Rule(REJECT, advice="the record breaks a rule of the topic, e.g. a compacted topic wants a key"),
    # denied, or impossible as configured
    Code.INVALID_TOPIC_EXCEPTION: Rule(FAIL, advice="use a topic name that Kafka allows, and not an internal topic"),
    Code.INVALID_REQUIRED_ACKS: Rule(FAIL, advice="the broker does not accept these acks; use 'all', 1 or 0"),
    Code.TOPIC_AUTHORIZATION_FAILED: Rule(FAIL, advice=_PERMISSION.format("Write on the topic")),
    Code.CLUSTER_AUTHORIZATION_FAILED: Rule(FAIL, advice=_PERMISSION.format("IdempotentWrite on the cluster") + _OR_WITHOUT),
    Code.UNSUPPORTED_VERSION: Rule(FAIL, advice="the broker is too old for this request; Kafka 2.4 or newer is needed"),
    Code.INVALID_REQUEST: Rule(FAIL, advice="the broker calls the request invalid; please report this with the broker's version"),
    Code.UNSUPPORTED_FOR_MESSAGE_FORMAT: Rule(FAIL, advice="the topic's format is too old; upgrade its message.format.version"),
    Code.POLICY_VIOLATION: Rule(FAIL, advice="a policy of the cluster refuses it; ask who runs the cluster"),
    Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Rule(FAIL, advice=_PERMISSION.format("Write on the transactional id")),
    Code.UNSUPPORTED_COMPRESSION_TYPE: Rule(FAIL, advice="the topic or broker does not take this compression_type; choose another"),
    Code.UNKNOWN_SERVER_ERROR: Rule(FAIL, fate_unknown=True, advice="the broker failed in a way it cannot name; its log has the cause"),
}

_RUN_AGAIN = "abort the transaction, and run it again"
_ASK = "another producer may have taken over the transactional id, or the transaction timed out"

TRANSACTIONAL_RULES: dict[int, Rule] = {
    **RULES,
    # The column of transactional producers, where it differs. Their ids and epochs come from the coordinator
    # alone: nothing is renumbered, and what would need it ends the transaction. What else the coordinator
    # found, it says here through the partition's leader. No fate is unknown by these: what an aborted
    # transaction left in the log nobody reads who reads committed records.
    Code.OUT_OF_ORDER_SEQUENCE_NUMBER: Rule(OVER_IF_LOST, advice=_RUN_AGAIN),
    Code.UNKNOWN_PRODUCER_ID: Rule(OVER, advice=_RUN_AGAIN),
    Code.INVALID_PRODUCER_EPOCH: Rule(OVER, advice=_ASK),
    Code.PRODUCER_FENCED: Rule(OVER, advice=_ASK),
    Code.INVALID_TXN_STATE: Rule(OVER, advice=_ASK),
    Code.INVALID_PRODUCER_ID_MAPPING: Rule(OVER, advice=_ASK),
    Code.TRANSACTION_COORDINATOR_FENCED: Rule(OVER, advice=_RUN_AGAIN),
    Code.TRANSACTION_ABORTABLE: Rule(OVER, advice=_RUN_AGAIN),
    # The leader has asked the coordinator for 100 ms by then: the markers of the id's last transaction are not
    # written, or its other leaders add partitions. (Java: the usual backoff here, a short one where it asks itself.)
    Code.CONCURRENT_TRANSACTIONS: Rule(RETRY, soon=True),
}


def rule_for(error_code: int, transactional: bool = False) -> Rule:
    """The row for `error_code`. A code that is not Kafka's (yet) fails with fate unknown: nobody knows what a
    retry would do.
    """
    return (TRANSACTIONAL_RULES if transactional else RULES).get(error_code, _MISPLACED)
