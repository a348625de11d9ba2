"""Which class an error code is in, and what each class does to a batch. The table is written out again here
on purpose.
"""

from __future__ import annotations

from time import monotonic

import gevent
import pytest

from klife import Record, RecordTooLarge
from klife.actors.producer.batch import Batch
from klife.actors.producer.identity import Identity
from klife.actors.producer.partition import Partition
from klife.actors.producer.policy import RULES, Action, rule_for
from klife.actors.producer.refusal import Course, Refusal, judge, too_large_error
from klife.protocol.error_codes import ErrorCode, describe, is_retriable
from tests.support.producer_parts import Parts

CLASSES = {
    Action.DELIVERED: {0, 46},
    Action.REROUTE: {3, 5, 6, 13, 56, 72, 74, 75, 100, 103},
    Action.RETRY: {2, 7, 14, 15, 16, 19, 20, 51, 60, 89},
    Action.SPLIT: {10, 18},
    Action.RENUMBER: {45, 59},
    Action.NEW_ID: {47, 90},
    Action.REJECT_RECORDS: {32, 87},
    Action.FAIL: {-1, 17, 21, 29, 31, 35, 42, 43, 44, 53, 76},
}
FATE_UNKNOWN = {-1, 7, 13, 20, 56}
NAMED = set().union(*CLASSES.values())


@pytest.mark.parametrize(("action", "code"), [(action, code) for action, codes in CLASSES.items() for code in sorted(codes)])
def test_every_code_of_the_table_has_its_class(action: Action, code: int) -> None:
    assert rule_for(code).action is action
    assert rule_for(code).fate_unknown is (code in FATE_UNKNOWN)


OF_A_TRANSACTION = {Action.OVER_IF_LOST: {45}, Action.OVER: {47, 48, 49, 52, 59, 90, 120}}
SOON = {51}


def test_every_code_of_a_transactional_producer() -> None:
    for code in [*map(int, ErrorCode), 9999, -2]:
        rule, usual = rule_for(code, transactional=True), rule_for(code)
        over = next((action for action, codes in OF_A_TRANSACTION.items() if code in codes), None)
        if over is None:
            assert rule == usual._replace(soon=code in SOON)
        else:
            assert (rule.action, rule.fate_unknown) == (over, False)
            assert rule.advice
        assert rule.action not in (Action.RENUMBER, Action.NEW_ID)
        assert usual.action not in OF_A_TRANSACTION
        assert not usual.soon


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_no_answer_gives_a_transactional_producer_another_number(count: int, unknown: bool) -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    batches = [parts.sent(count), parts.sent(count)]
    for code in [*map(int, ErrorCode), 9999]:
        rule = rule_for(code, transactional=True)
        for batch in batches if rule.action is not Action.DELIVERED else []:
            batch.fate_unknown = unknown
            decision = judge(parts.of(batch), batch, Refusal(code, rule, None, {}))
            assert decision.course not in (Course.RENUMBER, Course.RENUMBER_ALL, Course.ASK_NEWER)
            assert not decision.new_id


def test_a_batch_of_a_transaction_that_overtook_another_goes_again_and_one_that_is_next_ends_it() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, second = parts.sent(), parts.sent()
    refusal = Refusal(45, rule_for(45, transactional=True), None, {})
    assert judge(parts.of(second), second, refusal).course is Course.RETRY
    assert judge(parts.of(first), first, refusal).course is Course.FAIL


