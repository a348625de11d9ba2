"""`Accumulator`: the clock, topics that come, go and move, and the books of a producer."""

from __future__ import annotations

from time import monotonic

import gevent
import pytest
from producer_parts import NO_LEADER, Parts

from klife import ClientClosed, DeliveryTimeout, ProduceError, Record
from klife.actors.producer.accumulator import EXPIRED_A_TURN
from klife.actors.producer.batch import Identity
from klife.actors.producer.buffer_pool import BufferPool

NOW = 1e12


# the clock


def test_a_batch_that_waits_at_its_deadline_failed_and_one_in_flight_is_possibly_persisted() -> None:
    parts = Parts(delivery_timeout=10.0)
    in_flight, queued = parts.sent(), parts.batch()
    parts.accumulator.expire(queued.created + 10)
    for batch, unknown in ((in_flight, True), (queued, False)):
        error = batch.result(0).error
        assert isinstance(error, DeliveryTimeout)
        assert error.possibly_persisted is unknown
        assert error.retriable
    assert parts.accumulator.pool.used == 0


def test_one_that_was_once_in_flight_without_an_answer_is_possibly_persisted() -> None:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.sent()
    batch.fate_unknown = True
    batch.queue.put_back(batch, 0.0)
    parts.accumulator.expire(batch.created + 10)
    assert batch.result(0).error.possibly_persisted  # type: ignore[union-attr]


def test_the_clock_names_the_next_deadline() -> None:
    parts = Parts(delivery_timeout=10.0)
    assert parts.accumulator.expire(0.0) is None
    first, second = parts.batch(), parts.batch()
    second.created = first.created + 3
    assert parts.accumulator.expire(first.created) == first.created + 10
    assert parts.accumulator.expire(first.created + 10) == second.created + 10
    assert parts.accumulator.expire(second.created + 10) is None


def test_thousands_of_batches_do_not_expire_in_one_turn_of_the_hub() -> None:
    parts = Parts([1] * 3_000, delivery_timeout=10.0)
    batches = [parts.route.append(Record("t", b"v", partition=number)) for number in range(3_000)]
    now = batches[-1].created + 10
    turns = 0
    while parts.accumulator.expire(now) == now:
        turns += 1
        assert sum(batch.is_set for batch in batches) == turns * EXPIRED_A_TURN
    assert all(batch.is_set for batch in batches)
    assert turns == 30


def test_an_open_batch_that_can_not_leave_is_closed_after_a_second() -> None:
    parts = Parts([NO_LEADER], delivery_timeout=10.0)
    batch = parts.route.append(Record("t", b"1", partition=0))
    due = parts.accumulator.expire(batch.created)
    assert due is not None
    assert due <= batch.created + 1
    parts.accumulator.expire(batch.created + 1)
    assert parts.route.append(Record("t", b"2", partition=0)) is not batch


def test_a_batch_opened_while_the_clock_is_set_for_a_far_deadline_wakes_it() -> None:
    parts = Parts([1, 1], delivery_timeout=60.0)
    first = parts.sent()
    due = parts.accumulator.expire(first.created)
    assert due is not None
    parts.accumulator.clock_due = first.created + 60.0
    parts.bell.rung()
    parts.route.append(Record("t", b"v", partition=1))
    assert parts.bell.rung()


def test_pieces_stand_on_the_clock_where_their_batch_stood() -> None:
    parts = Parts([1] * 3)
    batches = [parts.sent(2, partition=partition) for partition in range(3)]
    parts.refused(batches[1], 10)
    pieces = list(parts.queue(1).pending)
    assert list(parts.accumulator.pending) == [batches[0], *pieces, batches[2]]


