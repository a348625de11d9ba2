"""What to do with a partition's answer: one row an error code, and nothing decided anywhere else.

Facts about the codes (name, whether Kafka calls it retriable) are in `klife.protocol.error_codes`; this is what *this producer* does.
The classes are those of the design: settle, retry the partition alone, follow the leader, split, renumber, drop the guilty records,
fail. `fate_unknown` marks answers after which the records may be in the log all the same.

Sources: KIP-360 (45, 59), KIP-467 (32, 87), KIP-580 (backoff), KIP-951 (leader hints), and the Java producer's handling of each code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from klife.protocol.error_codes import is_retriable


class Action(Enum):
    """What becomes of the batch."""

    DELIVERED = "delivered"  # settle
    RETRY = "retry"  # this partition alone, after a backoff
    REROUTE = "re-route"  # refresh metadata, then retry where the leader is
    SPLIT = "split"  # halve and retry; a record alone is failed
    RENUMBER = "renumber"  # the sequence was lost: next epoch, numbers from 0, retry
    NEW_ID = "new id"  # the producer id is refused: get another, renumber, retry
    REJECT_RECORDS = "reject records"  # fail those the broker names, retry the others
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `advice` ends the error a user reads."""

    action: Action
    fate_unknown: bool = False
    advice: str = ""


_PERMISSION = "grant the client's principal {} (kafka-acls), or use another principal"

RULES: dict[int, Rule] = {
    0: Rule(Action.DELIVERED),
    46: Rule(Action.DELIVERED),  # DUPLICATE_SEQUENCE_NUMBER: written by an earlier attempt; the offset may be unknown
    # the leader is elsewhere, or nowhere for the moment
    3: Rule(Action.REROUTE, advice="the topic or partition may have been deleted; create it, or stop producing to it"),
    5: Rule(Action.REROUTE, advice="the partition has no leader; look at the brokers that hold its replicas"),
    6: Rule(Action.REROUTE),
    72: Rule(Action.REROUTE, advice="the leader has no listener of the kind this client connects to; check advertised.listeners"),
    74: Rule(Action.REROUTE),
    75: Rule(Action.REROUTE),
    100: Rule(Action.REROUTE, advice="the topic was deleted, or deleted and created again"),
    103: Rule(Action.REROUTE),
    # passing trouble of the broker
    2: Rule(Action.RETRY, advice="the batch arrived damaged; suspect the network or memory between here and the broker"),
    7: Rule(Action.RETRY, fate_unknown=True, advice="the replicas did not confirm in time; look at the brokers' load"),
    13: Rule(Action.RETRY, fate_unknown=True),
    14: Rule(Action.RETRY),
    15: Rule(Action.RETRY),
    16: Rule(Action.RETRY),
    19: Rule(Action.RETRY, advice="fewer in-sync replicas than min.insync.replicas; bring brokers back, or lower it"),
    20: Rule(
        Action.RETRY, fate_unknown=True, advice="fewer in-sync replicas than min.insync.replicas; bring brokers back, or lower it"
    ),
    51: Rule(Action.RETRY),
    56: Rule(Action.RETRY, advice="the broker's disk fails; look at its log"),
    60: Rule(Action.RETRY),
    89: Rule(Action.RETRY, advice="a quota is exceeded; produce slower or raise it"),
    # too large
    10: Rule(Action.SPLIT, advice="raise the topic's max.message.bytes (and the brokers' message.max.bytes), or send smaller records"),
    18: Rule(Action.SPLIT, advice="raise the topic's segment.bytes, or send smaller records"),
    # idempotence
    45: Rule(Action.RENUMBER),
    59: Rule(Action.RENUMBER),
    47: Rule(Action.NEW_ID),
    90: Rule(Action.NEW_ID),
    # single records
    32: Rule(Action.REJECT_RECORDS, advice="the broker refuses the record's timestamp (message.timestamp.*.max.ms) or its form"),
    87: Rule(Action.REJECT_RECORDS, advice="the record breaks a rule of the topic, e.g. a compacted topic wants a key"),
    # denied, or impossible as configured
    17: Rule(Action.FAIL, advice="use a topic name that Kafka allows, and not an internal topic"),
    21: Rule(Action.FAIL, advice="the broker does not accept these acks; use 'all', 1 or 0"),
    29: Rule(Action.FAIL, advice=_PERMISSION.format("Write on the topic")),
    31: Rule(
        Action.FAIL,
        advice=_PERMISSION.format("IdempotentWrite on the cluster, or Write on any topic") + ", or set enable_idempotence=False",
    ),
    35: Rule(Action.FAIL, advice="the broker is too old for this request; Kafka 2.4 or newer is needed"),
    42: Rule(Action.FAIL, advice="the broker calls the request invalid; please report this with the broker's version"),
    43: Rule(Action.FAIL, advice="the topic's message format is too old for this setting; upgrade message.format.version"),
    44: Rule(Action.FAIL, advice="a policy of the cluster refuses it; ask who runs the cluster"),
    53: Rule(Action.FAIL, advice=_PERMISSION.format("Write on the transactional id")),
    76: Rule(Action.FAIL, advice="the topic or broker does not take this compression_type; choose another"),
    -1: Rule(Action.FAIL, fate_unknown=True, advice="the broker failed in a way it cannot name; its log has the cause"),
}

_UNKNOWN_RETRIABLE = Rule(Action.RETRY, fate_unknown=True)
_UNKNOWN_FATAL = Rule(Action.FAIL, fate_unknown=True, advice="this code is not expected here; the broker's log may explain it")


def rule_for(error_code: int) -> Rule:
    """The row for `error_code`. A code not listed is retried if Kafka calls it retriable, and failed with fate unknown otherwise."""
    rule = RULES.get(error_code)
    if rule is None:
        return _UNKNOWN_RETRIABLE if is_retriable(error_code) else _UNKNOWN_FATAL
    return rule