def all_that_is_known(parts: Parts, batch: Batch) -> list[object]:
    """What `judge` could change: fields of the batch, its partition, what is known of the log, the identity,
    the books.
    """
    partition, producer = parts.of(batch), parts.producer
    names = [name for name in Partition.__slots__ if not name.startswith("_")]
    values = [getattr(partition, name) for name in names]
    log = [partition.log.accepted, partition.log.accepted_ordinal, partition.log.given_up]
    own = [batch.is_set, batch.in_flight, batch.attempts, batch.fate_unknown, batch.sequence_refused, batch.sequence, batch.outcomes]
    pending = list(producer.deadlines.pending)
    return [[*value] if isinstance(value, list) else value for value in values] + [
        log,
        own,
        pending,
        producer.identity,
        producer.retries,
        parts.bell.woken,
    ]


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("code", [*sorted(NAMED - CLASSES[Action.DELIVERED]), 1])
def test_to_judge_is_to_change_nothing(code: int, count: int, unknown: bool) -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    batch = parts.sent(count)
    batch.fate_unknown = unknown
    before = all_that_is_known(parts, batch)
    refusal = Refusal(code, rule_for(code), "no", {0: "guilty"} if code in CLASSES[Action.REJECT_RECORDS] else {})
    decision = judge(parts.of(batch), batch, refusal)
    assert all_that_is_known(parts, batch) == before
    assert parts.producer.refused(parts.of(batch), batch, refusal) == decision


PATIENCE = 10.0


def test_the_table_has_a_row_for_every_code_of_kafkas() -> None:
    assert set(RULES) == {int(code) for code in ErrorCode}


@pytest.mark.parametrize("code", [*(code for code in ErrorCode if code not in NAMED), 9999, -2])
def test_a_code_that_no_producer_should_get_is_retried_if_kafka_calls_it_retriable_and_leaves_the_fate_open(code: int) -> None:
    assert rule_for(code).action is (Action.RETRY if is_retriable(code) else Action.FAIL)
    assert rule_for(code).fate_unknown


@pytest.mark.parametrize("code", sorted(CLASSES[Action.FAIL] | CLASSES[Action.REJECT_RECORDS]))
def test_what_fails_says_what_to_do(code: int) -> None:
    assert rule_for(code).advice
    parts = Parts()
    batch = parts.sent()
    parts.refused(batch, code)
    error = batch.result(0).error
    assert error is not None
    assert describe(code) in str(error)
    assert rule_for(code).advice_for("the client's principal") in str(error)
    assert error.error_code == code
    assert error.possibly_persisted is (code in FATE_UNKNOWN)


@pytest.mark.parametrize("code", sorted(CLASSES[Action.RETRY] | CLASSES[Action.REROUTE]))
def test_what_is_retried_is_back_in_its_place_with_its_number(code: int) -> None:
    parts = Parts()
    batch, later = parts.sent(), parts.batch()
    assert parts.refused(batch, code).backs_off
    assert list(parts.partition().pending) == [batch, later]
    assert not parts.partition().sequence_lost
    assert (batch.identity, batch.sequence, batch.fate_unknown) == (parts.identity, 0, code in FATE_UNKNOWN)


@pytest.mark.parametrize("code", [3, 6, 100])
def test_a_refusal_with_an_offset_comes_after_the_leader_wrote(code: int) -> None:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.sent()
    parts.refused(batch, code, appended=True)
    parts.producer.expire(batch.created + 10)
    error = batch.result(0).error
    assert error is not None
    assert error.possibly_persisted


@pytest.mark.parametrize("half", [0, 1])
def test_of_a_batch_that_may_be_in_the_log_as_a_whole_no_half_is_written_under_a_new_number(half: int) -> None:
    parts = Parts()
    batch = parts.sent(2)
    parts.refused(batch, 7)
    parts.send(batch)
    parts.refused(batch, 10)  # by a leader with another limit than the one that may have written it
    pieces = list(parts.partition().pending)
    if half:
        parts.send(pieces[0])
        parts.delivered(pieces[0])
    parts.send(pieces[half])
    parts.refused(pieces[half], 45)
    assert pieces[half] not in parts.partition().pending
    assert pieces[half].is_set
    parts.producer.abandon("enough")
    error = batch.result(half).error
    assert error is not None
    assert (error.error_code, error.possibly_persisted) == (45, True)


