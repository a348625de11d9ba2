"""Why a batch is not delivered yet: what the error says when its time is over.

A partition keeps how its last attempt failed (`Partition.refused`): a broker's code and words, or what befell
the connection. Together with where the partition stands now that is the whole story, for its later batches
too, which wait behind the refused one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from klife.actors.producer.batch import Batch, what_to_do
from klife.actors.producer.policy import rule_for
from klife.actors.runtime.hub_pause import hub_stands_still
from klife.errors import DeliveryTimeout
from klife.protocol.error_codes import ErrorCode, describe
from klife.words import counted, were

if TYPE_CHECKING:
    from klife.actors.producer.batcher import Batcher
    from klife.actors.producer.identity import Identities
    from klife.actors.producer.partition import Partition


class Reason(NamedTuple):
    """A text for the user, with what to do about it, and the error code that it is about, if there is one."""

    text: str
    code: int | None


def held_up_by(batch: Batch, partition: Partition, identities: Identities) -> Reason:
    """What `batch` waits for at this moment, and how the last attempt of its partition ended."""
    batcher: Batcher | None = partition.served_by
    principal = batch.terms.settings.principal
    if batch.in_flight:
        now = "the broker has not answered yet"
    elif batcher is None:
        code = partition.leader_error or ErrorCode.LEADER_NOT_AVAILABLE
        return Reason(f"the cluster answers {_described(code, principal)}", code)
    else:
        now = _waits_for(batch, batcher, identities)
        if not now and partition.refused is None:
            return Reason(_waits_its_turn(batch, partition, batcher), None)
    before = last_attempt(partition, principal)
    if not now:
        return before
    if not before.text or (before.code is None and not batch.in_flight):  # the connection, of which `now` speaks already
        return Reason(now, None)
    return Reason(f"{now}; {before.text}", before.code)


def last_attempt(partition: Partition, principal: object) -> Reason:
    """How the last attempt failed of a `principal`'s partition; no text if it did not."""
    refused = partition.refused
    if refused is None:
        return Reason("", None)
    if refused.code is None:
        return Reason(f"the last attempt failed: {refused.words}", None)
    return Reason(f"the last refusal was {_described(refused.code, principal, refused.words)}", refused.code)


def _described(code: int, principal: object, words: str | None = None) -> str:
    """`code` with what the broker said about it, and what to do."""
    advice = rule_for(code).advice_for(principal)
    return describe(code) + (f" ({words})" if words else "") + (f"; {advice}" if advice else "")


def _waits_for(batch: Batch, batcher: Batcher, identities: Identities) -> str:
    """What is in the way of a batch that is not in flight, apart from a refusal; empty if nothing is."""
    if batch.terms.idempotent and identities.current is None and (identities.error or batcher.broker.is_ready):
        return f"no producer id could be had ({identities.error or 'no broker answered'})"
    if batcher.broker.is_ready:
        return ""
    if batcher.broker.throttled_until:
        return f"broker {batcher.node_id} throttles this client: a quota is exceeded; produce slower, or raise it"
    away = f"broker {batcher.node_id} can not be reached ({batcher.broker.describe()})"
    if batcher.broker.answered_at is not None:
        return away
    return f"{away}, and never was: check that it runs, and that this address, of its advertised.listeners, can be reached from here"


def _waits_its_turn(batch: Batch, partition: Partition, batcher: Batcher) -> str:
    if partition.in_flight:
        return f"broker {batcher.node_id} has not answered to the partition's records before these yet"
    first, tried = counted(len(batcher.calls), "request"), counted(batch.attempts, "attempt")
    return f"broker {batcher.node_id} had {first} to answer first, {tried} {were(batch.attempts)} made"


def timed_out(batch: Batch, partition: Partition, identities: Identities, stood_still: float) -> DeliveryTimeout:
    """What the records of a batch are told that is past its delivery timeout, after a hub that `stood_still`
    for so many seconds.
    """
    unknown = batch.in_flight or batch.fate_unknown
    timeout = batch.terms.delivery_timeout
    why, code = held_up_by(batch, partition, identities)
    if stood_still >= timeout / 2:
        why = hub_stands_still(batch.terms.home, stood_still)
    return DeliveryTimeout(
        f"records of {batch.topic}-{batch.partition_id} were not delivered within delivery_timeout_ms ({timeout * 1000:g} ms): {why}. "
        f"{what_to_do(unknown)}",
        topic=batch.topic,
        partition=batch.partition_id,
        error_code=code,
        retriable=True,
        possibly_persisted=unknown,
    )