@pytest.mark.parametrize(
    ("leaders", "setup", "why"),
    [
        ([NO_LEADER], lambda parts: None, "the partition has no leader"),
        ([1], lambda parts: setattr(parts.accumulator, "identity", None), "no producer id"),
        ([1], lambda parts: setattr(parts.channels[1], "is_ready", False), "broker 1 can not be reached"),
        ([1], lambda parts: None, "broker 1 had 0 requests to answer first"),
    ],
)
def test_a_deadline_s_error_says_what_it_was_waiting_for(leaders: list[int], setup: object, why: str) -> None:
    parts = Parts(leaders, delivery_timeout=10.0)
    batch = parts.batch()
    setup(parts)  # type: ignore[operator]
    parts.accumulator.expire(batch.created + 10)
    assert why in str(batch.result(0).error)


def test_a_deadline_s_error_tells_no_contents() -> None:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.route.append(Record("t", b"secret value", key=b"secret key", partition=0))
    parts.accumulator.expire(batch.created + 10)
    assert "secret" not in str(batch.result(0).error)


# leaders


def test_a_moved_partition_takes_its_queue_its_numbers_and_its_order_along() -> None:
    parts = Parts([1, 1])
    parts.delivered(parts.sent())
    retried = parts.sent()
    queued = parts.batch()
    parts.refused(retried, 6)
    parts.queue().retry_at = NOW + 1
    parts.apply([2, 1])
    (batch,) = parts.accumulator.lanes[2, 0].drain(NOW)
    assert (batch, batch.sequence, batch.identity) == (retried, 1, parts.identity)
    parts.delivered(retried)
    parts.accumulator.offer(parts.queue())
    assert parts.accumulator.lanes[2, 0].drain(NOW) == [queued]
    assert queued.sequence == 2


def test_news_that_change_nothing_move_nothing() -> None:
    parts = Parts([1])
    lane = parts.queue().lane
    parts.apply([1])
    assert parts.queue().lane is lane
    assert len(parts.accumulator.lanes) == 1


def test_records_for_a_partition_without_leader_wait_and_are_known_to_wait() -> None:
    parts = Parts([NO_LEADER])
    assert not parts.accumulator.has_leaderless()
    batch = parts.batch()
    assert parts.accumulator.has_leaderless()
    parts.apply([3])
    assert not parts.accumulator.has_leaderless()
    assert parts.accumulator.lanes[3, 0].drain(NOW) == [batch]


def test_a_batch_that_comes_back_when_its_leader_is_gone_is_known_to_wait() -> None:
    parts = Parts([1])
    batch = parts.sent()
    parts.apply([NO_LEADER])
    assert not parts.accumulator.has_leaderless()
    parts.refused(batch, 6)
    parts.accumulator.offer(batch.queue)
    assert parts.accumulator.has_leaderless()


def test_nobody_looks_for_a_leader_when_all_that_waited_for_one_has_expired() -> None:
    parts = Parts([NO_LEADER], delivery_timeout=10.0)
    batch = parts.batch()
    assert parts.accumulator.has_leaderless()
    parts.accumulator.expire(batch.created + 10)
    assert not parts.accumulator.has_leaderless()


def test_a_topic_that_vanishes_and_comes_back_finds_its_records() -> None:
    parts = Parts([1])
    parts.delivered(parts.sent())
    batch = parts.batch()
    parts.apply(None)
    assert "t" not in parts.accumulator.routes
    assert parts.queue().lane is None
    parts.apply([2])
    assert parts.accumulator.routes["t"] is parts.route
    assert parts.accumulator.lanes[2, 0].drain(NOW) == [batch]
    assert batch.sequence == 1


def test_a_partition_that_was_gone_for_a_while_does_not_begin_with_numbers_that_were_used() -> None:
    parts = Parts([1, 1])
    before = parts.sent(partition=1)
    parts.delivered(before)
    parts.apply([1])
    parts.apply([1, 1])
    after = parts.sent(partition=1)
    assert before.identity is not None
    assert after.identity is not None
    assert (after.identity.producer_id, after.identity.epoch, after.sequence) == (9, before.identity.epoch + 1, 0)