@pytest.mark.parametrize("code", sorted(CLASSES[Action.NEW_ID]))
def test_a_refused_id_is_discarded_and_one_is_wanted(code: int) -> None:
    parts = Parts()
    batch = parts.sent()
    parts.bell.rung()
    parts.refused(batch, code)
    assert parts.producer.identity is None
    assert parts.bell.rung()


@pytest.mark.parametrize("code", sorted(CLASSES[Action.NEW_ID]))
def test_a_refused_id_of_the_past_does_not_cost_the_new_one(code: int) -> None:
    parts = Parts()
    batch = parts.sent()
    fresh = parts.producer.identities.current = Identity(10, 0)
    parts.refused(batch, code)
    assert parts.producer.identity is fresh


def test_an_answer_after_the_deadline_changes_nothing_any_more() -> None:
    for code in (19, 10, 87, 29, 45, 47):
        parts = Parts(delivery_timeout=10.0)
        batch = parts.sent(2)
        parts.producer.expire(batch.created + 10)
        error = batch.result(0).error
        assert parts.refused(batch, code).course is Course.FORGET
        assert repr(batch.result(0).error) == repr(error)
        assert parts.partition().empty
        assert not parts.partition().in_flight


# records


def outcomes(batch: Batch) -> list[int | None]:
    return [batch.result(index).error_code for index in range(batch.count)]


def test_only_the_named_records_fail_and_the_others_go_again_in_order() -> None:
    parts = Parts()
    batch = parts.sent(5)
    parts.refused(batch, 87, {1: "no key", 3: None})
    assert not batch.is_set
    (rest,) = parts.partition().pending
    assert list(rest.positions) == [0, 2, 4]
    parts.send(rest)
    parts.delivered(rest, 100)
    assert batch.is_set
    assert outcomes(batch) == [0, 87, 0, 87, 0]
    assert [batch.result(index).offset for index in (0, 2, 4)] == [100, 101, 102]
    assert "no key" in str(batch.result(1).error)
    assert "no key" not in str(batch.result(3).error)
    assert (parts.producer.settlement.delivered_records, parts.producer.settlement.failed_records, parts.producer.pool.used) == (
        3,
        2,
        0,
    )


@pytest.mark.parametrize("named", [{}, {0: None, 1: None}, {7: "of another world", -1: "odd"}])
def test_if_the_broker_names_none_or_all_all_fail(named: dict[int, str | None]) -> None:
    parts = Parts()
    batch = parts.sent(2)
    parts.refused(batch, 87, named)
    assert outcomes(batch) == [87, 87]
    assert parts.partition().sequence_lost
    assert parts.producer.pool.used == 0


def test_guilt_is_found_in_pieces_of_pieces() -> None:
    parts = Parts()
    batch = parts.sent(4)
    parts.refused(batch, 10)
    first, second = parts.partition().pending
    parts.send(first)
    parts.refused(first, 87, {1: "guilty"})
    (rest, _) = parts.partition().pending
    parts.send(rest)
    parts.delivered(rest, 10)
    parts.send(second)
    parts.delivered(second, 11)
    assert outcomes(batch) == [0, 87, 0, 0]
    assert [batch.result(index).offset for index in (0, 2, 3)] == [10, 11, 12]


def test_a_split_batch_is_settled_with_its_last_piece_and_not_before() -> None:
    parts = Parts()
    batch = parts.sent(3)
    parts.refused(batch, 10)
    first, second = parts.partition().pending
    parts.send(first)
    parts.delivered(first, 0)
    assert not batch.is_set
    assert parts.producer.pool.used == batch.size
    parts.send(second)
    parts.refused(second, 29)
    assert outcomes(batch) == [0, 29, 29]
    assert parts.producer.pool.used == 0


@pytest.mark.parametrize("limit", [None, 1000])
def test_a_record_too_large_alone_is_told_its_size_and_the_limit(limit: int | None) -> None:
    parts = Parts()
    batch = parts.batch(size=2000)
    error = too_large_error(batch, Refusal(10, rule_for(10), None, {}), limit)
    assert isinstance(error, RecordTooLarge)
    assert error.limit == limit
    assert 2000 < error.size < 2100
    assert "max.message.bytes" in str(error)


