"""What a broker's refusal does to a batch and its queue. Pure bookkeeping on plain values; the rules are in `policy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from klife.actors.producer import uncertain as uncertain
from klife.actors.producer.batch import Batch
from klife.actors.producer.policy import Action, Rule
from klife.actors.producer.uncertain import order
from klife.errors import ProduceError, RecordTooLarge
from klife.protocol.error_codes import describe, is_retriable
from klife.protocol.records import BATCH_OVERHEAD, size_bound

if TYPE_CHECKING:
    from klife.actors.producer.producer import Producer


class Refusal(NamedTuple):
    """A broker's answer for one partition: the code, its rule, and what the broker said in words.

    `appended` where the answer has an offset all the same: the leader had written the batch, and then something went wrong.
    """

    code: int
    rule: Rule
    message: str | None
    record_errors: Mapping[int, str | None]
    appended: bool = False


def judge(producer: Producer, batch: Batch, refusal: Refusal) -> bool:
    """Settle, split or put back `batch` as the rule says; return whether the partition should back off before its next attempt."""
    queue = batch.queue
    action = refusal.rule.action
    if refusal.rule.fate_unknown or refusal.appended:
        batch.fate_unknown = True
    if batch.is_set:  # its delivery timeout passed meanwhile
        queue.settled(batch)
        return False
    if action is Action.SPLIT:
        return _split(producer, batch)
    if action is Action.REJECT_RECORDS:
        return _reject_records(producer, batch, refusal)
    if action is Action.NEW_ID:
        producer.discard_identity(batch.identity)
    lost = action is Action.RENUMBER and (batch.attempts > 0 or _is_first(batch))
    if lost and batch.fate_unknown and uncertain.is_in_log(queue, batch):
        producer.written(batch, -1, -1)  # at an offset that the broker forgot for the newer one
        return False
    untold = action is Action.NEW_ID or (lost and (batch.root is not None or not uncertain.can_tell(queue, batch)))
    if action is Action.FAIL or (batch.fate_unknown and untold):
        # Only its old number could tell whether an earlier attempt is in the log, and that is refused for good; or that attempt was
        # of the whole that this is a piece of, and then no number of a piece tells; or it may be forgotten for one that was given up.
        queue.settled(batch)
        _fail(producer, batch, refusal, refusal.message)
        return False
    if lost and batch.fate_unknown:
        # The broker's last number is not the one before ours, and nothing of ours is on the way. So this batch is missing, or it was
        # forgotten for a newer one: ask for those before it gets a new number.
        batch.number_refused = True
        queue.put_back(batch, 0.0)
        if uncertain.newest(queue) is not None:
            return False
        uncertain.all_missing(queue)
        return True
    if lost or action is Action.NEW_ID:
        queue.sequence_lost = True
    queue.put_back(batch, 0.0)
    return True


def _is_first(batch: Batch) -> bool:
    """Whether no earlier batch of the partition is still to be written; if one is, this batch's number just came too early.

    What is sent again goes alone, and is the oldest or asked for out of turn; so this is asked of first attempts only.
    """
    queue = batch.queue
    return not any(
        other is not batch and not other.is_set and other.identity is batch.identity and order(other) < order(batch)
        for other in (*queue.in_flight, *queue.pending)
    )


def _split(producer: Producer, batch: Batch) -> bool:
    """Halve a batch of several records (one alone is for `fail_too_large`)."""
    queue = batch.queue
    count = batch.count
    middle = count // 2
    pieces = [batch.piece(range(middle)), batch.piece(range(middle, count))]
    if batch.identity is not None:
        # Nothing of the refused batch was written, so its numbers still hold for its halves.
        for piece, offset in zip(pieces, (0, middle), strict=True):
            piece.identity = batch.identity
            piece.sequence = (batch.sequence + offset) & 0x7FFFFFFF
    producer.deadlines.replace(batch, pieces)
    queue.replace(batch, pieces, 0.0)
    return False


def _reject_records(producer: Producer, batch: Batch, refusal: Refusal) -> bool:
    """Fail the records the broker names and send the others again; if it names none, it means all (KIP-467)."""
    queue = batch.queue
    count = batch.count
    guilty = [index for index in refusal.record_errors if 0 <= index < count] or list(range(count))
    if len(guilty) == count and len(set(refusal.record_errors.values())) <= 1:
        queue.settled(batch)
        _fail(producer, batch, refusal, next(iter(refusal.record_errors.values()), None) or refusal.message)
        return False
    bad = {index: batch.piece([index]) for index in guilty}
    rest = [index for index in range(count) if index not in bad]
    good = [batch.piece(rest)] if rest else []
    producer.deadlines.replace(batch, [*bad.values(), *good])
    queue.replace(batch, good, 0.0)
    if batch.identity is not None:
        queue.sequence_lost = True
    for index, piece in bad.items():
        _fail(producer, piece, refusal, refusal.record_errors.get(index) or refusal.message)
    return False


def fail_too_large(producer: Producer, batch: Batch, refusal: Refusal, limit: int | None) -> None:
    """Settle a batch of one record that the broker finds too large; `limit` is the topic's, if it could be learned."""
    key, value, headers = batch.fields[:3]
    size = size_bound(key, value, headers) + BATCH_OVERHEAD
    queue = batch.queue
    takes = "the broker takes" if limit is None else f"the {limit} bytes (max.message.bytes) that the topic takes"
    producer.settle(
        batch,
        None,
        -1,
        RecordTooLarge(
            f"a record of {queue.topic}-{queue.partition} is {size} bytes with its batch, more than {takes}: "
            f"{describe(refusal.code)}; {refusal.rule.advice}",
            size=size,
            limit=limit,
            topic=queue.topic,
            partition=queue.partition,
            error_code=refusal.code,
        ),
    )


def _fail(producer: Producer, batch: Batch, refusal: Refusal, message: str | None) -> None:
    queue = batch.queue
    uncertain.give_up(queue, batch)
    said = f" ({message})" if message else ""
    advice = f"; {refusal.rule.advice}" if refusal.rule.advice else ""
    unsure = "; they may be in the log all the same: check before sending them again" if batch.fate_unknown else ""
    producer.settle(
        batch,
        None,
        -1,
        ProduceError(
            f"records of {queue.topic}-{queue.partition} were refused: {describe(refusal.code)}{said}{advice}{unsure}",
            topic=queue.topic,
            partition=queue.partition,
            error_code=refusal.code,
            retriable=is_retriable(refusal.code),
            possibly_persisted=batch.fate_unknown,
        ),
    )