def test_a_topic_made_anew_with_fewer_partitions_lets_what_is_beyond_expire() -> None:
    parts = Parts([1, 1, 1], delivery_timeout=10.0)
    kept, lost = parts.batch(partition=0), parts.batch(partition=2)
    parts.apply([1])
    assert parts.route.count == 1
    assert parts.accumulator.lanes[1, 0].drain(NOW) == [kept]
    parts.accumulator.expire(lost.created + 10)
    assert not lost.result(0).error.possibly_persisted  # type: ignore[union-attr]


def test_new_partitions_can_be_produced_to_at_once() -> None:
    parts = Parts([1])
    parts.apply([1, 2])
    parts.batch(partition=1)
    assert len(parts.accumulator.lanes[2, 0].drain(NOW)) == 1


# identity


def test_an_epoch_is_bumped_only_from_the_one_that_was_lost() -> None:
    parts = Parts()
    parts.accumulator.bump_epoch(Identity(9, 0))
    assert parts.accumulator.identity is parts.identity
    parts.accumulator.bump_epoch(parts.identity)
    parts.accumulator.bump_epoch(parts.identity)
    assert parts.accumulator.identity.epoch == 1


# the end


def test_what_is_abandoned_is_failed_or_possibly_persisted_and_counted() -> None:
    parts = Parts()
    in_flight, queued = parts.sent(2), parts.batch(3)
    open_one = parts.route.append(Record("t", b"v", partition=0))
    assert parts.accumulator.abandon("the end came") == 6
    for batch, unknown in ((in_flight, True), (queued, False), (open_one, False)):
        error = batch.result(0).error
        assert isinstance(error, ProduceError)
        assert error.possibly_persisted is unknown
        assert "the end came" in str(error)
    assert (parts.accumulator.unsettled, parts.accumulator.failed, parts.accumulator.pool.used) == (0, 6, 0)


def test_only_what_was_never_sent_fails_when_it_never_can_be() -> None:
    parts = Parts()
    in_flight, queued = parts.sent(), parts.batch()
    parts.accumulator.fail_unsent(lambda topic, partition: ProduceError(f"no id for {topic}-{partition}"))
    assert not in_flight.is_set
    assert str(queued.result(0).error) == "no id for t-0"


def test_a_closed_producer_says_why() -> None:
    parts = Parts()
    parts.accumulator.close("it was stopped")
    parts.accumulator.close("twice")
    error = parts.accumulator.closed_error()
    assert isinstance(error, ClientClosed)
    assert "it was stopped" in str(error)


def test_the_counters_count_records() -> None:
    parts = Parts()
    parts.delivered(parts.sent(3))
    parts.refused(parts.sent(2), 29)
    parts.batch(4)
    accumulator = parts.accumulator
    assert (accumulator.delivered, accumulator.failed, accumulator.unsettled) == (3, 2, 4)


def test_an_outcome_is_final() -> None:
    parts = Parts()
    batch = parts.sent()
    parts.delivered(batch, 7)
    parts.accumulator.settle(batch, None, -1, ProduceError("too late"))
    assert batch.result(0).offset == 7
    assert (parts.accumulator.delivered, parts.accumulator.failed, parts.accumulator.pool.used) == (1, 0, 0)


def test_nothing_lingers_while_callers_wait_for_buffer_space() -> None:
    parts = Parts(linger=15.0)
    changes: list[float] = []
    pool = BufferPool(100, block=True)
    pool.on_pressure = parts.accumulator.hurry
    pool.take(pool.limit, monotonic() + 60, 60)
    waiting = gevent.spawn(pool.take, 1, monotonic() + 60, 60)
    gevent.sleep(0)
    changes.append(parts.accumulator.linger)
    pool.give(pool.limit)
    waiting.get()
    changes.append(parts.accumulator.linger)
    assert changes == [0.0, 15.0]