def test_a_log_append_time_is_the_record_s_timestamp() -> None:
    parts = Parts()
    batch = parts.sent()
    parts.delivered(batch, 5, 123456)
    assert (batch.result(0).timestamp_ms, batch.result(0).offset) == (123456, 5)


def timed(parts: Parts, *times: int) -> Batch:
    """A batch in flight of records with these timestamps."""
    for time in times:
        batch = parts.topic.append(Record("t", b"v", timestamp_ms=time))._batch
    parts.partition().close()
    parts.send(batch)
    return batch


def told_again(parts: Parts, batch: Batch, append_time_ms: int) -> list[int | None]:
    """The timestamps that the results have when the broker had `batch` already, and answers so."""
    parts.refused(batch, ErrorCode.REQUEST_TIMED_OUT)
    parts.send(batch)
    parts.delivered(batch, 0, append_time_ms)
    return [batch.result(index).timestamp_ms for index in range(batch.count)]


def test_a_broker_that_has_the_batch_answers_with_its_largest_timestamp_which_is_not_that_of_its_other_records() -> None:
    parts = Parts()
    assert told_again(parts, timed(parts, 988, 989, 987), 989) == [988, 989, 987]


def test_so_does_one_that_has_a_piece_of_a_batch() -> None:
    parts = Parts()
    batch = timed(parts, 988, 989, 987, 986)
    parts.refused(batch, ErrorCode.MESSAGE_TOO_LARGE)
    first, second = parts.partition().pending
    parts.send(first)
    assert told_again(parts, first, 989) == [988, 989]
    parts.send(second)
    assert told_again(parts, second, 987) == [987, 986]
    assert [batch.result(index).timestamp_ms for index in range(4)] == [988, 989, 987, 986]


def test_where_the_broker_sets_the_time_a_batch_that_it_has_was_given_it_too() -> None:
    parts = Parts()
    assert told_again(parts, timed(parts, 988, 989), 995) == [995, 995]
    parts.delivered(timed(parts, 990), 2, 997)
    assert told_again(parts, timed(parts, 998, 999), 999) == [999, 999], "by the earlier answer the topic has LogAppendTime"
    parts.delivered(timed(parts, 1001), 5, -1)
    assert told_again(parts, timed(parts, 1002, 1003), 1003) == [1002, 1003], "by the earlier answer it has it no longer"


def test_a_duplicate_of_unknown_offset_is_delivered_without_one() -> None:
    parts = Parts()
    batch = parts.sent()
    parts.delivered(batch, -1)
    assert (batch.result(0).error, batch.result(0).offset) == (None, None)


def test_a_flush_ends_with_the_last_record_of_a_batch_whose_pieces_were_split_again() -> None:
    parts = Parts()
    batch = parts.sent(8)
    parts.refused(batch, 10)
    flush = gevent.spawn(parts.producer.flush, monotonic() + PATIENCE)
    gevent.sleep(0)  # it waits for what is pending now: the pieces
    partition, split_again = parts.partition(), 0
    while (piece := partition.head(1e12, 0.0)) is not None:
        parts.send(piece)
        if piece.count > 1:
            split_again += 1
            parts.refused(piece, 10)
        else:
            parts.delivered(piece)
    assert split_again
    assert flush.get(timeout=PATIENCE / 2) == 0


def test_a_flush_that_ends_early_counts_the_records_whose_outcome_is_missing() -> None:
    parts = Parts()
    batch = parts.sent(8)
    parts.refused(batch, 10)
    piece = parts.partition().head(1e12, 0.0)
    assert piece is not None
    parts.send(piece)
    parts.delivered(piece)
    assert parts.producer.flush(monotonic()) == 8 - piece.count
