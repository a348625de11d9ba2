"""What a broker's refusal means for a batch: `judge` decides, and changes nothing. The rules are in `policy`;
`Producer` acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from klife.actors.producer.policy import Action, Rule
from klife.errors import ProduceError, RecordTooLarge
from klife.protocol.error_codes import describe, is_retriable
from klife.protocol.records import BATCH_OVERHEAD, size_bound

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.partition import Partition


_SEQUENCE_LOST = (Action.RENUMBER, Action.OVER_IF_LOST)


class Refusal(NamedTuple):
    """A broker's answer for one partition: the code, its rule, and what the broker said in words.

    `appended` where the answer has an offset all the same: the leader had written the batch, and then
    something went wrong.
    """

    code: int
    rule: Rule
    message: str | None
    record_errors: Mapping[int, str | None]
    appended: bool = False


class Course(Enum):
    """What is done with a batch that was refused."""

    FORGET = "forget"  # its delivery timeout passed meanwhile
    IN_LOG = "in log"  # delivered, at an offset that the broker forgot for a newer one's
    FAIL = "fail"
    ASK_LIMIT = "ask limit"  # one record, too large: fail it once the topic's limit is known
    SPLIT = "split"  # send its halves
    REJECT_SOME = "reject some"  # fail the guilty records, send the others
    RETRY = "retry"
    ASK_NEWER = "ask newer"  # its sequence proves nothing before those of newer uncertain batches were asked for
    RENUMBER = "renumber"  # it is not in the log: send it under a new sequence
    RENUMBER_ALL = "renumber all"  # nor are those whose sequences were refused before


class Decision(NamedTuple):
    """A course, and what goes with it."""

    course: Course
    fate_unknown: bool  # whether the batch may be in the log all the same
    backs_off: bool = False  # whether the partition waits before its next attempt
    new_id: bool = False  # the producer id was refused
    message: str | None = None  # of FAIL: the broker's words
    guilty: Sequence[int] = ()  # of REJECT_SOME: the indices of the records


def judge(partition: Partition, batch: Batch, refusal: Refusal) -> Decision:
    """Decide what becomes of `batch`, which `partition` has in flight."""
    action = refusal.rule.action
    unknown = batch.fate_unknown or refusal.rule.fate_unknown or refusal.appended
    if batch.is_set:
        return Decision(Course.FORGET, unknown)
    if action is Action.SPLIT:
        return Decision(Course.SPLIT if batch.count > 1 else Course.ASK_LIMIT, unknown)
    if action is Action.REJECT_RECORDS:
        return _rejected(batch, refusal, unknown)
    new_id = action is Action.NEW_ID
    lost = action in _SEQUENCE_LOST and (batch.attempts > 0 or partition.is_next(batch))
    if lost and unknown and partition.log.has(batch):
        return Decision(Course.IN_LOG, unknown)
    # Possibly persisted, and we can no longer find out: its sequence was refused for good; or the earlier
    # attempt was of the whole batch that this is a piece of, so a piece's sequence proves nothing; or the
    # broker may have forgotten it for a newer batch we gave up.
    untold = new_id or (lost and (batch.root is not None or not partition.log.can_tell(batch)))
    over = action is Action.OVER or (lost and action is Action.OVER_IF_LOST)
    if action is Action.FAIL or over or (unknown and untold):
        return Decision(Course.FAIL, unknown, new_id=new_id, message=refusal.message)
    if lost and unknown:
        # The broker's last sequence is not the one before ours, and nothing of ours is on the way. So this
        # batch is missing, or it was forgotten for a newer one: ask for those before it gets a new sequence.
        if partition.newest_uncertain() is not None:
            return Decision(Course.ASK_NEWER, unknown)
        return Decision(Course.RENUMBER_ALL, unknown, backs_off=True)
    return Decision(Course.RENUMBER if lost or new_id else Course.RETRY, unknown, backs_off=True, new_id=new_id)


def _rejected(batch: Batch, refusal: Refusal, unknown: bool) -> Decision:
    """Fail the records the broker names and send the others again; if it names none, it means all (KIP-467)."""
    count = batch.count
    guilty = [index for index in refusal.record_errors if 0 <= index < count] or list(range(count))
    if len(guilty) == count and len(set(refusal.record_errors.values())) <= 1:
        return Decision(Course.FAIL, unknown, message=next(iter(refusal.record_errors.values()), None) or refusal.message)
    return Decision(Course.REJECT_SOME, unknown, guilty=guilty)


def refused_error(batch: Batch, refusal: Refusal, message: str | None) -> ProduceError:
    """What the records of a batch are told that is refused for good."""
    said = f" ({message})" if message else ""
    advice = f"; {refusal.rule.advice_for(batch.terms.settings.principal)}" if refusal.rule.advice else ""
    unsure = "; they may be in the log all the same: check before sending them again" if batch.fate_unknown else ""
    return ProduceError(
        f"records of {batch.topic}-{batch.partition_id} were refused: {describe(refusal.code)}{said}{advice}{unsure}",
        topic=batch.topic,
        partition=batch.partition_id,
        error_code=refusal.code,
        retriable=is_retriable(refusal.code),
        possibly_persisted=batch.fate_unknown,
    )


def too_large_error(batch: Batch, refusal: Refusal, limit: int | None) -> RecordTooLarge:
    """What a record alone is told that the broker finds too large; `limit` is the topic's, if it could be
    learned.
    """
    key, value, headers = batch.fields[:3]
    size = size_bound(key, value, headers) + BATCH_OVERHEAD
    takes = "the broker takes" if limit is None else f"the {limit} bytes (max.message.bytes) that the topic takes"
    return RecordTooLarge(
        f"a record of {batch.topic}-{batch.partition_id} is {size} bytes with its batch, more than {takes}: "
        f"{describe(refusal.code)}; {refusal.rule.advice}",
        size=size,
        limit=limit,
        topic=batch.topic,
        partition=batch.partition_id,
        error_code=refusal.code,
    )
