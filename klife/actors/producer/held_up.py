"""Why a batch is not delivered yet: what the error says when its time is over.

A partition keeps how its last attempt failed (`Partition.refused`): a broker's code and words, or what befell the connection.
Together with where the partition stands now that is the whole story, for its later batches too, which wait behind the refused one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from klife.actors.producer.policy import rule_for
from klife.protocol.error_codes import ErrorCode, describe

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.batcher import Batcher
    from klife.actors.producer.partition import Partition


class Refused(NamedTuple):
    """How an attempt failed: with Kafka's code and perhaps the broker's words, or (None) with what became of the connection."""

    code: int | None
    words: str | None


class Reason(NamedTuple):
    """A text for the user, with what to do about it, and the error code that it is about, if there is one."""

    text: str
    code: int | None


def held_up_by(batch: Batch) -> Reason:
    """What `batch` waits for at this moment, and how the last attempt of its partition ended."""
    queue = batch.queue
    if not batch.in_flight and queue.batcher is None:
        code = _leaderless_for(queue)
        return Reason(f"the cluster answers {_described(code)}", code)
    now = _waits_for(batch)
    if queue.refused is None:
        return Reason(now or _waits_its_turn(batch), None)
    before = last_attempt(queue)
    if not now:
        return before
    if before.code is None and not batch.in_flight:  # the connection, of which `now` speaks already
        return Reason(now, None)
    return Reason(f"{now}; {before.text}", before.code)


def last_attempt(queue: Partition) -> Reason:
    """How the partition's last attempt failed; no text if it did not."""
    refused = queue.refused
    if refused is None:
        return Reason("", None)
    if refused.code is None:
        return Reason(f"the last attempt failed: {refused.words}", None)
    return Reason(f"the last refusal was {_described(refused.code, refused.words)}", refused.code)


def what_to_do(possibly_persisted: bool) -> str:
    """The end of a timeout's text: whether its records may be sent again."""
    if possibly_persisted:
        return "They may be in the log: check before sending them again."
    return "They were not written, and may be sent again."


def _described(code: int, words: str | None = None) -> str:
    """`code` with what the broker said about it, and what to do."""
    advice = rule_for(code).advice
    return describe(code) + (f" ({words})" if words else "") + (f"; {advice}" if advice else "")


def _leaderless_for(queue: Partition) -> int:
    """The code with which the cluster names no leader."""
    errors = queue.route.info.errors
    return (errors[queue.partition] if queue.partition < len(errors) else 0) or ErrorCode.LEADER_NOT_AVAILABLE


def _waits_for(batch: Batch) -> str:
    """What is in the batch's way apart from a refusal; empty if nothing is."""
    queue = batch.queue
    producer, batcher = queue.producer, queue.batcher
    if batch.in_flight:
        return "the broker has not answered yet"
    if producer.idempotent and producer.identity is None:
        return f"no producer id could be had ({producer.identity_error or 'no broker answered'})"
    assert batcher is not None
    if batcher.broker.is_ready:
        return ""
    if batcher.broker.throttled_until:
        return f"broker {batcher.node_id} throttles this client: a quota is exceeded; produce slower, or raise it"
    return _unreachable(batcher)


def _unreachable(batcher: Batcher) -> str:
    return f"broker {batcher.node_id} can not be reached ({batcher.broker.describe()})"


def _waits_its_turn(batch: Batch) -> str:
    queue = batch.queue
    assert queue.batcher is not None
    if queue.in_flight:
        return f"broker {queue.batcher.node_id} has not answered to the partition's records before these yet"
    return (
        f"broker {queue.batcher.node_id} had {len(queue.batcher.calls)} requests to answer first, {batch.attempts} attempts were made"
    )
